package sim

import (
	"sync"
	"time"

	"github.com/hopblame/hopblame/sim/fault"
)

// Counts are what has been counted of a run while it lasts. They are read one after the
// other and while packets move, so no balance can be taken of them: that is what [Facts]
// are for.
type Counts struct {
	Points []PointCount // in path order
	Faults []FaultCount // in the order of the configuration, then a stateful firewall's own
}

// PointCount is how many packets a capture holds.
type PointCount struct {
	Point   string // "hop/face"
	Packets uint64
}

// FaultCount is how often a fault has struck: packets hit, or an actor's misdeeds.
type FaultCount struct {
	Fault fault.Fault
	Hits  uint64
}

// watchEvery is how often [Config.Watch] is called. A reader sees numbers grow, and the
// kernel is asked once a fault.
const watchEvery = 250 * time.Millisecond

// watch has the counts told until the function it returns is called, which tells them for
// the last time; more calls of it do nothing. Captures and faults must be there meanwhile.
func (r *run) watch() (stop func()) {
	tell := r.facts.Config.Watch
	if tell == nil {
		return func() {}
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for {
			tell(r.counts())
			select {
			case <-tick.C:
			case <-done:
				tell(r.counts())
				return
			}
		}
	}()
	return sync.OnceFunc(func() {
		close(done)
		<-ended
	})
}

// counts reads them all. What cannot be read is left at 0: if it matters, the report at the
// run's end says so.
func (r *run) counts() Counts {
	var c Counts
	for i, n := range r.session.Packets() {
		c.Points = append(c.Points, PointCount{Points()[i], n})
	}
	add := func(f fault.Fault, hits uint64) { c.Faults = append(c.Faults, FaultCount{f, hits}) }
	for _, i := range r.injectors {
		hits, _ := i.Hits()
		add(i.Fault(), hits)
	}
	for _, x := range r.resolutions {
		hits, _ := x.Hits()
		add(x.Fault(), hits)
	}
	for _, m := range r.moods {
		add(m.Fault(), m.Hits())
	}
	if r.firewall != nil {
		hits, _ := r.firewall.Hits()
		for i, f := range r.facts.Config.Firewall.Faults() {
			add(f, hits[i])
		}
	}
	return c
}
