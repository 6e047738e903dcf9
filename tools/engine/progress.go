package engine

import (
	"fmt"
	"io"
	"time"
)

const (
	quiet     = 2 * time.Second  // what takes less is not spoken of
	heartbeat = 15 * time.Second // between two lines about the same work
)

// progress tells people what is going on, a line at a time.
type progress struct{ out io.Writer }

func (p progress) say(format string, args ...any) {
	// Nobody can be told that telling failed.
	_, _ = fmt.Fprintf(p.out, "engine: "+format+"\n", args...)
}

// during does the work and, once it has taken longer than quiet, says what it
// is and how long it has taken so far. The work itself must not say anything.
func (p progress) during(what string, work func() error) error {
	start := time.Now()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		timer := time.NewTimer(quiet)
		defer timer.Stop()
		for {
			select {
			case <-stop:
				return
			case <-timer.C:
				p.say("%s (%s so far)", what, time.Since(start).Round(time.Second))
				timer.Reset(heartbeat)
			}
		}
	}()
	err := work()
	close(stop)
	<-stopped
	if took := time.Since(start); err == nil && took > quiet {
		p.say("%s: done in %s", what, took.Round(time.Second))
	}
	return err
}
