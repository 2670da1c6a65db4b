package verify

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// parser reads a filter by recursive descent: || binds weakest, then &&, then !.
type parser struct {
	text  string
	pos   int    // behind tok
	at    int    // where tok begins
	tok   string // "" at the end
	quote bool   // tok is a string, unquoted already
	bad   error  // what the scanner could not read
}

func (p *parser) fail(at int, why string) error { return &UnsupportedError{p.text, at, why} }

const blanks = " \t\r\n"

// next scans a token: an operator, a quoted string, or a word.
func (p *parser) next() {
	for p.pos < len(p.text) && strings.IndexByte(blanks, p.text[p.pos]) >= 0 {
		p.pos++
	}
	p.at, p.tok, p.quote = p.pos, "", false
	if p.pos == len(p.text) || p.bad != nil {
		return
	}
	rest := p.text[p.pos:]
	for _, op := range []string{"&&", "||", "===", "!==", "==", "!=", ">=", "<=", "(", ")", "!", ">", "<"} {
		if strings.HasPrefix(rest, op) {
			p.tok = op
			p.pos += len(op)
			return
		}
	}
	if rest[0] == '"' {
		p.scanString()
		return
	}
	n := strings.IndexAny(rest, blanks+"&|=!<>()\"")
	if n < 0 {
		n = len(rest)
	}
	if n == 0 {
		p.bad = p.fail(p.at, fmt.Sprintf("%s is no token", clip(rest[:1])))
		return
	}
	p.tok = rest[:n]
	p.pos += n
}

// scanString reads a string in double quotes. Of Wireshark's escapes only \" and \\
// are read.
func (p *parser) scanString() {
	var b strings.Builder
	for i := p.pos + 1; i < len(p.text); i++ {
		switch c := p.text[i]; c {
		case '"':
			p.tok, p.quote, p.pos = b.String(), true, i+1
			if p.tok == "" {
				p.bad = p.fail(p.at, "an empty string")
			}
			return
		case '\\':
			i++
			if i == len(p.text) || p.text[i] != '"' && p.text[i] != '\\' {
				p.bad = p.fail(i-1, `an escape other than \" and \\`)
				return
			}
			b.WriteByte(p.text[i])
		default:
			b.WriteByte(c)
		}
	}
	p.bad = p.fail(p.at, "a string without its end")
}

func (p *parser) is(ops ...string) bool {
	if p.quote {
		return false
	}
	for _, op := range ops {
		if p.tok == op {
			return true
		}
	}
	return false
}

func (p *parser) or(depth int) (node, error) {
	a, err := p.and(depth)
	for err == nil && p.is("||", "or") {
		p.next()
		var b node
		b, err = p.and(depth)
		a = &either{a, b}
	}
	return a, err
}

func (p *parser) and(depth int) (node, error) {
	a, err := p.unary(depth)
	for err == nil && p.is("&&", "and") {
		p.next()
		var b node
		b, err = p.unary(depth)
		a = &both{a, b}
	}
	return a, err
}

func (p *parser) unary(depth int) (node, error) {
	if depth > maxDepth {
		return nil, p.fail(p.at, fmt.Sprintf("nested more than %d deep", maxDepth))
	}
	switch {
	case p.is("!", "not"):
		p.next()
		a, err := p.unary(depth + 1)
		return &not{a}, err
	case p.is("("):
		open := p.at
		p.next()
		a, err := p.or(depth + 1)
		if err == nil && !p.is(")") {
			err = p.fail(open, "a parenthesis that is not closed")
		}
		p.next()
		return a, err
	}
	return p.comparison()
}

// names of operators that may be written as words.
var operators = map[string]string{"==": "==", "eq": "==", "!=": "!=", "ne": "!=", ">": ">", "gt": ">", "<": "<", "lt": "<",
	">=": ">=", "ge": ">=", "<=": "<=", "le": "<="}

func (p *parser) comparison() (node, error) {
	name, at := p.tok, p.at
	f, known := Fields[name]
	switch {
	case p.bad != nil:
		return nil, p.bad
	case name == "":
		return nil, p.fail(at, "it ends where a field is expected")
	case p.quote || !known:
		return nil, p.fail(at, fmt.Sprintf("no field %s is known", clip(name)))
	}
	p.next()
	op, compares := operators[p.tok]
	if p.quote || !compares {
		return &comparison{name: name, field: f}, nil
	}
	p.next()
	if p.bad != nil {
		return nil, p.bad
	}
	if p.tok == "" || !p.quote && strings.ContainsAny(p.tok, "&|=!<>()") {
		return nil, p.fail(p.at, "a value is missing")
	}
	want, why := f.parse(p.tok, p.quote)
	if why != "" {
		return nil, p.fail(p.at, fmt.Sprintf("%s %s", clip(p.tok), why))
	}
	p.next()
	if _, again := operators[p.tok]; again && !p.quote {
		return nil, p.fail(p.at, "a chain of comparisons")
	}
	return &comparison{name, f, op, want}, nil
}

// parse reads a value for a field of this kind.
func (f *field) parse(s string, quoted bool) (v value, why string) {
	if f.kind == isText {
		if !quoted {
			return v, "is no string in double quotes"
		}
		return value{text: s}, ""
	}
	if quoted {
		return v, "is a string, and the field is none"
	}
	switch f.kind {
	case isIPv4, isIPv6:
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" || a.Is4() != (f.kind == isIPv4) {
			return v, "is no address of this field's family"
		}
		return value{addr: a}, ""
	case isFlag:
		switch s {
		case "1", "True", "TRUE", "true":
			return value{number: 1}, ""
		case "0", "False", "FALSE", "false":
			return value{}, ""
		}
		return v, "is neither 0 nor 1"
	}
	digits, base := s, 10
	if h, ok := strings.CutPrefix(s, "0x"); ok {
		digits, base = h, 16
	} else if len(s) > 1 && s[0] == '0' {
		return v, "begins with a zero, which Wireshark takes for octal"
	}
	n, err := strconv.ParseUint(digits, base, f.bits)
	if err != nil {
		return v, fmt.Sprintf("is no number of %d bits", f.bits)
	}
	return value{number: n}, ""
}
