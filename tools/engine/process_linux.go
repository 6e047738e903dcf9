package engine

import "syscall"

// groupLeader makes the child lead a process group and be told to end when we
// die. It is told, not killed: Ollama then ends its runner too, whereas a kill
// would leave the runner behind.
func groupLeader() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
