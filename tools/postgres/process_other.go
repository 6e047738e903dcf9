//go:build unix && !linux

package postgres

import "syscall"

// endWithParent does nothing: only Linux can tie a child's life to its parent's.
func endWithParent(*syscall.SysProcAttr) {}

// children gives the processes that the process has started, where that can be told.
func (*process) children() []int { return nil }
