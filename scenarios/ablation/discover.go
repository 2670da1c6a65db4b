package ablation

import "github.com/hopblame/hopblame/analyzer"

// bare returns the points of files that nothing is known of, in no order: a point
// without a hop is one whose place the analyzer is to find out.
func bare(points []analyzer.Point) []analyzer.Point {
	out := make([]analyzer.Point, len(points))
	for i, p := range points {
		out[i] = analyzer.Point{File: p.File, Path: p.Path}
	}
	return out
}
