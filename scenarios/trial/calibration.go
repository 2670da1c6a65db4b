package trial

// Calibration says whether an analyzer knows how certain it is: of the verdicts that it
// gives a probability of 0.9, nine in ten are to be right.
type Calibration struct {
	Verdicts int `json:"verdicts"` // that name something
	// Brier is the mean of (confidence − right)², right being 1 or 0: 0 is perfect, 0.25
	// what always saying one half gets (Brier 1950, Monthly Weather Review 78).
	Brier   float64  `json:"brier"`
	Buckets []Bucket `json:"buckets"` // those with verdicts in them
}

// Bucket is a range of confidences, its lower end included.
type Bucket struct {
	From     float64 `json:"from"`
	To       float64 `json:"to"`
	Verdicts int     `json:"verdicts"`
	Said     float64 `json:"said"`  // confidence, on average
	Right    float64 `json:"right"` // share that was
}

// claim is a confidence, and how it turned out.
type claim struct {
	confidence float64
	right      bool
}

// edges of the buckets: close together where an analyzer that does not guess has its
// confidences. The last bucket includes its upper end.
var edges = []float64{0, 0.5, 0.8, 0.9, 0.99, 0.999, 1}

func calibrate(claims []claim) *Calibration {
	c := &Calibration{Verdicts: len(claims), Buckets: []Bucket{}}
	buckets := make([]Bucket, len(edges)-1)
	for _, k := range claims {
		right := 0.0
		if k.right {
			right = 1
		}
		c.Brier += (k.confidence - right) * (k.confidence - right) / float64(len(claims))
		at := 0
		for at < len(buckets)-1 && k.confidence >= edges[at+1] {
			at++
		}
		b := &buckets[at]
		b.Verdicts, b.Said, b.Right = b.Verdicts+1, b.Said+k.confidence, b.Right+right
	}
	for i, b := range buckets {
		if n := float64(b.Verdicts); n > 0 {
			c.Buckets = append(c.Buckets, Bucket{edges[i], edges[i+1], b.Verdicts, b.Said / n, b.Right / n})
		}
	}
	return c
}
