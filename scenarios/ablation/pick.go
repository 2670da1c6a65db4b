package ablation

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/scenarios/observe"
)

// kind is a kind of ablation and how its parameters are drawn. pick returns nil
// where it would change nothing.
type kind struct {
	name string
	pick func(r *rand.Rand, c *observe.Captures) observe.Fault
}

// kinds in the order in which they happen to captures: first who captures and
// what the wire shows, then what the capture loses of it, then what becomes of
// the files.
var kinds = []kind{
	{"a point removed", pickRemovePoints},
	{"addresses renumbered", pickRenumber},
	{"segments merged (TSO)", pickTSO},
	{"frames duplicated", func(r *rand.Rand, c *observe.Captures) observe.Fault {
		return observe.Duplicate{Point: point(r, c, every), Share: []float64{0.01, 0.1, 1}[r.IntN(3)], Seed: r.Uint64()}
	}},
	{"every frame twice, TTL-1", func(r *rand.Rand, c *observe.Captures) observe.Fault {
		if p := point(r, c, mirrorable); p != "" {
			return observe.Span{Point: p, Seed: r.Uint64()}
		}
		return nil
	}},
	{"trailers stripped", pickStripTrailers},
	{"snaplen 96", func(r *rand.Rand, c *observe.Captures) observe.Fault {
		if r.IntN(2) == 0 {
			return observe.Snaplen{Bytes: 96}
		}
		return observe.Snaplen{Points: []string{point(r, c, every)}, Bytes: 96}
	}},
	{"packets lost at a point", func(r *rand.Rand, c *observe.Captures) observe.Fault {
		return observe.Drop{Points: []string{point(r, c, every)}, Share: share(r), Tell: r.IntN(3) == 0, Seed: r.Uint64()}
	}},
	{"packets lost at every point", func(r *rand.Rand, c *observe.Captures) observe.Fault {
		return observe.Drop{Share: share(r), Tell: r.IntN(3) == 0, Seed: r.Uint64()}
	}},
	{"bursts lost at a point", func(r *rand.Rand, c *observe.Captures) observe.Fault {
		return observe.Burst{Point: point(r, c, every), Count: 1 + r.IntN(5), Length: time.Duration(10+r.IntN(1500)) * time.Millisecond, Tell: r.IntN(3) == 0, Seed: r.Uint64()}
	}},
	{"a file's end cut off", func(r *rand.Rand, c *observe.Captures) observe.Fault {
		return observe.CutEnd{Point: point(r, c, every), Share: 0.02 + 0.96*r.Float64(), Torn: r.IntN(2) == 0}
	}},
	{"a file's start cut off", func(r *rand.Rand, c *observe.Captures) observe.Fault {
		return observe.CutStart{Point: point(r, c, every), Share: 0.02 + 0.96*r.Float64(), Tell: r.IntN(2) == 0}
	}},
	{"a clock shifted", func(r *rand.Rand, c *observe.Captures) observe.Fault {
		return observe.Shift{Point: point(r, c, every), By: hours(r)}
	}},
	{"a clock drifting", func(r *rand.Rand, c *observe.Captures) observe.Fault {
		return observe.Drift{Point: point(r, c, every), PPM: 100 * float64(1-2*r.IntN(2))}
	}},
	{"a clock stepping", func(r *rand.Rand, c *observe.Captures) observe.Fault {
		return observe.Step{Point: point(r, c, every), At: 0.05 + 0.9*r.Float64(), By: 30 * time.Second * time.Duration(1-2*r.IntN(2))}
	}},
	{"files unlabelled", func(r *rand.Rand, c *observe.Captures) observe.Fault { return observe.Unlabel{Seed: r.Uint64()} }},
}

func every(*observe.Capture) bool { return true }

// mirrorable: a proxy captures itself, no mirror port does it for it.
func mirrorable(p *observe.Capture) bool { return p.Point.Side != analyzer.Both }

// point draws a point; "" if there is none that will do.
func point(r *rand.Rand, c *observe.Captures, will func(*observe.Capture) bool) string {
	var names []string
	for i := range c.Points {
		if will(&c.Points[i]) {
			names = append(names, c.Points[i].Point.Name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return names[r.IntN(len(names))]
}

// share is 1 to 20 %, small ones as likely as large ones.
func share(r *rand.Rand) float64 { return []float64{0.01, 0.02, 0.05, 0.1, 0.2}[r.IntN(5)] }

// hours is up to one hour fast or slow.
func hours(r *rand.Rand) time.Duration {
	return time.Duration(r.Int64N(int64(2*time.Hour))) - time.Hour
}

// pickRemovePoints leaves at least two points.
func pickRemovePoints(r *rand.Rand, c *observe.Captures) observe.Fault {
	n := 1 + r.IntN(2)
	if len(c.Points) < n+2 {
		return nil
	}
	var names []string
	for _, i := range r.Perm(len(c.Points))[:n] {
		names = append(names, c.Points[i].Point.Name)
	}
	slices.Sort(names)
	return observe.RemovePoints{Points: names}
}

func pickRenumber(r *rand.Rand, c *observe.Captures) observe.Fault {
	for i := range c.Points {
		if slices.ContainsFunc(c.Points[i].Frames, func(f observe.Frame) bool { l, ok := observe.Locate(f.Data); return ok && !l.V6 }) {
			return observe.Renumber{Seed: r.Uint64()}
		}
	}
	return nil
}

func pickTSO(r *rand.Rand, c *observe.Captures) observe.Fault {
	one := []string{point(r, c, every)}
	for _, points := range [][]string{one, nil}[r.IntN(2):] {
		trial, tso := c.Clone(), observe.TSO{Points: points}
		tso.Apply(trial)
		for i := range trial.Points {
			if len(trial.Points[i].Frames) < len(c.Points[i].Frames) {
				return tso
			}
		}
	}
	return nil
}

func pickStripTrailers(r *rand.Rand, c *observe.Captures) observe.Fault {
	if !slices.ContainsFunc(c.Points, func(p observe.Capture) bool { return p.HasTrailers() }) {
		return nil
	}
	return observe.StripTrailers{KeepFileInfo: r.IntN(2) == 0}
}

// possible lists the kinds that can change something in captures.
func possible(c *observe.Captures) (list []int) {
	for i := range kinds {
		if kinds[i].pick(observe.Random(0), c) != nil {
			list = append(list, i)
		}
	}
	return list
}

// ablate draws one ablation, or two or three of different kinds, and applies
// them. One that finds nothing left to change is left out.
func ablate(r *rand.Rand, c *observe.Captures, possible []int) (done []observe.Fault) {
	n := []int{1, 1, 1, 1, 1, 2, 2, 2, 3, 3}[r.IntN(10)]
	drawn := r.Perm(len(possible))[:min(n, len(possible))]
	slices.Sort(drawn)
	for _, k := range drawn {
		if a := kinds[possible[k]].pick(r, c); a != nil {
			a.Apply(c)
			done = append(done, a)
		}
	}
	return done
}

// Skewed is the case that an analyzer must master: every point is there, 1 % of
// the packets missing at each, no trailers, and every clock wrong by its own.
const Skewed = "1 % lost everywhere, no trailers, skewed clocks"

func skewed(r *rand.Rand, c *observe.Captures) []observe.Fault {
	done := []observe.Fault{observe.StripTrailers{KeepFileInfo: r.IntN(2) == 0}, observe.Drop{Share: 0.01, Seed: r.Uint64()}}
	for i := range c.Points {
		done = append(done, observe.Shift{Point: c.Points[i].Point.Name, By: hours(r)})
	}
	for _, a := range done {
		a.Apply(c)
	}
	return done
}

// rowOf is the row of the table that ablations belong to.
func rowOf(done []observe.Fault) string {
	switch len(done) {
	case 0:
		return "nothing"
	case 1:
		return done[0].Name()
	}
	return fmt.Sprintf("%d of these together", len(done))
}
