//go:build unix

package postgres

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// process is a server's first process. Those it has started end by themselves when it does.
type process struct {
	command *exec.Cmd
	exited  chan struct{} // closed once it has been waited for
}

func startProcess(command *exec.Cmd) (*process, error) {
	p := &process{command: command, exited: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// On Linux the server is told when the thread that started it ends, not the process: this
		// goroutine keeps that thread to itself.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.exited)
		err := command.Start()
		started <- err
		if err == nil {
			_ = command.Wait() // how it ended is in its log
		}
	}()
	if err := <-started; err != nil {
		<-p.exited
		return nil, fmt.Errorf("start %s: %w", command.Path, err)
	}
	return p, nil
}

// end signals the process and waits until it is gone.
func (p *process) end(signal syscall.Signal) error {
	if err := p.command.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal process %d: %w", p.command.Process.Pid, err)
	}
	select {
	case <-p.exited:
		return nil
	case <-time.After(stopGrace):
		return errors.Join(fmt.Errorf("process %d still runs after %s", p.command.Process.Pid, stopGrace), p.command.Process.Kill())
	}
}

// endAll kills processes that are nobody's to wait for, and waits until they are gone.
func endAll(pids []int) error {
	tick, late := time.NewTicker(time.Millisecond), time.After(stopGrace)
	defer tick.Stop()
	for _, pid := range pids {
		for syscall.Kill(pid, syscall.SIGKILL) == nil {
			select {
			case <-tick.C:
			case <-late:
				return fmt.Errorf("process %d still runs after %s", pid, stopGrace)
			}
		}
	}
	return nil
}

// owner is the user that the server runs as; nil: ours.
type owner struct{ uid, gid uint32 }

// findOwner gives another user than root, because Postgres refuses to run as root.
func findOwner() (*owner, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(uidErr, gidErr); err != nil {
			return nil, fmt.Errorf("user %s: %w", name, err)
		}
		return &owner{uint32(uid), uint32(gid)}, nil
	}
	return nil, errors.New("postgres does not run as root, and there is no user postgres or nobody to run it as")
}

// give makes the owner the one that may use the folder.
func (o *owner) give(folder string) error {
	if o == nil {
		return nil
	}
	return os.Chown(folder, int(o.uid), int(o.gid))
}

// attributes start a process as the owner, in a process group of its own: the terminal's Ctrl-C
// reaches only our process, which then stops the server in order.
func (o *owner) attributes() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true}
	endWithParent(a)
	if o != nil {
		a.Credential = &syscall.Credential{Uid: o.uid, Gid: o.gid}
	}
	return a
}
