package nft

import (
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// The types of ICMP's and ICMPv6's time exceeded (RFC 792, RFC 4443 §3.3).
const timeExceeded4, timeExceeded6 = 11, 3

// DropTimeExceeded drops what routers say of packets whose TTL was up: after the host's
// captures, before its TCP.
func (c *Conn) DropTimeExceeded(table string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.c.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: table})
	chain := c.c.AddChain(&nftables.Chain{Name: "input", Table: t, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookInput, Priority: nftables.ChainPriorityFilter})
	for _, icmp := range []struct{ protocol, kind byte }{{unix.IPPROTO_ICMP, timeExceeded4}, {unix.IPPROTO_ICMPV6, timeExceeded6}} {
		c.c.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: []expr.Any{
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{icmp.protocol}},
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{icmp.kind}},
			&expr.Verdict{Kind: expr.VerdictDrop}}})
	}
	return c.flush("table " + table)
}
