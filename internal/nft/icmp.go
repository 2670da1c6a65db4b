package nft

import (
	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// quoteOffset is where an ICMP error has the packet that it is about: behind its own eight
// bytes (RFC 792, RFC 4443 §3).
const quoteOffset = 8

// From RFC 792 and RFC 4443.
const (
	icmpUnreachable      = 3
	icmpHostUnreachable  = 1 // code of the above
	icmpFragmentNeeded   = 4 // likewise
	icmpTimeExceeded     = 11
	icmpParameterProblem = 12
	icmpv6Unreachable    = 1
	icmpv6AddressUnreach = 3 // code of the above
	icmpv6TooBig         = 2
	icmpv6FirstInfo      = 128 // neighbour discovery and all else that is no error
)

// icmpErrors matches ICMP errors about TCP.
func icmpErrors(ipv6 bool) []expr.Any {
	of := func(protocol byte, inner uint32, types *expr.Range) []expr.Any {
		return append(carrying(protocol), icmpByte(0), types,
			icmpByte(quoteOffset+inner),
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}})
	}
	if ipv6 {
		return of(unix.IPPROTO_ICMPV6, 6, &expr.Range{Op: expr.CmpOpEq, Register: 1, FromData: []byte{icmpv6Unreachable}, ToData: []byte{icmpv6FirstInfo - 1}})
	}
	// Of the types whose inner header can be TCP's: a redirect, 5, is about a route.
	errors := append(of(unix.IPPROTO_ICMP, 9, &expr.Range{Op: expr.CmpOpEq, Register: 1, FromData: []byte{icmpUnreachable}, ToData: []byte{icmpParameterProblem}}), icmpByte(0))
	for _, info := range []byte{5, 8, 9, 10} { // redirect, echo, router advertisement and solicitation
		errors = append(errors, &expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: []byte{info}})
	}
	return errors
}

// icmpOf matches the messages of a type of ICMP, or of ICMPv6.
func icmpOf(ipv6 bool, kind byte) []expr.Any {
	protocol := byte(unix.IPPROTO_ICMP)
	if ipv6 {
		protocol = unix.IPPROTO_ICMPV6
	}
	return append(append(ipVersion(ipv6), carrying(protocol)...),
		icmpByte(0), &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{kind}})
}

// icmpByte loads a byte of an ICMP message.
func icmpByte(offset uint32) expr.Any {
	return &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: 1}
}

// DropICMPErrors drops ICMP errors about the host's own TCP that come from other hosts,
// after its captures: all but those that tell of a smaller MTU.
func (c *Conn) DropICMPErrors(table string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.c.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: table})
	chain := c.c.AddChain(&nftables.Chain{Name: "input", Table: t, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookInput, Priority: nftables.ChainPriorityFilter})
	for _, ipv6 := range []bool{false, true} {
		other := append(ipVersion(ipv6), icmpErrors(ipv6)...)
		// The host tells itself that a neighbour does not answer, and is to hear it.
		other = append(other, &expr.Meta{Key: expr.MetaKeyIIFTYPE, Register: 1},
			&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: binaryutil.NativeEndian.PutUint16(unix.ARPHRD_LOOPBACK)})
		size := []expr.Any{&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 2},
			&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: []byte{icmpUnreachable, icmpFragmentNeeded}}}
		if ipv6 {
			size = []expr.Any{icmpByte(0), &expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: []byte{icmpv6TooBig}}}
		}
		c.c.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: append(append(other, size...), &expr.Verdict{Kind: expr.VerdictDrop})})
	}
	return c.flush("table " + table)
}
