package client

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"
)

// abort: the client asks for much and resets the connection when the response begins to
// come in: a user who closes the page. That early it is certain that the server has had
// the request, and that the response is not at its end.
func abort(ctx context.Context, v *visit) error {
	c, tcp, err := v.connect(ctx, smallWindow)
	if err != nil {
		return err
	}
	defer tcp.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(past) })
	defer stop()
	if _, err := c.Write(v.askForMuch()); err != nil {
		return err
	}
	if _, err := c.Read(make([]byte, 1)); err != nil {
		return err
	}
	if err := tcp.SetLinger(0); err != nil { // ABORT, RFC 9293 §3.10.5
		return err
	}
	return fmt.Errorf("the client gave up: %w", unix.ECONNRESET)
}
