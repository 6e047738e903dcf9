package postgres

import "syscall"

// endWithParent has the child told to end when we die: SIGQUIT ends a Postgres server at once with
// all its processes, whereas a kill of its first one would leave that to the others' watching.
func endWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGQUIT }
