package client

import (
	"context"
	"time"
)

// pause: the client sends the header and half of the body, and the rest only after a
// while, unless the connection has been ended by then.
func pause(ctx context.Context, v *visit) error {
	c, tcp, err := v.connect(ctx, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	message := v.compose(nil, v.record.Ordinal)
	half := len(message) - len(v.body(v.record.Ordinal))/2
	if _, err := c.Write(message[:half]); err != nil {
		return err
	}
	ended, err := awaitEnd(ctx, tcp, time.Now().Add(v.fault.After))
	if ended {
		if err == nil {
			err = v.listen(ctx, c)
		}
		return err
	}
	_ = tcp.SetWriteDeadline(time.Time{})
	return v.ask(ctx, c, message[half:])
}
