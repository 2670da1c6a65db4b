package ablation

import (
	"errors"

	"github.com/hopblame/hopblame/analyzer"
)

// UnsupportedError says what the analyzer cannot do; such cases are counted apart.
type UnsupportedError struct{ What string }

func (e *UnsupportedError) Error() string { return "unsupported: " + e.What }

// bare returns the points of files that nothing is known of, in no order: a point
// without a hop is one whose place the analyzer is to find out.
func bare(points []analyzer.Point) []analyzer.Point {
	out := make([]analyzer.Point, len(points))
	for i, p := range points {
		out[i] = analyzer.Point{File: p.File, Path: p.Path}
	}
	return out
}

// supported tells an analyzer that takes no bare files from one that found
// something wrong with these.
func supported(err error) error {
	var input *analyzer.InputError
	if errors.As(err, &input) && errors.Is(err, analyzer.ErrMalformed) && input.File == "points" && input.What == "entry 1 has no name or no hop" {
		return &UnsupportedError{"captures without points.json"}
	}
	return err
}
