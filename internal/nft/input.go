package nft

import (
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
)

// Ports are TCP ports of an address, First to Last.
type Ports struct {
	Address     netip.Addr
	First, Last uint16
}

// DropInput drops TCP segments to some of the host's own ports: after its captures,
// before its TCP.
func (c *Conn) DropInput(table string, ports ...Ports) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.c.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: table})
	chain := c.c.AddChain(&nftables.Chain{Name: "input", Table: t, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookInput, Priority: nftables.ChainPriorityFilter})
	for _, p := range ports {
		h := ipHeader(p.Address.Is6())
		exprs := append(ipVersion(p.Address.Is6()), tcp()...)
		c.c.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: append(exprs,
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: h.destination, Len: h.size},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: p.Address.AsSlice()},
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
			&expr.Range{Op: expr.CmpOpEq, Register: 1, FromData: binaryutil.BigEndian.PutUint16(p.First), ToData: binaryutil.BigEndian.PutUint16(p.Last)},
			&expr.Verdict{Kind: expr.VerdictDrop})})
	}
	return c.flush("table " + table)
}
