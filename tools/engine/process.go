//go:build unix

package engine

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

const (
	stopGrace = 5 * time.Second // for a server to end its runners by itself
	killGrace = 5 * time.Second // for the kernel to clear a killed group away
)

// process is a server and the runners it has started: one process group.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed once the server has been waited for; its runners may live on
}

// startProcess starts cmd as the leader of a process group of its own. So the
// terminal's Ctrl-C reaches only our process, which then stops the server in
// order, and a hard kill reaches the runners too.
func startProcess(cmd *exec.Cmd) (*process, error) {
	cmd.SysProcAttr = groupLeader()
	cmd.WaitDelay = stopGrace // a runner that lives on holds the log pipe open
	p := &process{cmd: cmd, exited: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// On Linux the server is told when its parent thread ends, not its
		// parent process: this goroutine keeps that thread to itself.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.exited)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in its log
		}
	}()
	if err := <-started; err != nil {
		<-p.exited
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return p, nil
}

// stop asks the server to end, which ends its runners too, and kills what is
// left when the grace is over.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err == nil {
		select {
		case <-p.exited:
		case <-time.After(stopGrace):
		}
	}
	return p.kill()
}

// kill ends the server and its runners at once and waits until they are gone.
func (p *process) kill() error {
	group := -p.cmd.Process.Pid
	if err := syscall.Kill(group, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("kill process group %d: %w", -group, err)
	}
	select {
	case <-p.exited:
		return nil
	case <-time.After(killGrace + stopGrace):
		return fmt.Errorf("process %d did not end after a kill", -group)
	}
}
