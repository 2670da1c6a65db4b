package client

import (
	"context"
	"time"
)

// dawdle: the client connects and says nothing, neither a request nor a ClientHello,
// until somebody loses patience.
func dawdle(ctx context.Context, v *visit) error {
	c, err := v.dial(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := awaitEnd(ctx, c, time.Time{}); err != nil {
		return err
	}
	return v.listen(ctx, c)
}
