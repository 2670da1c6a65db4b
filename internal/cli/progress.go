package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/hopblame/hopblame/internal/digits"
	"github.com/hopblame/hopblame/scenarios"
)

// progress is one line on a terminal, drawn anew a few times a second; elsewhere
// it is silent.
type progress struct {
	w     io.Writer // nil: silent
	mu    sync.Mutex
	of    string // which of several runs it is
	last  scenarios.Progress
	since time.Time // of the present phase

	stop, ended chan struct{}
}

const redrawEvery = 150 * time.Millisecond

func newProgress(w io.Writer) *progress {
	p := &progress{stop: make(chan struct{}), ended: make(chan struct{})}
	if isTerminal(w) && os.Getenv("CI") == "" {
		p.w = w
	}
	go p.run()
	return p
}

// show notes how far a run has come; it is cheap and may be called often.
func (p *progress) show(s scenarios.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.Phase != p.last.Phase {
		p.since = time.Now()
	}
	p.last = s
}

func (p *progress) run() {
	defer close(p.ended)
	tick := time.NewTicker(redrawEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.draw()
		case <-p.stop:
			if p.w != nil {
				fmt.Fprint(p.w, "\r\x1b[K")
			}
			return
		}
	}
}

func (p *progress) draw() {
	if p.w == nil {
		return
	}
	p.mu.Lock()
	of, s, elapsed := p.of, p.last, time.Since(p.since)
	p.mu.Unlock()
	if s.Phase != "" {
		fmt.Fprint(p.w, "\r\x1b[K"+of+progressLine(s, elapsed))
	}
}

// progressLine is the bar, the counts and the rate.
func progressLine(s scenarios.Progress, elapsed time.Duration) string {
	switch {
	case s.Phase == "traffic" && s.Total > 0:
		rate := float64(s.Done) / max(elapsed.Seconds(), 0.001)
		line := fmt.Sprintf("%-8s %s %s/%s requests, %s failed, %s/s", s.Phase, meter(float64(s.Done)/float64(s.Total)),
			digits.Group(s.Done), digits.Group(s.Total), digits.Group(s.Failed), digits.Group(int(rate)))
		switch left := float64(s.Total-s.Done) / max(rate, 1); {
		case s.Done == 0, s.Done == s.Total:
		case left >= 1:
			line += fmt.Sprintf(", %.0f s left", left)
		default: // the last ones hang until their SYNs run out
			line += fmt.Sprintf(", waiting for %s", digits.Group(s.Total-s.Done))
		}
		return line
	case s.Phase == "analyze" && s.TotalBytes > 0:
		return fmt.Sprintf("%-8s %s %s/%s MB", s.Phase, meter(float64(s.Bytes)/float64(s.TotalBytes)),
			digits.Group(int(s.Bytes>>20)), digits.Group(int(s.TotalBytes>>20)))
	}
	return s.Phase + " …"
}

func meter(share float64) string {
	const cells = 20
	full := min(cells, max(0, int(share*cells)))
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", cells-full) + "]"
}

func (p *progress) close() {
	close(p.stop)
	<-p.ended
}
