// Package pcapfilter decides which frames a capture takes: it reads what one types
// behind tcpdump's options (pcap-filter(7)).
//
//	[ip|ip6|arp] [src|dst|src or dst|src and dst] [host] ADDRESS
//	[ip|ip6|arp] [src|dst|…] net PREFIX         198.18.0.0/15, 198.18, 2001:db8::/32
//	[tcp|udp] [src|dst|…] port N
//	[tcp|udp] [src|dst|…] portrange N-M
//	ip  ip6  arp  tcp  udp  icmp  icmp6
//	tcp[tcpflags] & (tcp-syn|tcp-rst) != 0      ip, ip6, arp, tcp, udp, icmp, icmp6 [offset:size]
//	and &&  or ||  not !  ( )
//
// What it does not know, it refuses. What it accepts means what it means to
// tcpdump, its quirks included: "and" and "or" bind equally and from the left; in
// "port 80 or 81" the second port borrows the first one's words; tcp[…] finds IPv4
// only, and "ip[2:2] - tcp[12] > 5" UDP as well; a frame that ends before a byte
// that is asked for is not taken, not even by "not". Hosts and ports are numbers:
// what a name means is another machine's affair.
//
// A frame is Ethernet, without a tag.
package pcapfilter

import "fmt"

// Filter is an expression, compiled. It may be used from several goroutines. The
// zero value takes every frame.
type Filter struct{ take test }

// SyntaxError says what in an expression cannot be understood, and where.
type SyntaxError struct {
	Offset int // in bytes, from 0
	Why    string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("at character %d: %s", e.Offset+1, e.Why) }

// Parse compiles an expression; an empty one takes every frame. Its errors are
// [*SyntaxError].
func Parse(expression string) (*Filter, error) {
	tokens, err := lex(expression)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens}
	if p.peek().kind == end {
		return &Filter{}, nil
	}
	take, err := p.expression()
	if err != nil {
		return nil, err
	}
	if t := p.peek(); t.kind != end {
		return nil, t.unexpected("and or or")
	}
	return &Filter{take}, nil
}

// Match tells whether the filter takes a frame.
func (f *Filter) Match(data []byte) bool {
	if f.take == nil {
		return true
	}
	p := packet{data: data}
	return f.take(&p) && !p.short
}
