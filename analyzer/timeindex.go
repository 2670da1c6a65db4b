package analyzer

import (
	"math"
	"sort"
	"time"
)

// timeIndex knows roughly which frames were captured when. It is small: an
// entry for 256 frames, and one for each pause.
type timeIndex struct {
	first, last int64
	chunks      []chunk
	gaps        []gap // pauses of all traffic at the point
}

type chunk struct {
	frame    uint64 // first frame
	min, max int64
}

// gap is a time without packets; missed counts what other points saw in it.
type gap struct {
	from, to int64
	missed   int
}

const (
	chunkFrames = 256
	minGap      = int64(250 * time.Millisecond)
	maxGaps     = 1 << 16
)

func (x *timeIndex) note(frame uint64, t int64) {
	n := len(x.chunks)
	if n == 0 {
		x.first, x.last = t, t
	}
	if n == 0 || frame-x.chunks[n-1].frame >= chunkFrames {
		x.chunks = append(x.chunks, chunk{frame, t, t})
		n++
	}
	c := &x.chunks[n-1]
	c.min, c.max = min(c.min, t), max(c.max, t)
	if t > x.last {
		if t-x.last > minGap && len(x.gaps) < maxGaps {
			x.gaps = append(x.gaps, gap{from: x.last, to: t})
		}
		x.last = t
	}
	x.first = min(x.first, t)
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
		first, final = min(first, c.frame), max(final, end)
	}
	if final == 0 { // in a pause: the frames around it
		i := sort.Search(len(x.chunks), func(i int) bool { return x.chunks[i].min > to })
		first, final = 1, last
		if i > 0 {
			first = x.chunks[i-1].frame
		}
		if i < len(x.chunks) {
			final = x.chunks[i].frame
		}
	}
	return first, final
}
