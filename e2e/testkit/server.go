package testkit

import (
	"context"
	"io"
	"net/netip"
	"path/filepath"

	"github.com/hopblame/hopblame/topology"
)

// ServerProgram makes a program an [Options.Server]: it accepts at Place.Listen and
// answers every POST with 200.
func ServerProgram(program func(Place) Program) func(context.Context, Place) (io.Closer, error) {
	return func(ctx context.Context, at Place) (io.Closer, error) {
		p, err := program(at).Start(ctx, at)
		if err != nil {
			return nil, err // and no nil *Process, which would not be nil
		}
		return p, nil
	}
}

// server is what [sim.Config] wants of o.Server.
func (o *Options) server(folder string) func(context.Context, *topology.Host, netip.AddrPort) (io.Closer, error) {
	return func(ctx context.Context, at *topology.Host, address netip.AddrPort) (io.Closer, error) {
		return o.Server(ctx, Place{Host: at, Listen: address, Dir: filepath.Join(folder, at.Name())})
	}
}
