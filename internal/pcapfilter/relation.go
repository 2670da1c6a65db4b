package pcapfilter

// operand is a side of a comparison: 32 bits, without sign.
type operand struct {
	// carriers are what must be there for the headers that it looks into; where
	// they are not, the comparison does not hold. They are asked before any load.
	carriers []test
	load     func(p *packet) uint32
	constant bool
}

func constant(n uint32) operand {
	return operand{load: func(*packet) uint32 { return n }, constant: true}
}

// names of numbers: offsets in the headers of ICMP and TCP, types and flags.
var names = map[string]uint32{
	"tcpflags": 13, "icmptype": 0, "icmpcode": 1, "icmp6type": 0, "icmp6code": 1,
	"tcp-fin": 1, "tcp-syn": 2, "tcp-rst": 4, "tcp-push": 8, "tcp-ack": 16, "tcp-urg": 32, "tcp-ece": 64, "tcp-cwr": 128,
	"icmp-echoreply": 0, "icmp-unreach": 3, "icmp-sourcequench": 4, "icmp-redirect": 5, "icmp-echo": 8, "icmp-routeradvert": 9,
	"icmp-routersolicit": 10, "icmp-timxceed": 11, "icmp-paramprob": 12, "icmp-tstamp": 13, "icmp-tstampreply": 14,
	"icmp-ireq": 15, "icmp-ireqreply": 16, "icmp-maskreq": 17, "icmp-maskreply": 18,
}

var comparisons = map[string]func(a, b uint32) bool{
	"=": func(a, b uint32) bool { return a == b }, "==": func(a, b uint32) bool { return a == b },
	"!=": func(a, b uint32) bool { return a != b },
	"<":  func(a, b uint32) bool { return a < b }, "<=": func(a, b uint32) bool { return a <= b },
	">": func(a, b uint32) bool { return a > b }, ">=": func(a, b uint32) bool { return a >= b },
}

// levels are the operators, from those that bind least.
var levels = [][]string{{"|"}, {"&"}, {"<<", ">>"}, {"+", "-"}, {"*", "/"}}

var operators = map[string]func(a, b uint32) uint32{
	"|": func(a, b uint32) uint32 { return a | b }, "&": func(a, b uint32) uint32 { return a & b },
	"<<": func(a, b uint32) uint32 { return a << b }, ">>": func(a, b uint32) uint32 { return a >> b },
	"+": func(a, b uint32) uint32 { return a + b }, "-": func(a, b uint32) uint32 { return a - b },
	"*": func(a, b uint32) uint32 { return a * b },
}

// isOperator tells whether t can only stand in arithmetic.
func (t token) isOperator() bool {
	return t.kind == symbol && (comparisons[t.text] != nil || operators[t.text] != nil || t.text == "/")
}

// startsRelation tells whether arithmetic comes next, in parentheses or not.
func (p *parser) startsRelation() bool {
	switch t := p.peek(); {
	case t.is("-"):
		return true
	case t.is("("):
		return p.tokens[t.closing+1].isOperator()
	case protocolNamed(t.text) != nil:
		return p.tokens[p.at+1].is("[")
	default:
		_, isName := names[t.text]
		return t.kind == word && (isName || p.tokens[p.at+1].isOperator())
	}
}

// relation reads a comparison.
func (p *parser) relation() (test, error) {
	left, err := p.arithmetic(0)
	if err != nil {
		return nil, err
	}
	t := p.next()
	compare := comparisons[t.text]
	if compare == nil {
		return nil, t.unexpected("a comparison, such as != 0")
	}
	right, err := p.arithmetic(0)
	if err != nil {
		return nil, err
	}
	carriers := append(left.carriers[:len(left.carriers):len(left.carriers)], right.carriers...)
	return func(p *packet) bool {
		for _, there := range carriers {
			if !there(p) {
				return false
			}
		}
		a, b := left.load(p), right.load(p)
		return compare(a, b)
	}, nil
}

// arithmetic reads operands joined by the operators of a level and of those that
// bind more.
func (p *parser) arithmetic(level int) (operand, error) {
	if level == len(levels) {
		return p.operand()
	}
	left, err := p.arithmetic(level + 1)
	for err == nil && p.peek().is(levels[level]...) {
		t := p.next()
		var right operand
		if right, err = p.arithmetic(level + 1); err != nil {
			break
		}
		switch {
		case !right.constant:
		case t.is("/") && right.load(nil) == 0:
			return left, t.failed("divides by zero")
		case t.is("<<", ">>") && right.load(nil) > 31:
			return left, t.failed("shifts by more than 31 bits")
		}
		left = combine(t.text, left, right)
	}
	return left, err
}

// combine puts an operator between two operands. What the right one looks into
// need not be there: tcpdump forgets to ask.
func combine(operator string, a, b operand) operand {
	c := operand{carriers: a.carriers, constant: a.constant && b.constant}
	of := operators[operator]
	c.load = func(p *packet) uint32 {
		x, y := a.load(p), b.load(p)
		if of != nil {
			return of(x, y)
		}
		if y == 0 {
			p.short = true // the machine gives the packet up
			return 0
		}
		return x / y
	}
	if c.constant {
		return constant(c.load(nil))
	}
	return c
}

// operand reads a number, a name, bytes of a header, or arithmetic in parentheses.
func (p *parser) operand() (operand, error) {
	t := p.next()
	switch proto := protocolNamed(t.text); {
	case t.is("-"):
		x, err := p.operand()
		if err != nil {
			return x, err
		}
		minus := combine("-", constant(0), x)
		minus.carriers = x.carriers
		return minus, nil
	case t.is("("):
		x, err := p.arithmetic(0)
		if err != nil {
			return x, err
		}
		return x, p.expect(")")
	case proto != nil && p.accept("["):
		return p.header(proto)
	}
	if n, ok := names[t.text]; ok && t.kind == word {
		return constant(n), nil
	}
	if n, ok := number(t.text); ok && t.kind == word {
		return constant(n), nil
	}
	return operand{}, t.unexpected("a number, or bytes of a header such as tcp[13]")
}

// header reads what is in the brackets behind a protocol.
func (p *parser) header(proto *protocol) (operand, error) {
	offset, err := p.arithmetic(0)
	if err != nil {
		return offset, err
	}
	size := 1
	if p.accept(":") {
		t := p.next()
		n, _ := number(t.text)
		if n != 1 && n != 2 && n != 4 {
			return offset, t.unexpected("a size of 1, 2 or 4 bytes")
		}
		size = int(n)
	}
	if err := p.expect("]"); err != nil {
		return offset, err
	}
	return operand{
		carriers: append(offset.carriers[:len(offset.carriers):len(offset.carriers)], proto.carrier),
		load:     func(p *packet) uint32 { return p.load(proto.at(p)+offset.load(p), size) },
	}, nil
}
