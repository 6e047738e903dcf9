//go:build unix && !linux

package engine

import "syscall"

// groupLeader makes the child lead a process group. Only Linux can tie a
// child's life to its parent's: elsewhere a server outlives a parent that was
// killed without warning.
func groupLeader() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
