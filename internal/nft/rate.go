package nft

import "github.com/google/nftables/expr"

// Rate is a number of packets that may pass: a token bucket of the kernel's
// (net/netfilter/nft_limit.c).
type Rate struct {
	Packets uint64 // a second
	Burst   uint32 // at once: the bucket's size, which is full at first
}

// exceeded matches what finds the bucket empty.
func (r Rate) exceeded() expr.Any {
	return &expr.Limit{Type: expr.LimitTypePkts, Rate: r.Packets, Over: true, Unit: expr.LimitTimeSecond, Burst: r.Burst}
}
