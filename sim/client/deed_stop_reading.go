package client

import (
	"context"
	"time"

	"golang.org/x/sys/unix"
)

// stopReading: the client asks for much and takes nothing of it, so that its receive
// window shuts: a process that hangs.
func stopReading(ctx context.Context, v *visit) error {
	c, tcp, err := v.connect(ctx, smallWindow)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write(v.askForMuch()); err != nil {
		return err
	}
	if _, err := awaitEnd(ctx, tcp, time.Time{}); err != nil {
		return err
	}
	return v.listen(ctx, c)
}

// smallWindow has the window shut after a few kilobytes: the kernel takes no less for
// a receive buffer than 2304 bytes (socket(7)).
func smallWindow(fd int) error {
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 0)
}

// askForMuch is the request for a response that the buffers of f5 and server do not hold.
func (v *visit) askForMuch() []byte {
	v.Target += "?bytes=3000000"
	return v.compose(nil, v.record.Ordinal)
}
