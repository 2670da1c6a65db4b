package client

import (
	"context"
	"fmt"
	"strings"
)

// sendMalformedRequest: a target with a space in it, as of a program that does not
// escape what it puts there, makes a request line of four words (RFC 9112 §3.2).
func sendMalformedRequest(ctx context.Context, v *visit) error {
	v.Target += " nightly"
	return v.send(ctx, "")
}

// sendLargeHeader: a cookie that has grown beyond max-header-size.
func sendLargeHeader(ctx context.Context, v *visit) error {
	return v.send(ctx, "Cookie: session="+strings.Repeat("x", v.Limits.HeaderSize)+"\r\n")
}

// sendManyHeaders: max-header-count lines, beside those that every request has.
func sendManyHeaders(ctx context.Context, v *visit) error {
	var lines strings.Builder
	for i := range v.Limits.HeaderCount {
		fmt.Fprintf(&lines, "X-Hop-%d: %d\r\n", i+1, i+1)
	}
	return v.send(ctx, lines.String())
}

// send sends the request with more lines in its header and reads the response.
func (v *visit) send(ctx context.Context, lines string) error {
	c, _, err := v.connect(ctx, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	return v.ask(ctx, c, v.composeWith(nil, v.record.Ordinal, lines))
}
