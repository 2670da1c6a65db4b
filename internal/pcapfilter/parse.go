package pcapfilter

import "strings"

// parser reads an expression by recursive descent; its methods are named after the
// rules of libpcap's grammar.y.
type parser struct {
	tokens []token
	at     int
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) next() token {
	t := p.tokens[p.at]
	if t.kind != end {
		p.at++
	}
	return t
}

// accept takes the next token if it is one of these.
func (p *parser) accept(texts ...string) bool {
	if !p.peek().is(texts...) {
		return false
	}
	p.at++
	return true
}

func (p *parser) expect(text string) error {
	if !p.accept(text) {
		return p.peek().unexpected(text)
	}
	return nil
}

// expression reads terms joined by and and or, which bind equally.
func (p *parser) expression() (test, error) {
	left, q, err := p.term(qualifier{})
	for err == nil {
		and := p.accept("and", "&&")
		if !and && !p.accept("or", "||") {
			return left, nil
		}
		var right test
		right, q, err = p.term(q)
		left = join(and, left, right)
	}
	return nil, err
}

func join(and bool, left, right test) test {
	if and {
		return func(p *packet) bool { return left(p) && right(p) }
	}
	return func(p *packet) bool { return left(p) || right(p) }
}

func negate(t test) test { return func(p *packet) bool { return !t(p) } }

// term reads one condition. before are the words of the one before it, which it
// may leave out; it returns its own.
func (p *parser) term(before qualifier) (t test, q qualifier, err error) {
	if before.set && p.startsValue() {
		t, err = p.id(before)
		return t, before, err
	}
	switch tok := p.peek(); {
	case p.accept("not", "!"):
		t, q, err = p.term(before)
		if err == nil {
			t = negate(t)
		}
		return t, q, err
	case p.startsRelation():
		t, err = p.relation()
		return t, q, err
	case p.accept("("):
		if t, err = p.expression(); err == nil {
			err = p.expect(")")
		}
		return t, q, err
	case tok.kind == word:
		return p.head()
	default:
		return nil, q, tok.unexpected("a condition, such as host 198.18.50.88 or tcp port 8165")
	}
}

// head reads a condition that begins with a protocol, a direction or a type.
func (p *parser) head() (test, qualifier, error) {
	first := p.peek()
	q := qualifier{set: true, way: "or", what: "host"}
	proto := protocolNamed(first.text)
	if proto != nil {
		p.next()
		q.proto = proto.name
	}
	way := p.direction()
	if way != "" {
		q.way = way
	}
	switch t := p.peek(); {
	case t.is("host", "net", "port", "portrange"):
		q.what = p.next().text
	case way != "": // a host
	case proto != nil:
		return proto.is, qualifier{}, nil
	default:
		return nil, q, first.strange()
	}
	t, err := p.id(q)
	return t, q, err
}

// direction reads src, dst, and both of them joined; "" is none.
func (p *parser) direction() string {
	first := p.peek()
	if !p.accept("src", "dst") {
		return ""
	}
	if joined := p.tokens[p.at]; joined.is("or", "and", "||", "&&") {
		if second := p.tokens[p.at+1]; second.is("src", "dst") && second.text != first.text {
			p.at += 2
			if joined.is("and", "&&") {
				return "and"
			}
			return "or"
		}
	}
	return first.text
}

// strange says what is wrong with a word that begins no condition.
func (t token) strange() error {
	switch {
	case t.is("vlan"):
		return t.failed("vlan is not needed: a filter sees what is behind the tag")
	case t.is("and", "or"):
		return t.unexpected("a condition before it")
	case t.looksLikeValue():
		return t.failed("%s stands alone; say host, net or port before it", t.text)
	}
	names := make([]string, len(protocols))
	for i, p := range protocols {
		names[i] = p.name
	}
	return t.failed("%q is unknown; there are host, net, port, portrange, src, dst, %s, and, or, not", t.text, strings.Join(names, ", "))
}

// looksLikeValue tells whether a word is a number or an address.
func (t token) looksLikeValue() bool {
	return t.kind == word && (t.text[0] >= '0' && t.text[0] <= '9' || strings.Contains(t.text, ":"))
}

// startsValue tells whether there is a value, perhaps negated or in parentheses,
// and no arithmetic.
func (p *parser) startsValue() bool {
	i := p.at
	for p.tokens[i].is("(", "not", "!") {
		i++
	}
	return p.tokens[i].looksLikeValue() && !p.tokens[i+1].isOperator() && !p.startsRelation()
}

// id reads the value that a qualifier is about, or several: port (80 or 81).
func (p *parser) id(q qualifier) (test, error) {
	switch t := p.next(); {
	case t.is("not", "!"):
		x, err := p.id(q)
		if err != nil {
			return nil, err
		}
		return negate(x), nil
	case t.is("("):
		left, err := p.id(q)
		for err == nil && !p.accept(")") {
			and := p.accept("and", "&&")
			if !and && !p.accept("or", "||") {
				return nil, p.peek().unexpected("and, or or )")
			}
			var right test
			right, err = p.id(q)
			left = join(and, left, right)
		}
		return left, err
	case t.kind == word:
		return q.primitive(t)
	default:
		return nil, t.unexpected(map[string]string{"host": "a host's address", "net": "a network", "port": "a port", "portrange": "two ports, such as 8000-8080"}[q.what])
	}
}
