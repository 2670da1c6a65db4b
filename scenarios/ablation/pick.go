package ablation

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/hopblame/hopblame/analyzer"
)

// kind is a kind of ablation and how its parameters are drawn. pick returns nil
// where it would change nothing.
type kind struct {
	name string
	pick func(r *rand.Rand, c *Captures) Ablation
}

// kinds in the order in which they happen to captures: first who captures and
// what the wire shows, then what the capture loses of it, then what becomes of
// the files.
var kinds = []kind{
	{"a point removed", pickRemovePoints},
	{"addresses renumbered", pickRenumber},
	{"segments merged (TSO)", pickTSO},
	{"frames duplicated", func(r *rand.Rand, c *Captures) Ablation {
		return Duplicate{point(r, c, every), []float64{0.01, 0.1, 1}[r.IntN(3)], r.Uint64()}
	}},
	{"every frame twice, TTL-1", func(r *rand.Rand, c *Captures) Ablation {
		if p := point(r, c, mirrorable); p != "" {
			return Span{p, r.Uint64()}
		}
		return nil
	}},
	{"trailers stripped", pickStripTrailers},
	{"snaplen 96", func(r *rand.Rand, c *Captures) Ablation {
		if r.IntN(2) == 0 {
			return Snaplen{Bytes: 96}
		}
		return Snaplen{[]string{point(r, c, every)}, 96}
	}},
	{"packets lost at a point", func(r *rand.Rand, c *Captures) Ablation {
		return Drop{[]string{point(r, c, every)}, share(r), r.IntN(3) == 0, r.Uint64()}
	}},
	{"packets lost at every point", func(r *rand.Rand, c *Captures) Ablation {
		return Drop{nil, share(r), r.IntN(3) == 0, r.Uint64()}
	}},
	{"bursts lost at a point", func(r *rand.Rand, c *Captures) Ablation {
		return Burst{point(r, c, every), 1 + r.IntN(5), time.Duration(10+r.IntN(1500)) * time.Millisecond, r.IntN(3) == 0, r.Uint64()}
	}},
	{"a file's end cut off", func(r *rand.Rand, c *Captures) Ablation {
		return CutEnd{point(r, c, every), 0.02 + 0.96*r.Float64(), r.IntN(2) == 0}
	}},
	{"a file's start cut off", func(r *rand.Rand, c *Captures) Ablation {
		return CutStart{point(r, c, every), 0.02 + 0.96*r.Float64(), r.IntN(2) == 0}
	}},
	{"a clock shifted", func(r *rand.Rand, c *Captures) Ablation { return Shift{point(r, c, every), hours(r)} }},
	{"a clock drifting", func(r *rand.Rand, c *Captures) Ablation {
		return Drift{point(r, c, every), 100 * float64(1-2*r.IntN(2))}
	}},
	{"a clock stepping", func(r *rand.Rand, c *Captures) Ablation {
		return Step{point(r, c, every), 0.05 + 0.9*r.Float64(), 30 * time.Second * time.Duration(1-2*r.IntN(2))}
	}},
	{"files unlabelled", func(r *rand.Rand, c *Captures) Ablation { return Unlabel{r.Uint64()} }},
}

func every(*Capture) bool { return true }

// mirrorable: a proxy captures itself, no mirror port does it for it.
func mirrorable(p *Capture) bool { return p.Point.Side != analyzer.Both }

// point draws a point; "" if there is none that will do.
func point(r *rand.Rand, c *Captures, will func(*Capture) bool) string {
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
func pickRemovePoints(r *rand.Rand, c *Captures) Ablation {
	n := 1 + r.IntN(2)
	if len(c.Points) < n+2 {
		return nil
	}
	var names []string
	for _, i := range r.Perm(len(c.Points))[:n] {
		names = append(names, c.Points[i].Point.Name)
	}
	slices.Sort(names)
	return RemovePoints{names}
}

func pickRenumber(r *rand.Rand, c *Captures) Ablation {
	for i := range c.Points {
		if slices.ContainsFunc(c.Points[i].Frames, func(f Frame) bool { l, ok := locate(f.Data); return ok && !l.v6 }) {
			return Renumber{r.Uint64()}
		}
	}
	return nil
}

func pickTSO(r *rand.Rand, c *Captures) Ablation {
	one := []string{point(r, c, every)}
	for _, points := range [][]string{one, nil}[r.IntN(2):] {
		trial, merged := c.Clone(), 0
		trial.change(points, func(p *Capture) { merged += p.mergeSegments() })
		if merged > 0 {
			return TSO{points}
		}
	}
	return nil
}

func pickStripTrailers(r *rand.Rand, c *Captures) Ablation {
	if !slices.ContainsFunc(c.Points, func(p Capture) bool { return p.hasTrailers() }) {
		return nil
	}
	return StripTrailers{r.IntN(2) == 0}
}

// possible lists the kinds that can change something in captures.
func possible(c *Captures) (list []int) {
	for i := range kinds {
		if kinds[i].pick(random(0), c) != nil {
			list = append(list, i)
		}
	}
	return list
}

// ablate draws one ablation, or two or three of different kinds, and applies
// them. One that finds nothing left to change is left out.
func ablate(r *rand.Rand, c *Captures, possible []int) (done []Ablation) {
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

func skewed(r *rand.Rand, c *Captures) []Ablation {
	done := []Ablation{StripTrailers{r.IntN(2) == 0}, Drop{Share: 0.01, Seed: r.Uint64()}}
	for i := range c.Points {
		done = append(done, Shift{c.Points[i].Point.Name, hours(r)})
	}
	for _, a := range done {
		a.Apply(c)
	}
	return done
}

// rowOf is the row of the table that ablations belong to.
func rowOf(done []Ablation) string {
	switch len(done) {
	case 0:
		return "nothing"
	case 1:
		return done[0].Name()
	}
	return fmt.Sprintf("%d of these together", len(done))
}
