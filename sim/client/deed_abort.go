package client

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"
)

// abort: the client sends its request and resets the connection at once, without
// waiting for the response: a process that is killed, or a user who clicks again.
func abort(ctx context.Context, v *visit) error {
	c, tcp, err := v.connect(ctx, nil)
	if err != nil {
		return err
	}
	defer tcp.Close()
	if _, err := c.Write(v.compose(nil, v.record.Ordinal)); err != nil {
		return err
	}
	if err := tcp.SetLinger(0); err != nil { // ABORT, RFC 9293 §3.10.5
		return err
	}
	return fmt.Errorf("the client gave up: %w", unix.ECONNRESET)
}
