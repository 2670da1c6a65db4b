package scenarios

import (
	"fmt"
	"net/netip"

	"github.com/hopblame/hopblame/internal/nearest"
	"github.com/hopblame/hopblame/scenarios/observe"
	"github.com/hopblame/hopblame/sim"
	"github.com/hopblame/hopblame/sim/bigip"
)

// Kept says which part of the captures a run directory gets.
type Kept string

// What is kept. The analyzer judges by what is kept, so that its frame numbers are those
// of the files; the testbed's own check rests on all that was captured.
const (
	KeepAll Kept = "all"
	// KeepFailed is the failed requests' connections on both sides of the f5; some of the
	// others, whole, before, between and behind them, so that a capture can be measured;
	// and all that is no request's.
	KeepFailed Kept = "failed"
)

// ParseKept reads the word.
func ParseKept(word string) (Kept, error) {
	if k := Kept(word); k == KeepAll || k == KeepFailed {
		return k, nil
	}
	return "", fmt.Errorf("captures %q: must be all or failed%s", word, nearest.Hint(word, []string{string(KeepAll), string(KeepFailed)}))
}

// CheckSnapLen refuses what is no snap length in bytes; 0 is none, all of a frame is kept.
func CheckSnapLen(n int) error {
	if n != 0 && (n < MinSnapLen || n > MaxSnapLen) {
		return fmt.Errorf("snaplen %d: must be %d to %d bytes", n, MinSnapLen, MaxSnapLen)
	}
	return nil
}

// checkKept refuses options that do not say what is to be kept.
func (o *Options) checkKept() error {
	if o.Captures != "" {
		if _, err := ParseKept(string(o.Captures)); err != nil {
			return err
		}
	}
	return CheckSnapLen(o.SnapLen)
}

// Bounds of what is kept beside the failed requests.
const (
	neighbours = 2  // on either side of each
	samples    = 64 // over the whole run
)

// thin takes out of the captures what is not to be kept.
func (d *runDir) thin(o Options, facts *sim.Facts) error {
	var faults []observe.Fault
	if o.Captures == KeepFailed {
		faults = append(faults, observe.WithoutEndpoints(healthy(facts)))
	}
	if o.SnapLen > 0 {
		faults = append(faults, observe.Snaplen{Bytes: o.SnapLen})
	}
	if len(faults) == 0 {
		return nil
	}
	for i := range facts.Captures {
		at := &facts.Captures[i].Point
		c, err := observe.Open(d.point(at))
		if err != nil {
			return fmt.Errorf("keep captures: %w", err)
		}
		one := &observe.Captures{Points: []observe.Capture{*c}}
		for _, f := range faults {
			f.Apply(one)
		}
		if err := d.rewrite(at.Name(), &one.Points[0]); err != nil {
			return fmt.Errorf("keep captures: %w", err)
		}
	}
	return nil
}

// healthy are the endpoints of requests that can be left out: those of the client, and of
// the f5 where a connection of its is one request's.
func healthy(facts *sim.Facts) map[netip.AddrPort]bool {
	kept := make([]bool, len(facts.Requests))
	for i := range facts.Requests {
		if facts.Requests[i].Outcome.Failed() {
			for k := max(0, i-neighbours); k <= min(len(kept)-1, i+neighbours); k++ {
				kept[k] = true
			}
		}
		if i%max(1, len(kept)/samples) == 0 || i == len(kept)-1 {
			kept[i] = true
		}
	}
	out, stay := map[netip.AddrPort]bool{}, map[netip.AddrPort]bool{}
	mark := func(ordinal int, end netip.AddrPort) {
		if ordinal < 0 || ordinal >= len(kept) || kept[ordinal] {
			stay[end] = true
		} else {
			out[end] = true
		}
	}
	for i := range facts.Requests {
		mark(i, facts.Requests[i].Local)
	}
	if !facts.Config.F5.VirtualServer.Has(bigip.ProfileOneConnect) { // else one is many requests'
		for i := range facts.Flows {
			mark(facts.Flows[i].Ordinal, facts.Flows[i].SNAT)
		}
	}
	for end := range stay {
		delete(out, end)
	}
	return out
}
