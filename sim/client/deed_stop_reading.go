package client

import (
	"context"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// smallWindow is what the client's receive buffer is asked to be; the kernel
	// doubles it, and takes no less than 2304 (tcp(7), socket(7)).
	smallWindow = 1 << 10
	// largeResponse is more than the buffers of f5 and server hold together.
	largeResponse = "?bytes=3000000"
)

// stopReading: the client asks for much and takes nothing of it, so that its receive
// window shuts: a process that hangs.
func stopReading(ctx context.Context, v *visit) error {
	c, tcp, err := v.connect(ctx, func(fd int) error {
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, smallWindow)
	})
	if err != nil {
		return err
	}
	defer c.Close()
	v.Target += largeResponse
	if _, err := c.Write(v.compose(nil, v.record.Ordinal)); err != nil {
		return err
	}
	if _, err := awaitEnd(ctx, tcp, time.Time{}); err != nil {
		return err
	}
	return v.listen(ctx, c)
}
