package scenarios

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// problem is something that a scenario says and that cannot be, with the YAML
// path of the value that says it.
type problem struct {
	path string
	error
}

// leaves takes joined errors apart.
func leaves(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, leaves(e)...)
	}
	return all
}

// place returns the path of the value that an error of [sim.Config.Validate] is
// about. Those errors begin with the part of the file and the key, in the file's
// own words.
func (s *Scenario) place(message string) string {
	part, rest, _ := strings.Cut(strings.TrimPrefix(message, "topology: "), ": ")
	key, _, _ := strings.Cut(rest, " ")
	switch fault, isFault := strings.CutPrefix(part, "fault "); {
	case isFault:
		for i := len(s.Faults) - 1; i >= 0; i-- { // of two with one name, the second
			if s.Faults[i].Name == fault {
				return fmt.Sprintf("$.faults[%d].%s", i, key)
			}
		}
		return "$.faults"
	case part == "f5":
		at := "$.f5"
		for strings.Contains(rest, ": ") {
			section, below, _ := strings.Cut(rest, ": ")
			if strings.Contains(section, " ") {
				break
			}
			at, rest = at+"."+section, below
		}
		key, _, _ := strings.Cut(rest, " ")
		return at + "." + key
	case part == "lab", part == "traffic", part == "firewall":
		return "$." + part + "." + key
	}
	return "$"
}

// locate returns where in the text a path is, or the nearest part of the path
// that is there: a value that is wrong may be one that was left out.
func locate(text []byte, at string) (line, column int) {
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return 1, 1
	}
	for ; at != "$"; at = at[:strings.LastIndexAny(at, ".[")] {
		path, err := yaml.PathString(at)
		if err != nil {
			continue
		}
		if node, err := path.FilterFile(file); err == nil && node != nil {
			if p := first(node).GetToken().Position; p != nil {
				return p.Line, p.Column
			}
		}
	}
	return 1, 1
}

// first returns the node that a node's text begins with.
func first(n ast.Node) ast.Node {
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return n.Values[0].Key
		}
	case *ast.MappingValueNode:
		return n.Key
	}
	return n
}

// zeros are the values for which zero would mean the default, and that somebody
// who writes a zero does not mean.
var zeros = map[string]string{
	"$.traffic.requests":                "must be at least 1",
	"$.traffic.concurrency":             "must be at least 1",
	"$.traffic.timeout":                 "must be 100ms to 10m0s",
	"$.traffic.requests-per-connection": "must be 1 to 1000",
	"$.f5.serverside.syn-rto-base":      "must be at least 10ms",
	"$.f5.pool.monitor.interval":        "must be 25ms to 24h0m0s",
	"$.f5.pool.monitor.timeout":         "must be at least the interval",
	"$.f5.snat.ports":                   "must be at least 1",
	"$.firewall.max-sessions":           "must be at least 1",
	"$.firewall.timeout-tcp":            "must be at least 100ms",
	"$.firewall.timeout-tcp-time-wait":  "must be at least 100ms",
	"$.firewall.syn-rate":               "must be at least 1",
	"$.firewall.syn-burst":              "must be at least 1",
}

// silences finds what would be taken for something that was not meant: a zero
// that stands for a default, a fault without a probability, which would never
// strike.
func silences(text []byte, s *Scenario) (problems []problem) {
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil
	}
	there := func(at string) ast.Node {
		path, err := yaml.PathString(at)
		if err != nil {
			return nil
		}
		n, err := path.FilterFile(file)
		if err != nil {
			return nil
		}
		return n
	}
	for _, at := range slices.Sorted(maps.Keys(zeros)) {
		if n := there(at); n != nil && strings.Trim(n.GetToken().Value, "0.smh~") == "" {
			key := at[strings.LastIndexByte(at, '.')+1:]
			problems = append(problems, problem{at, fmt.Errorf("%s %s: %s", key, n.GetToken().Value, zeros[at])})
		}
	}
	for i := range s.Faults {
		if at := fmt.Sprintf("$.faults[%d]", i); there(at+".probability") == nil {
			problems = append(problems, problem{at, fmt.Errorf("fault %s: has no probability; give 0 to 1", s.Faults[i].Name)})
		}
	}
	return problems
}

// secondDocument returns where a file's second document begins.
func secondDocument(text []byte) (line, column int) {
	file, err := parser.ParseBytes(text, 0)
	if err == nil {
		for i, d := range file.Docs {
			if i > 0 && d.Start != nil {
				return d.Start.Position.Line, d.Start.Position.Column
			}
		}
	}
	return 1, 1
}
