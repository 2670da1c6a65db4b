package testkit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hopblame/hopblame/sim/client"
	"github.com/hopblame/hopblame/topology"
)

// EachRequest makes an [Options.Client] of a function that sends one request: the suite's
// own client, on its way to the f5. It is called from as many goroutines as the scenario
// has requests in flight, each time with an [http.Client] of its own that connects from
// the client's node, and with the url and the X-Request-ID that the request must have. It
// returns the response's status; an error is how the request failed, and a status of 500
// and above is a failure as well. A request has one connection: what is tried again would
// be several failures, and one request. It is for scenarios in HTTP without TLS.
func EachRequest(send func(ctx context.Context, c *http.Client, url, id string) (status int, err error)) func(context.Context, *topology.Host, client.Batch) ([]client.Record, error) {
	return func(ctx context.Context, from *topology.Host, b client.Batch) ([]client.Record, error) {
		if b.Protocol.Secure() {
			return nil, fmt.Errorf("testkit.EachRequest: the scenario's protocol is %s: it must be http", b.Protocol)
		}
		records := make([]client.Record, b.Requests)
		var g errgroup.Group
		g.SetLimit(b.Concurrency)
		for o := range b.Requests {
			g.Go(func() error {
				records[o] = one(ctx, from, &b, o, send)
				return ctx.Err()
			})
		}
		return records, g.Wait()
	}
}

// defaultTimeout is that of our own client.
const defaultTimeout = 2 * time.Minute

// one sends a request and says what became of it.
func one(ctx context.Context, from *topology.Host, b *client.Batch, ordinal int, send func(context.Context, *http.Client, string, string) (int, error)) client.Record {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(b.Timeout, defaultTimeout))
	defer cancel()
	d := dialler{from: from}
	t := &http.Transport{DialContext: d.dial, DisableKeepAlives: true}
	defer t.CloseIdleConnections()
	r := client.Record{Ordinal: ordinal, Start: time.Now()}
	var err error
	r.Status, err = send(ctx, &http.Client{Transport: t}, "http://"+b.Server.String()+cmp.Or(b.Target, "/batch"), strconv.Itoa(ordinal))
	r.End, r.Local = time.Now(), netip.AddrPortFrom(b.Local, d.port())
	r.Outcome, r.Detail = outcomeOf(r.Status, err)
	return r
}

// errAgain is told a client that connects a second time.
var errAgain = errors.New("testkit.EachRequest: a second connection for one request; turn the client's retries off")

// dialler connects once, from a node.
type dialler struct {
	from *topology.Host

	mu      sync.Mutex // the transport dials on a goroutine of its own
	dialled bool
	local   uint16
}

func (d *dialler) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d.mu.Lock()
	again := d.dialled
	d.dialled = true
	d.mu.Unlock()
	if again {
		return nil, errAgain
	}
	c, err := d.from.Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if a, ok := c.LocalAddr().(*net.TCPAddr); ok {
		d.mu.Lock()
		d.local = uint16(a.Port)
		d.mu.Unlock()
	}
	return c, nil
}

// port is the connection's own; 0 if it never came about.
func (d *dialler) port() uint16 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.local
}

// outcomeOf says what the client saw of a request. What it did not see on the wire is the
// client's own doing, by which nobody is to be judged.
func outcomeOf(status int, err error) (o client.Outcome, detail string) {
	var net net.Error
	switch {
	case err == nil && status == 0:
		return client.Local, "the client returned neither a status nor an error"
	case err == nil && status >= http.StatusInternalServerError:
		return client.Error, strconv.Itoa(status)
	case err == nil:
		return client.OK, ""
	case errors.Is(err, errAgain):
		o = client.Local
	case errors.Is(err, syscall.ECONNREFUSED):
		o = client.Refused
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		o = client.Reset
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &net) && net.Timeout():
		o = client.Timeout
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		o = client.Truncated
	default:
		o = client.Local
	}
	return o, err.Error()
}
