package analyzer

import (
	"math"
	"slices"
	"sort"
	"time"
)

// timeIndex knows roughly which frames were captured when. It is small: an
// entry for 256 frames, one for each pause, one for each jump of the clock.
type timeIndex struct {
	first, last int64    // earliest and latest time
	file        [2]int64 // the same by the file's own clock
	chunks      []chunk
	gaps        []gap
	epochs      []clockEpoch
	high        int64   // latest time of the present epoch
	disorder    int64   // how far timestamps go back inside an epoch, at most
	finer       [2]bool // some time is no whole millisecond, no whole microsecond
}

// chunk is chunkFrames frames. seen are the packets that were acknowledged among
// them, and missed those that were too, but are not in the capture; by direction.
type chunk struct {
	frame        uint64 // first frame
	min, max     int64
	seen, missed [2]uint32 // to the client, to the server
}

// gap is a time without packets; missed counts what other points saw in it.
type gap struct {
	from, to int64
	missed   int
	epoch    int // of its end
	jump     bool
}

// clockEpoch is a stretch of frames in which the capture's clock did not jump by
// more than clockJump. At its start, either nothing passed for so long, or
// the clock was set: other captures tell which (see [steadyClocks]).
type clockEpoch struct {
	frame uint64 // first frame
	min   int64  // its first time
	step  int64  // what to take off its times, so that the point has one steady clock
	away  bool   // its time cannot be compared with anything
}

const (
	chunkFrames = 256
	minGap      = int64(250 * time.Millisecond)
	maxGaps     = 1 << 16
	// clockJump is a second: more than any queue puts frames out of order, and
	// less than a clock is set by when somebody notices.
	clockJump = int64(time.Second)
	maxEpochs = 1 << 12
)

func (x *timeIndex) note(frame uint64, t int64) {
	n := len(x.chunks)
	if n == 0 {
		x.first, x.last, x.high = t, t, t
		x.epochs = append(x.epochs, clockEpoch{frame: frame, min: t})
	}
	if d := t - x.high; (d > clockJump || d < -clockJump) && len(x.epochs) < maxEpochs {
		x.jump(frame, t)
		n = len(x.chunks)
	}
	if !x.finer[1] {
		x.finer[0] = x.finer[0] || t%int64(time.Millisecond) != 0
		x.finer[1] = t%int64(time.Microsecond) != 0
	}
	if n == 0 || frame-x.chunks[n-1].frame >= chunkFrames {
		x.chunks = append(x.chunks, chunk{frame: frame, min: t, max: t})
		n++
	}
	c := &x.chunks[n-1]
	c.min, c.max = min(c.min, t), max(c.max, t)
	if t > x.high {
		if t-x.high > minGap && len(x.gaps) < maxGaps {
			x.gaps = append(x.gaps, gap{from: x.high, to: t, epoch: len(x.epochs) - 1})
		}
		x.high = t
	} else {
		x.disorder = max(x.disorder, x.high-t)
	}
	x.first, x.last = min(x.first, t), max(x.last, t)
}

// jump begins a new epoch.
func (x *timeIndex) jump(frame uint64, t int64) {
	x.epochs = append(x.epochs, clockEpoch{frame: frame, min: t})
	x.chunks = append(x.chunks, chunk{frame: frame, min: t, max: t})
	if t > x.high && len(x.gaps) < maxGaps {
		x.gaps = append(x.gaps, gap{from: x.high, to: t, epoch: len(x.epochs) - 1, jump: true})
	}
	x.high = t
}

// tick is the grain of the capture's times, as its frames show it.
func (x *timeIndex) tick() int64 {
	switch {
	case len(x.chunks) == 0:
		return 1
	case !x.finer[0] && !x.finer[1]:
		return int64(time.Millisecond)
	case !x.finer[1]:
		return int64(time.Microsecond)
	}
	return 1
}

// epochOf returns the epoch of a frame.
func (x *timeIndex) epochOf(frame uint64) int {
	return max(0, sort.Search(len(x.epochs), func(i int) bool { return x.epochs[i].frame > frame })-1)
}

// steady corrects a frame's time to the point's one steady clock.
func (x *timeIndex) steady(frame uint64, t int64) int64 {
	if len(x.epochs) < 2 {
		return t
	}
	return t - x.epochs[x.epochOf(frame)].step
}

// correct applies the epochs' steps to what the index itself knows.
func (x *timeIndex) correct() {
	if len(x.chunks) == 0 {
		return
	}
	x.file = [2]int64{x.first, x.last}
	x.first, x.last = math.MaxInt64, math.MinInt64
	for i := range x.chunks {
		c := &x.chunks[i]
		step := x.epochs[x.epochOf(c.frame)].step
		c.min, c.max = c.min-step, c.max-step
		x.first, x.last = min(x.first, c.min), max(x.last, c.max)
	}
	for i := range x.gaps {
		g := &x.gaps[i]
		before := g.epoch
		if g.jump {
			before--
		}
		g.from, g.to = g.from-x.epochs[before].step, g.to-x.epochs[g.epoch].step
	}
}

// frames returns a range of frame numbers that surely includes every frame
// captured between from and to. last is the file's last frame.
func (x *timeIndex) frames(from, to int64, last uint64) (first, final uint64) {
	first, final = math.MaxUint64, 0
	for i, c := range x.chunks {
		if c.max < from || c.min > to {
			continue
		}
		end := last
		if i+1 < len(x.chunks) {
			end = x.chunks[i+1].frame - 1
		}
		first, final = min(first, x.begin(i)), max(final, end)
	}
	if final == 0 { // in a pause: the frames around it
		i := sort.Search(len(x.chunks), func(i int) bool { return x.chunks[i].min > to })
		first, final = 1, last
		if i > 0 {
			first = x.begin(i - 1)
		}
		if i < len(x.chunks) {
			final = x.chunks[i].frame
		}
	}
	return first, final
}

// begin is where a chunk begins: the first one with the file, which has nothing of
// the point before it.
func (x *timeIndex) begin(i int) uint64 {
	if i == 0 {
		return 1
	}
	return x.chunks[i].frame
}

// raw is the reverse of steady: a frame's time as the file has it.
func (x *timeIndex) raw(frame uint64, t int64) int64 {
	if len(x.epochs) < 2 {
		return t
	}
	return t + x.epochs[x.epochOf(frame)].step
}

// stepOf is what was taken off the times of an epoch.
func (x *timeIndex) stepOf(epoch uint16) int64 {
	if len(x.epochs) == 0 {
		return 0
	}
	return x.epochs[epoch].step
}

// wasSet tells whether the clock was set while the capture ran.
func (x *timeIndex) wasSet() bool {
	return slices.ContainsFunc(x.epochs, func(e clockEpoch) bool { return e.step != 0 || e.away })
}

// unsteady tells whether the clock was set by an amount that nothing tells.
func (x *timeIndex) unsteady() bool {
	return slices.ContainsFunc(x.epochs, func(e clockEpoch) bool { return e.away })
}
