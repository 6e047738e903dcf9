// Package crash has named places at which a test kills the process, and faults that a test plants: the
// means of tools/chaos. Without the build tag `chaos` both are nothing, and the compiler leaves
// nothing of them: Enabled is a constant.
//
// With the tag, At kills the process with SIGKILL when the file that AITBC_CRASH_FILE names holds the
// place's name; the file is removed first, so the process survives when it is started again. A fault is
// planted when AITBC_BUG names it. docs/chaos.md says how both are used.
package crash
