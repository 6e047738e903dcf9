package toolbin

import (
	"fmt"
	"io"
	"time"
)

const (
	// silence is how long work may take before a person wonders.
	silence = 2 * time.Second
	// repeatEvery is how often a person who waits is told that it goes on.
	repeatEvery = 15 * time.Second
)

// progress tells out that what is under way, once it has taken longer than
// silence and then again at intervals. The returned function ends it and
// returns when nothing more will be written.
func progress(out io.Writer, what string) func() {
	start := time.Now()
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		timer := time.NewTimer(silence)
		defer timer.Stop()
		for {
			select {
			case <-quit:
				return
			case <-timer.C:
				_, _ = fmt.Fprintf(out, "%s ... %s\n", what, time.Since(start).Round(time.Second))
				timer.Reset(repeatEvery)
			}
		}
	}()
	return func() {
		close(quit)
		<-done
	}
}
