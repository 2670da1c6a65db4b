package cli

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hopblame/hopblame/scenarios"
	"golang.org/x/sys/unix"
)

func TestMeter(t *testing.T) {
	for _, row := range []struct {
		name  string
		share float64
		want  string
	}{
		{"nothing yet", 0, "[....................]"},
		{"a little is not shown as more", 0.049, "[....................]"},
		{"half", 0.5, "[##########..........]"},
		{"almost all is not shown as all", 0.999, "[###################.]"},
		{"all", 1, "[####################]"},
		{"more than all, as when a file grows", 1.7, "[####################]"},
		{"less than nothing", -1, "[....................]"},
	} {
		if got := meter(row.share); got != row.want {
			t.Errorf("%s: got %s, want %s", row.name, got, row.want)
		}
	}
}

func TestProgressLine(t *testing.T) {
	for _, row := range []struct {
		name    string
		p       scenarios.Progress
		elapsed time.Duration
		want    string
	}{
		{"building has nothing to count", scenarios.Progress{Phase: "build", Total: 20000}, time.Second, "build …"},
		{"nor has taking down", scenarios.Progress{Phase: "teardown", Done: 20000, Total: 20000}, time.Second, "teardown …"},
		{"half the batch in four seconds leaves four", scenarios.Progress{Phase: "traffic", Done: 10000, Total: 20000, Failed: 65}, 4 * time.Second,
			"traffic  [##########..........] 10,000/20,000 requests, 65 failed, 2,500/s, 4 s left"},
		{"before the first request there is no rate", scenarios.Progress{Phase: "traffic", Total: 20000}, time.Second,
			"traffic  [....................] 0/20,000 requests, 0 failed, 0/s"},
		{"at the very beginning nothing is divided by zero", scenarios.Progress{Phase: "traffic", Total: 20000}, 0,
			"traffic  [....................] 0/20,000 requests, 0 failed, 0/s"},
		{"at the end nothing is left", scenarios.Progress{Phase: "traffic", Done: 20000, Total: 20000, Failed: 131}, 8 * time.Second,
			"traffic  [####################] 20,000/20,000 requests, 131 failed, 2,500/s"},
		{"an analysis counts bytes", scenarios.Progress{Phase: "analyze", Bytes: 300 << 20, TotalBytes: 1200 << 20}, time.Second,
			"analyze  [#####...............] 300/1,200 MB"},
		{"of files whose size is not known it counts nothing", scenarios.Progress{Phase: "analyze", Bytes: 300 << 20}, time.Second, "analyze …"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := progressLine(row.p, row.elapsed); got != row.want {
				t.Errorf("got  %s\nwant %s", got, row.want)
			}
		})
	}
}

func TestProgressIsSilentWhereThereIsNoTerminal(t *testing.T) {
	var b bytes.Buffer
	p := newProgress(&b)
	p.show(scenarios.Progress{Phase: "traffic", Total: 1})
	p.draw()
	p.close()
	if b.Len() != 0 {
		t.Errorf("got %q", b.String())
	}
}

func TestProgressOnATerminalIsOneLineThatGoesAway(t *testing.T) {
	var b bytes.Buffer
	p := &progress{w: &b, stop: make(chan struct{}), ended: make(chan struct{})}
	p.draw() // nothing to say yet
	p.show(scenarios.Progress{Phase: "build"})
	p.draw()
	go p.run()
	p.close()
	if got, want := b.String(), "\r\x1b[Kbuild …\r\x1b[K"; !strings.HasPrefix(got, "\r\x1b[Kbuild …") || !strings.HasSuffix(got, "\r\x1b[K") || strings.Contains(got, "\n") {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAPrinterKeepsTheFirstError(t *testing.T) {
	w := &full{room: 1}
	p := &printer{w: w}
	for range 3 {
		p.line("x")
	}
	if !errors.Is(p.err, unix.ENOSPC) || w.calls != 2 {
		t.Errorf("got %v after %d writes, want %v after 2", p.err, w.calls, unix.ENOSPC)
	}
}

// full takes so many writes and then no more.
type full struct{ room, calls int }

func (f *full) Write(b []byte) (int, error) {
	if f.calls++; f.calls > f.room {
		return 0, unix.ENOSPC
	}
	return len(b), nil
}

func TestBoldIsForScreensOnly(t *testing.T) {
	if got := (&printer{}).bold("x"); got != "x" {
		t.Errorf("without colours got %q", got)
	}
	if got := (&printer{color: true}).bold("x"); got != "\x1b[1mx\x1b[0m" {
		t.Errorf("with colours got %q", got)
	}
}
