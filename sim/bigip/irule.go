package bigip

import (
	"bytes"
	"net/http"
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

// matches says whether a rule is for a request, of which the header is given.
func (r *Rule) matches(header []byte) bool {
	line, fields, _ := bytes.Cut(header, []byte("\r\n"))
	_, target, _ := bytes.Cut(line, []byte(" "))
	if !bytes.HasPrefix(target, []byte(r.Path)) {
		return false
	}
	if r.Header == "" {
		return true
	}
	name, value, _ := strings.Cut(r.Header, ":")
	got, found := field(fields, name)
	return found && (strings.TrimSpace(value) == "" || string(got) == strings.TrimSpace(value))
}

// decide returns the action of the first rule that matches; "" if none does.
func decide(rules []Rule, header []byte) RuleAction {
	for i := range rules {
		if rules[i].matches(header) {
			return rules[i].Do
		}
	}
	return ""
}

// matchesRequest is matches for a request that has been parsed.
func (r *Rule) matchesRequest(req *http.Request) bool {
	if !strings.HasPrefix(req.RequestURI, r.Path) {
		return false
	}
	if r.Header == "" {
		return true
	}
	name, value, _ := strings.Cut(r.Header, ":")
	value = strings.TrimSpace(value)
	got, found := req.Header[http.CanonicalHeaderKey(name)]
	return found && (value == "" || slices.Contains(got, value))
}
