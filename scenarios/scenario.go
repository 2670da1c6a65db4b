package scenarios

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/sim"
	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"
)

// Scenario is a named failure, as written in its file.
type Scenario struct {
	Name    string        `yaml:"name"`
	Title   string        `yaml:"title"`
	Symptom string        `yaml:"symptom"` // in the customer's words
	Lab     Lab           `yaml:"lab"`
	F5      F5            `yaml:"f5"`
	Traffic Traffic       `yaml:"traffic"`
	Faults  []fault.Fault `yaml:"faults"`
	Observe Observe       `yaml:"observe"`
	Expect  []Expectation `yaml:"expect"`
	Lesson  Lesson        `yaml:"lesson"`
}

// Lab chooses the network.
type Lab struct {
	Base   string          `yaml:"base"`   // "standard", the only one so far; "" means it
	Family topology.Family `yaml:"family"` // "" means ipv4
}

// F5 configures the full proxy. The zero value is the incident's.
type F5 struct {
	Serverside      bigip.TCPProfile    `yaml:"serverside"`
	EthernetTrailer bigip.TrailerFormat `yaml:"ethernet-trailer"` // "" means dpt
}

// Traffic is the batch.
type Traffic struct {
	Requests    int `yaml:"requests"`
	Concurrency int `yaml:"concurrency"` // requests in flight
}

// Observe are faults of the observer; there are none yet.
type Observe struct{}

// Expectation is a right answer.
type Expectation struct {
	Pair   `yaml:",inline"`
	Accept []Pair `yaml:"accept"` // answers that are right as well
}

// Pair is a hop and a cause.
type Pair struct {
	Hop   string         `yaml:"hop" json:"hop"`
	Cause analyzer.Cause `yaml:"cause" json:"cause"`
}

// Lesson is what a scenario teaches.
type Lesson struct {
	Questions []string `yaml:"questions"`
	Hints     []string `yaml:"hints"` // in order
	Answer    string   `yaml:"answer"`
	OnDevice  []string `yaml:"on-the-device"` // what to type on the real one
}

// Defaults of a scenario's traffic.
const (
	defaultRequests    = 20000
	defaultConcurrency = 256
)

// Config returns what is to be run, for a seed.
func (s *Scenario) Config(seed uint64) sim.Config {
	c := sim.Config{
		Family: s.Lab.Family, Serverside: s.F5.Serverside, Trailer: s.F5.EthernetTrailer,
		Requests: s.Traffic.Requests, Concurrency: s.Traffic.Concurrency, Faults: s.Faults, Seed: seed,
	}
	if c.Requests == 0 {
		c.Requests = defaultRequests
	}
	if c.Concurrency == 0 {
		c.Concurrency = defaultConcurrency
	}
	return c
}

// Validate reports what in s cannot be run or judged.
func (s *Scenario) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if s.Name == "" || strings.ContainsFunc(s.Name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-'
	}) {
		bad("name %q: must be lower-case letters, digits and hyphens", s.Name)
	}
	if s.Lab.Base != "" && s.Lab.Base != "standard" {
		bad("lab: base %q: there is only standard", s.Lab.Base)
	}
	c := s.Config(0)
	if err := c.Validate(); err != nil {
		errs = append(errs, err)
		return errors.Join(errs...)
	}
	spec, err := c.Spec()
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	for _, e := range s.Expect {
		for _, p := range append([]Pair{e.Pair}, e.Accept...) {
			errs = append(errs, p.validate(&spec))
		}
	}
	for i := range s.Faults {
		for _, p := range truthPairs(&s.Faults[i], &spec) {
			if !slices.ContainsFunc(s.Expect, func(e Expectation) bool { return e.Pair == p }) {
				bad("expect: the truth of fault %s is {hop: %s, cause: %s}, which is not listed", s.Faults[i].Name, p.Hop, p.Cause)
			}
		}
	}
	return errors.Join(errs...)
}

func (p Pair) validate(spec *topology.Spec) error {
	if p.Cause == analyzer.Inconclusive && p.Hop == "" {
		return nil
	}
	if !p.Cause.Valid() {
		var known []string
		for c := range analyzer.Causes {
			known = append(known, string(c))
		}
		return fmt.Errorf("expect: cause %q: unknown%s", p.Cause, didYouMean(string(p.Cause), known))
	}
	if _, isNode := spec.Node(p.Hop); !isNode && !strings.HasPrefix(p.Hop, "link:") {
		return fmt.Errorf("expect: hop %q: must be a node, or link:A-B of two captured nodes", p.Hop)
	}
	return nil
}
