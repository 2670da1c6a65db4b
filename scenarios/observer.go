package scenarios

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hopblame/hopblame/internal/nearest"
	"github.com/hopblame/hopblame/scenarios/observe"
	"github.com/hopblame/hopblame/sim"
	"github.com/hopblame/hopblame/sim/fault"
)

// Observe is what is wrong with the captures that the analyzer gets, and not with the
// network. The zero value is captures as good as the lab can take them.
type Observe struct {
	// Faults come about one after the other: what the first has lost, no other has.
	Faults []ObserverFault `yaml:"faults"`
}

// ObserverDeed is what happens to a capture.
type ObserverDeed string

// The deeds, in the order in which they happen to captures.
const (
	Miss          ObserverDeed = "miss"           // nobody captured there
	StripTrailers ObserverDeed = "strip-trailers" // tcpdump absent :nnn, or a proxy that is nobody's F5
	KeepDirection ObserverDeed = "keep-direction" // one fibre of two was tapped
	Duplicate     ObserverDeed = "duplicate"      // a packet was mirrored twice
	CutFrames     ObserverDeed = "cut-frames"     // tcpdump's -s, the snap length
	Lose          ObserverDeed = "lose"           // a capture that could not keep up
	LoseBursts    ObserverDeed = "lose-bursts"    // a ring that overran, a gap between rotated files
	StartLate     ObserverDeed = "start-late"     // somebody came late
	EndEarly      ObserverDeed = "end-early"      // the disk was full
	ShiftClock    ObserverDeed = "shift-clock"    // nobody set it
	DriftClock    ObserverDeed = "drift-clock"    // it runs too fast or too slow
	StepClock     ObserverDeed = "step-clock"     // time synchronisation set it half-way
)

// ObserverFault is a fault of the observer. Which of the keys a deed has is in
// [observerKeys]; the others are zero.
type ObserverFault struct {
	At string       `yaml:"at"` // a point, "hop/face"; "": every one
	Do ObserverDeed `yaml:"do"`
	// Share is of the packets that are lost or come twice; of the time that is missing
	// at an end; or of the time after which a clock steps. Above 0, at most 1.
	Share     float64         `yaml:"share"`
	Direction fault.Direction `yaml:"direction"` // that is kept
	Bytes     int             `yaml:"bytes"`     // of each frame that are kept
	Bursts    int             `yaml:"bursts"`    // their number
	Length    time.Duration   `yaml:"length"`    // of each burst
	By        time.Duration   `yaml:"by"`        // positive: the clock shows too much
	PPM       float64         `yaml:"ppm"`       // positive: the clock is too fast
	Reported  bool            `yaml:"reported"`  // the file's statistics own up to it
	Torn      bool            `yaml:"torn"`      // the file ends inside a block
}

// observerKey says whether a deed has a key.
type observerKey int

const (
	absent observerKey = iota
	optional
	needed
)

// observerKeys are the keys that deeds have.
var observerKeys = map[ObserverDeed]map[string]observerKey{
	Miss:          {"at": needed},
	StripTrailers: {},
	KeepDirection: {"at": optional, "direction": needed},
	Duplicate:     {"at": optional, "share": needed},
	CutFrames:     {"at": optional, "bytes": needed},
	Lose:          {"at": optional, "share": needed, "reported": optional},
	LoseBursts:    {"at": optional, "bursts": needed, "length": needed, "reported": optional},
	StartLate:     {"at": optional, "share": needed, "reported": optional},
	EndEarly:      {"at": optional, "share": needed, "torn": optional},
	ShiftClock:    {"at": needed, "by": needed},
	DriftClock:    {"at": needed, "ppm": needed},
	StepClock:     {"at": needed, "share": needed, "by": needed},
}

// set lists the keys that f has.
func (f *ObserverFault) set() map[string]bool {
	return map[string]bool{"at": f.At != "", "share": f.Share != 0, "direction": f.Direction != "", "bytes": f.Bytes != 0,
		"bursts": f.Bursts != 0, "length": f.Length != 0, "by": f.By != 0, "ppm": f.PPM != 0, "reported": f.Reported, "torn": f.Torn}
}

// Bounds of a snap length, in bytes: Ethernet, IP and TCP must be left, and no frame is
// longer.
const (
	MinSnapLen = 60
	MaxSnapLen = 65535
)

// Bounds of what an observer's fault can be. Clocks are wrong by less than a year, for
// no file's time may be before the epoch.
const (
	maxBursts = 1000
	maxClock  = 365 * 24 * time.Hour
	maxPPM    = 10000
)

// missing are the points where nobody captured.
func (o *Observe) missing() map[string]bool {
	points := map[string]bool{}
	for i := range o.Faults {
		if o.Faults[i].Do == Miss {
			points[o.Faults[i].At] = true
		}
	}
	return points
}

// problems reports what in o cannot be.
func (o *Observe) problems() (found []problem) {
	missing := o.missing()
	for i := range o.Faults {
		f, at := &o.Faults[i], fmt.Sprintf("$.observe.faults[%d]", i)
		found = append(found, f.problems(at)...)
		first := slices.IndexFunc(o.Faults, func(other ObserverFault) bool { return other.At == f.At })
		if f.At != "" && missing[f.At] && (f.Do != Miss || first != i) {
			found = append(found, problem{at + ".at", fmt.Errorf("observe: at %q: nobody captures there, says another fault", f.At)})
		}
	}
	if len(found) == 0 && len(missing) == len(sim.Points()) {
		found = append(found, problem{"$.observe.faults", fmt.Errorf("observe: nothing is left to analyze; leave one point")})
	}
	return found
}

func (f *ObserverFault) problems(at string) (found []problem) {
	bad := func(key, format string, args ...any) {
		found = append(found, problem{at + "." + key, fmt.Errorf("observe: "+format, args...)})
	}
	keys, known := observerKeys[f.Do]
	if !known {
		bad("do", "do %q: must be %s%s", f.Do, wordsWithOr(observerDeeds), nearest.Hint(f.Do, observerDeeds))
		return found
	}
	set := f.set()
	for _, key := range slices.Sorted(maps.Keys(set)) {
		switch {
		case set[key] && keys[key] == absent:
			bad(key, "%s has no %s", f.Do, key)
		case !set[key] && keys[key] == needed:
			bad(key, "%s needs %s, and not zero", f.Do, key)
		}
	}
	if points := sim.Points(); f.At != "" && !slices.Contains(points, f.At) {
		bad("at", "at %q: is no point; there are %s%s", f.At, strings.Join(points, ", "), nearest.Hint(f.At, points))
	}
	if d := f.Direction; d != "" && d != fault.ToServer && d != fault.ToClient {
		bad("direction", "direction %q: must be to-server or to-client", d)
	}
	within := func(key string, ok bool, got any, format string, args ...any) {
		if set[key] && keys[key] != absent && !ok {
			bad(key, "%s %v: must be "+format, append([]any{key, got}, args...)...)
		}
	}
	within("share", f.Share > 0 && f.Share <= 1, f.Share, "above 0, and at most 1")
	within("bytes", f.Bytes >= MinSnapLen && f.Bytes <= MaxSnapLen, f.Bytes, "%d to %d", MinSnapLen, MaxSnapLen)
	within("bursts", f.Bursts > 0 && f.Bursts <= maxBursts, f.Bursts, "1 to %d", maxBursts)
	within("length", f.Length > 0, f.Length, "above 0")
	within("by", f.By.Abs() <= maxClock, f.By, "at most a year")
	within("ppm", f.PPM >= -maxPPM && f.PPM <= maxPPM, f.PPM, "%d to %d", -maxPPM, maxPPM)
	return found
}

// observerDeeds lists the deeds, in their order.
var observerDeeds = []ObserverDeed{Miss, StripTrailers, KeepDirection, Duplicate, CutFrames, Lose, LoseBursts, StartLate, EndEarly,
	ShiftClock, DriftClock, StepClock}

// wordsWithOr lists words: "a, b or c".
func wordsWithOr[T ~string](words []T) string {
	all := list(words...)
	return strings.Join(all[:len(all)-1], ", ") + " or " + all[len(all)-1]
}

// at says whether f is one of a point's.
func (f *ObserverFault) at(point string) bool { return f.At == "" || f.At == point }

// fault is f at a point. Who is hit follows from the run's seed, the point, the deed and
// how many of the same there were before.
func (f *ObserverFault) fault(point string, seed uint64, nth int) observe.Fault {
	sum := fnv.New64a()
	fmt.Fprintf(sum, "%d %s %s %d", seed, point, f.Do, nth)
	dice, points := sum.Sum64(), []string{point}
	switch f.Do {
	case StripTrailers:
		return observe.StripTrailers{}
	case KeepDirection:
		return observe.OneDirection{Points: points, ToServer: f.Direction == fault.ToServer}
	case Duplicate:
		return observe.Duplicate{Point: point, Share: f.Share, Seed: dice}
	case CutFrames:
		return observe.Snaplen{Points: points, Bytes: f.Bytes}
	case Lose:
		return observe.Drop{Points: points, Share: f.Share, Tell: f.Reported, Seed: dice}
	case LoseBursts:
		return observe.Burst{Point: point, Count: f.Bursts, Length: f.Length, Tell: f.Reported, Seed: dice}
	case StartLate:
		return observe.CutStart{Point: point, Share: f.Share, Tell: f.Reported}
	case EndEarly:
		return observe.CutEnd{Point: point, Share: f.Share, Torn: f.Torn}
	case ShiftClock:
		return observe.Shift{Point: point, By: f.By}
	case DriftClock:
		return observe.Drift{Point: point, PPM: f.PPM}
	case StepClock:
		return observe.Step{Point: point, At: f.Share, By: f.By}
	}
	return observe.RemovePoints{Points: points}
}

// ObserverResult says what an observer's fault did at one point.
type ObserverResult struct {
	Point string       `json:"point"`
	Do    ObserverDeed `json:"do"`
	What  string       `json:"what"` // in words, with its measures
	// Before and After count the packets in the file, Changed those of which the time or
	// the bytes are others.
	Before  int `json:"before"`
	After   int `json:"after"`
	Changed int `json:"changed"`
}

// observe does to a capture what an observer's faults at its point do; false if nobody
// captured there.
func (o *Observe) observe(c *observe.Capture, seed uint64) (done []ObserverResult, there bool) {
	point, all := c.Point.Name, &observe.Captures{Points: []observe.Capture{*c}}
	nth := map[ObserverDeed]int{}
	for i := range o.Faults {
		f := &o.Faults[i]
		if !f.at(point) || f.Do == StripTrailers && !c.HasTrailers() {
			continue
		}
		before := packets(all)
		does := f.fault(point, seed, nth[f.Do])
		nth[f.Do]++
		does.Apply(all)
		after := packets(all)
		r := ObserverResult{Point: point, Do: f.Do, What: does.String(), Before: len(before), After: len(after)}
		for k := range after {
			if len(before) == len(after) && !after[k].Same(&before[k]) {
				r.Changed++
			}
		}
		done = append(done, r)
	}
	if len(all.Points) == 0 {
		return done, false
	}
	*c = all.Points[0]
	return done, true
}

// packets are the frames of captures but for the F5's description of its file.
func packets(c *observe.Captures) (all []observe.Frame) {
	for i := range c.Points {
		all = append(all, c.Points[i].Frames...)
	}
	if len(all) > 0 && observe.IsFileInfo(all[0].Data) {
		all = all[1:]
	}
	return all
}
