package scenarios

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/internal/nearest"
	"github.com/hopblame/hopblame/sim"
	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/sim/client"
	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/sim/firewall"
	"github.com/hopblame/hopblame/topology"
)

// Scenario is a named failure, as written in its file.
type Scenario struct {
	Name    string `yaml:"name"`
	Title   string `yaml:"title"`
	Symptom string `yaml:"symptom"` // in the customer's words
	// Class is shared by scenarios that look the same to the client and in the f5's RST
	// cause, and that have no answer in common: twins. "" is none.
	Class    string          `yaml:"symptom-class"`
	Lab      Lab             `yaml:"lab"`
	F5       bigip.Config    `yaml:"f5"`
	Firewall firewall.Config `yaml:"firewall"`
	Traffic  Traffic         `yaml:"traffic"`
	Faults   []fault.Fault   `yaml:"faults"`
	Observe  Observe         `yaml:"observe"`
	Expect   []Expectation   `yaml:"expect"`
	Lesson   Lesson          `yaml:"lesson"`
}

// Lab chooses the network.
type Lab struct {
	Base   string          `yaml:"base"`   // "standard", the only one so far; "" means it
	Family topology.Family `yaml:"family"` // "" means ipv4
}

// Traffic is the batch.
type Traffic struct {
	Requests    int           `yaml:"requests"`
	Only        []int         `yaml:"only"`        // the requests that are sent of them, by ordinal; none listed: all
	Concurrency int           `yaml:"concurrency"` // requests in flight
	Timeout     time.Duration `yaml:"timeout"`     // of a request, at the client; 0 means two minutes
	// AnswerAfter is how long the servers take for a request, as reports do; 0 is at once.
	AnswerAfter time.Duration `yaml:"answer-after"`
	// DeferAccept has the servers wait for a connection's first data before they take it.
	DeferAccept bool `yaml:"defer-accept"`
	// Protocol is what the client speaks; the f5's virtual server must understand it.
	Protocol client.Protocol `yaml:"protocol"`
	// RequestsPerConnection is how many requests in a row share a connection: with
	// https one after the other, with h2 at once as streams. 0 means 1, and 8 with h2.
	RequestsPerConnection int `yaml:"requests-per-connection"`
	// SequenceNumbers are those of the client's connections.
	SequenceNumbers client.SequenceNumbers `yaml:"sequence-numbers"`
	// LargeRequests is which part of the requests has a body that no packet holds
	// whole: 0 to 1.
	LargeRequests float64 `yaml:"large-requests"`
	// KeyLog says whether the client's TLS secrets are put beside the captures; nil
	// means that they are if there are any.
	KeyLog *bool `yaml:"key-log"`
}

// logsKeys says whether there is to be a key log.
func (t *Traffic) logsKeys() bool {
	return t.Protocol.Secure() && (t.KeyLog == nil || *t.KeyLog)
}

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

// String is "firewall syn-dropped", or the cause alone where no hop is named.
func (p Pair) String() string {
	if p.Hop == "" {
		return string(p.Cause)
	}
	return p.Hop + " " + string(p.Cause)
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
		Family: s.Lab.Family, F5: s.F5, Firewall: s.Firewall,
		Requests: s.Traffic.Requests, Only: s.Traffic.Only, Concurrency: s.Traffic.Concurrency, Timeout: s.Traffic.Timeout, AnswerAfter: s.Traffic.AnswerAfter, DeferAccept: s.Traffic.DeferAccept,
		Protocol: s.Traffic.Protocol, RequestsPerConnection: s.Traffic.RequestsPerConnection, SequenceNumbers: s.Traffic.SequenceNumbers, LargeRequests: s.Traffic.LargeRequests,
		Faults: s.Faults, Seed: seed,
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
	for _, p := range s.problems() {
		errs = append(errs, p.error)
	}
	return errors.Join(errs...)
}

// problems reports what in s cannot be run or judged, and where s says it.
func (s *Scenario) problems() (found []problem) {
	bad := func(path, format string, args ...any) {
		found = append(found, problem{path, fmt.Errorf(format, args...)})
	}
	if s.Name == "" || !isSlug(s.Name) {
		bad("$.name", "name %q: must be lower-case letters, digits and hyphens", s.Name)
	}
	if !isSlug(s.Class) {
		bad("$.symptom-class", "symptom-class %q: must be lower-case letters, digits and hyphens", s.Class)
	}
	if s.Lab.Base != "" && s.Lab.Base != "standard" {
		bad("$.lab.base", "lab: base %q: there is only standard", s.Lab.Base)
	}
	if s.Traffic.KeyLog != nil && *s.Traffic.KeyLog && !s.Traffic.Protocol.Secure() {
		bad("$.traffic.key-log", "traffic: key-log true: protocol http has no keys; say https or h2")
	}
	found = append(found, s.Observe.problems()...)
	c := s.Config(0)
	spec, err := c.Spec()
	if err == nil {
		err = c.Validate()
	}
	if err != nil {
		for _, e := range leaves(err) {
			found = append(found, problem{s.place(e.Error()), e})
		}
		return found
	}
	for i, e := range s.Expect {
		at := fmt.Sprintf("$.expect[%d]", i)
		found = append(found, e.validate(&spec, at)...)
		for j, p := range e.Accept {
			found = append(found, p.validate(&spec, fmt.Sprintf("%s.accept[%d]", at, j))...)
		}
	}
	if len(found) > 0 {
		return found // a truth that is not listed is then the same problem, or hides it
	}
	for i := range s.Faults {
		if waitedFor(&c, &s.Faults[i]) {
			continue
		}
		for _, p := range truthPairs(&s.Faults[i], &spec) {
			if !slices.ContainsFunc(s.Expect, func(e Expectation) bool { return e.Pair == p || slices.Contains(e.Accept, p) }) {
				bad("$.expect", "expect: the truth of fault %s is {hop: %q, cause: %s}, which is not listed", s.Faults[i].Name, p.Hop, p.Cause)
			}
		}
	}
	return found
}

// isSlug says whether there is nothing in a name but lower-case letters, digits and hyphens.
func isSlug(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-'
	})
}

// validate reports what in p, which is at a path, no verdict could ever say.
func (p Pair) validate(spec *topology.Spec, at string) (found []problem) {
	if p.Cause == analyzer.Inconclusive && p.Hop == "" {
		return nil
	}
	if !p.Cause.Valid() {
		found = append(found, problem{at + ".cause", fmt.Errorf("expect: unknown cause %q%s", p.Cause, nearest.HintOrAll(p.Cause, slices.Collect(maps.Keys(analyzer.Causes))))})
	}
	if known := hops(spec); !slices.Contains(known, p.Hop) {
		found = append(found, problem{at + ".hop", fmt.Errorf("expect: unknown hop %q%s; there are %s",
			p.Hop, nearest.Hint(p.Hop, known), strings.Join(known, ", "))})
	}
	return found
}
