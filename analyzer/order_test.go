package analyzer

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPointsThatContradictTheCapturesAreRefused(t *testing.T) {
	for _, row := range []struct {
		name string
		edit func(points []Point) []Point
		want string // "" for none
	}{
		{"in path order", func(p []Point) []Point { return p }, ""},
		{"the firewall's two captures swapped", func(p []Point) []Point {
			p[2].Path, p[3].Path = p[3].Path, p[2].Path
			return p
		}, "firewall/feth11 comes before firewall/feth10, but"},
		{"all in reverse, and nobody says which side they are on", func(p []Point) []Point {
			slices.Reverse(p)
			for i := range p {
				p[i].Side = ""
			}
			return p
		}, "server2/eth0 comes before firewall/feth10, but"},
		{"one capture for two points", func(p []Point) []Point {
			p[3].Path = p[2].Path
			return p
		}, "is given for firewall/feth11 and for firewall/feth10"},
		{"an interface that is not in the file", func(p []Point) []Point {
			p[2].Interface = "eth9"
			return p
		}, "there is no interface eth9 in this file; there are feth11"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newStory(t)
			s.background(0, 100)
			// A clock that is off must not look like another order.
			s.clock["firewall/feth10"] = -3 * time.Second
			_, err := Analyze(t.Context(), row.edit(s.write()), Options{})
			switch {
			case row.want == "" && err != nil:
				t.Error(err)
			case row.want != "" && (!errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), row.want)):
				t.Errorf("got %v, want %q", err, row.want)
			}
		})
	}
}
