package bigip

import (
	"bytes"
	"slices"
	"strings"
)

// Rule is what an iRule for HTTP_REQUEST would say: if the request's path and header
// are these, then that. Empty conditions hold always.
type Rule struct {
	Path   string     `yaml:"path"`   // what the request target starts with
	Header string     `yaml:"header"` // "Name: value"; the value is compared whole, "" means any
	Do     RuleAction `yaml:"do"`
}

// RuleAction is what a rule does.
type RuleAction string

// The actions.
const (
	RuleReject RuleAction = "reject" // RST to the client
	RuleDrop   RuleAction = "drop"   // the connection is forgotten without a packet
)

func (r *Rule) validate(bad report) {
	if r.Do == "" {
		bad("do: a rule must reject or drop")
	}
	oneOf(bad, "do", r.Do, RuleReject, RuleDrop)
	if name, _, ok := strings.Cut(r.Header, ":"); r.Header != "" && (!ok || strings.TrimSpace(name) == "") {
		bad("header %q: must be \"Name: value\"", r.Header)
	}
}

// matches says whether a rule is for a request: by its target, and by the values that
// its header has for a field's name.
func (r *Rule) matches(target string, values func(name string) []string) bool {
	if !strings.HasPrefix(target, r.Path) {
		return false
	}
	if r.Header == "" {
		return true
	}
	name, value, _ := strings.Cut(r.Header, ":")
	value = strings.TrimSpace(value)
	got := values(name)
	return len(got) > 0 && (value == "" || slices.Contains(got, value))
}

// decide returns what the first rule that matches a request does to it; false if none
// does.
func decide(rules []Rule, target string, values func(name string) []string) (Event, bool) {
	for i := range rules {
		if !rules[i].matches(target, values) {
			continue
		}
		if rules[i].Do == RuleDrop {
			return RuleDrops, true
		}
		return RuleRejects, true
	}
	return 0, false
}

// decideHeader is decide for a request of which nothing but its header is known.
func decideHeader(rules []Rule, header []byte) (Event, bool) {
	if len(rules) == 0 {
		return 0, false
	}
	line, fields, _ := bytes.Cut(header, []byte("\r\n"))
	_, target, _ := bytes.Cut(line, []byte(" "))
	return decide(rules, string(target), func(name string) []string {
		if value, found := field(fields, name); found {
			return []string{string(value)}
		}
		return nil
	})
}
