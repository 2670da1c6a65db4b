package verify

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Filter is a display filter of Wireshark, as far as verdicts use them: fields
// compared with ==, !=, >, <, >=, <=, joined by &&, ||, ! and parentheses, or a field
// alone, which asks whether it is there. See [Fields] for the fields.
//
// A field that occurs several times — an ICMP error quotes a packet, which has
// addresses of its own — matches if any of its values does; for != all must differ.
// A field that is absent makes any comparison false.
type Filter struct {
	root node
	text string
}

// UnsupportedError says that a filter cannot be checked: its syntax or a field is not
// among those that this package knows.
type UnsupportedError struct {
	Filter string
	Offset int // byte at which it begins
	Why    string
}

// Error implements error.
func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("cannot check filter %s: at byte %d: %s", clip(e.Filter), e.Offset, e.Why)
}

// clip bounds and quotes what somebody else wrote.
func clip(s string) string {
	const most = 120
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strconv.Quote(s)
}

// Bounds of a filter; ours have some 200 bytes and no nesting.
const (
	maxFilter = 4 << 10
	maxDepth  = 32
)

// Parse reads a filter. The error is an [*UnsupportedError].
func Parse(text string) (*Filter, error) {
	p := &parser{text: text}
	if len(text) > maxFilter {
		return nil, p.fail(0, fmt.Sprintf("longer than %d bytes", maxFilter))
	}
	p.next()
	root, err := p.or(0)
	if err == nil && p.tok != "" {
		err = p.fail(p.at, fmt.Sprintf("%s is not expected here", clip(p.tok)))
	}
	if err == nil {
		err = p.bad
	}
	if err != nil {
		return nil, err
	}
	return &Filter{root, text}, nil
}

// String returns the filter as it was written.
func (f *Filter) String() string { return f.text }

// Match tells whether a frame matches. An error means that Wireshark would decide by
// more than this one frame.
func (f *Filter) Match(x *Frame) (bool, error) { return f.root.match(x) }

// terms lists the comparisons that all must hold: those at the top, joined by &&.
func (f *Filter) terms() []*comparison {
	var out []*comparison
	var walk func(n node)
	walk = func(n node) {
		switch n := n.(type) {
		case *both:
			walk(n.a)
			walk(n.b)
		case *comparison:
			out = append(out, n)
		}
	}
	walk(f.root)
	return out
}

// fields lists every field of the filter.
func (f *Filter) fields() []string {
	var out []string
	var walk func(n node)
	walk = func(n node) {
		switch n := n.(type) {
		case *both:
			walk(n.a)
			walk(n.b)
		case *either:
			walk(n.a)
			walk(n.b)
		case *not:
			walk(n.a)
		case *comparison:
			out = append(out, n.name)
		}
	}
	walk(f.root)
	return out
}

type node interface {
	match(*Frame) (bool, error)
}

type both struct{ a, b node }
type either struct{ a, b node }
type not struct{ a node }

func (n *both) match(x *Frame) (bool, error) {
	if ok, err := n.a.match(x); !ok || err != nil {
		return false, err
	}
	return n.b.match(x)
}

func (n *either) match(x *Frame) (bool, error) {
	if ok, err := n.a.match(x); ok || err != nil {
		return ok, err
	}
	return n.b.match(x)
}

func (n *not) match(x *Frame) (bool, error) {
	ok, err := n.a.match(x)
	return !ok && err == nil, err
}

// comparison is a field against a value; op "" asks whether the field is there.
type comparison struct {
	name string
	*field
	op   string
	want value
}

func (c *comparison) match(x *Frame) (bool, error) {
	have, err := c.get(x)
	if err != nil || len(have) == 0 {
		return false, err
	}
	if c.op == "" {
		return true, nil
	}
	for _, v := range have {
		switch ok := holds(v.compare(c.want), c.op); {
		case c.op == "!=" && !ok:
			return false, nil
		case c.op != "!=" && ok:
			return true, nil
		}
	}
	return c.op == "!=", nil
}

func holds(order int, op string) bool {
	switch op {
	case "==":
		return order == 0
	case "!=":
		return order != 0
	case ">":
		return order > 0
	case "<":
		return order < 0
	case ">=":
		return order >= 0
	}
	return order <= 0 // <=
}

// value is what a field holds: exactly one of number, address, text, by the
// field's kind.
type value struct {
	number uint64
	addr   netip.Addr
	text   string
}

func (v value) compare(w value) int {
	switch {
	case v.addr.IsValid():
		return v.addr.Compare(w.addr)
	case v.number != w.number:
		if v.number < w.number {
			return -1
		}
		return 1
	}
	return strings.Compare(v.text, w.text)
}
