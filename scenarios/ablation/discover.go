package ablation

import "github.com/hopblame/hopblame/analyzer"

// UnsupportedError says what the analyzer cannot do; such cases are counted apart.
type UnsupportedError struct{ What string }

func (e *UnsupportedError) Error() string { return "unsupported: " + e.What }

// discover finds out where each of some files that nothing is known of was
// captured, by what is in them.
func discover([]string) ([]analyzer.Point, error) {
	return nil, &UnsupportedError{"captures without points.json"}
}
