package observe

import (
	"slices"
	"strings"
)

// RemovePoints takes whole captures away: nobody captured there.
type RemovePoints struct{ Points []string }

// Name implements [Fault].
func (a RemovePoints) Name() string { return "a point removed" }

func (a RemovePoints) String() string { return "without " + strings.Join(a.Points, " and ") }

// Apply implements [Fault].
func (a RemovePoints) Apply(c *Captures) {
	c.Points = slices.DeleteFunc(slices.Clone(c.Points), func(p Capture) bool { return slices.Contains(a.Points, p.Point.Name) })
}
