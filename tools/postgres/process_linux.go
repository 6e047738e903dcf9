package postgres

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// endWithParent has the child told to end when we die: SIGQUIT ends a Postgres server at once with
// all its processes, whereas a kill of its first one would leave that to the others' watching.
func endWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGQUIT }

// children gives the processes that the process has started and that still run.
func (p *process) children() (pids []int) {
	pid := p.command.Process.Pid
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil // it is gone already
	}
	for _, field := range strings.Fields(string(text)) {
		if child, err := strconv.Atoi(field); err == nil {
			pids = append(pids, child)
		}
	}
	return pids
}
