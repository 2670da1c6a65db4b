package client

import (
	"context"
	"net/netip"
)

// connectElsewhere: the client connects to another port of the virtual server's
// address, as one whose settings are wrong.
func connectElsewhere(ctx context.Context, v *visit) error {
	v.Server = netip.AddrPortFrom(v.Server.Addr(), v.fault.Port)
	return v.send(ctx, "")
}
