package client

import "context"

// giveUp: the client asks, waits for a time that is too short for a healthy server, and
// closes the connection: a timeout that somebody has set too low. What comes earlier it
// takes, and the request is a good one.
func giveUp(ctx context.Context, v *visit) error {
	ctx, cancel := context.WithTimeout(ctx, v.fault.After)
	defer cancel()
	return v.send(ctx, "")
}
