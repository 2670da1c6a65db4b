package nft

import (
	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
)

// routeByMark makes a chain of the output hook one behind which the kernel looks for a
// packet's way again if its mark has changed (net/netfilter/nft_chain_route.c). It comes
// behind chains that drop, of filters of the same order: what is dropped there goes nowhere.
func routeByMark(c *nftables.Chain) {
	c.Type, c.Hooknum = nftables.ChainTypeRoute, nftables.ChainHookOutput
	c.Priority = nftables.ChainPriorityRef(*c.Priority + 1)
}

// mark gives a packet a mark, in place of its socket's.
func mark(m uint32) []expr.Any {
	return []expr.Any{
		&expr.Immediate{Register: 1, Data: binaryutil.NativeEndian.PutUint32(m)},
		&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: 1},
	}
}
