package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"
	"golang.org/x/sync/semaphore"
)

// lanes sends a batch of which several requests share a connection. A lane is a group of
// as many requests in a row; it opens its connection from the port of the first, and
// another, from the port of the next request, if that breaks. A request at which the
// client misbehaves is a lane of its own: it would take its neighbours with it.
type lanes struct {
	Batch
	host      *topology.Host
	transport http.Transport
	inFlight  *semaphore.Weighted // requests
	running   sync.WaitGroup      // lanes
	records   []Record

	mu     sync.Mutex
	port   map[uint16]chan struct{} // in use; closed when it no longer is
	done   int
	failed int
}

// sendOverTLS sends a batch over TLS.
func sendOverTLS(ctx context.Context, host *topology.Host, b Batch) ([]Record, error) {
	l := &lanes{Batch: b, host: host, inFlight: semaphore.NewWeighted(int64(b.Concurrency)),
		records: b.newRecords(), port: map[uint16]chan struct{}{}}
	l.transport = http.Transport{Protocols: new(http.Protocols), DialTLSContext: l.dial, DisableCompression: true}
	l.transport.Protocols.SetHTTP1(b.Protocol == HTTPS)
	l.transport.Protocols.SetHTTP2(b.Protocol == HTTP2)
	l.begin(ctx)
	l.running.Wait()
	return l.records, ctx.Err()
}

// begin starts lanes as there is room for their requests: with HTTP/2 for each of them,
// else for one at a time.
func (l *lanes) begin(ctx context.Context) {
	for first := 0; first < l.Requests; first += l.PerConnection {
		var good []int
		for o := first; o < min(first+l.PerConnection, l.Requests); o++ {
			if !l.Sends(o) {
				continue
			}
			m := l.mood(o)
			if m == nil {
				good = append(good, o)
				continue
			}
			if l.inFlight.Acquire(ctx, 1) != nil {
				return
			}
			l.running.Go(func() {
				defer l.inFlight.Release(1)
				l.misbehave(ctx, o, m)
			})
		}
		lane := make(chan int, len(good))
		for i, o := range good {
			if (i == 0 || l.Protocol == HTTP2) && l.inFlight.Acquire(ctx, 1) != nil {
				close(lane)
				return
			}
			if i == 0 {
				l.running.Go(func() { l.drive(ctx, lane, good[len(good)-1]) })
			}
			lane <- o
		}
		close(lane)
	}
}

// drive sends a lane's requests as they come, and ends the lane's connections when all
// have ended.
func (l *lanes) drive(ctx context.Context, lane <-chan int, last int) {
	var on *connection
	var opened []*connection
	var streams sync.WaitGroup
	for o := range lane {
		opens := on == nil || on.broken.Load()
		if opens {
			on = nil
			if l.hold(ctx, Port(o)) != nil {
				l.ended(false)
				continue // the batch has been cancelled
			}
		}
		timed, cancel := l.start(ctx, o)
		if opens {
			var err error
			if on, err = l.open(timed, &l.records[o]); err != nil {
				cancel()
				l.finish(o, 0, err)
				l.ended(false)
				continue // the next request tries again
			}
			opened = append(opened, on)
		}
		l.records[o].Local = on.own.Local
		stream := on
		exchange := func() {
			defer cancel()
			status, err := l.send(timed, stream, o, o == last)
			l.finish(o, status, err)
			l.ended(false)
		}
		if l.Protocol == HTTP2 {
			streams.Go(exchange)
		} else {
			exchange()
		}
	}
	streams.Wait()
	l.ended(true)
	for _, c := range opened {
		c.end()
	}
}

// ended gives up the room of a request or of a whole lane, whichever it was that had it.
func (l *lanes) ended(lane bool) {
	if lane == (l.Protocol != HTTP2) {
		l.inFlight.Release(1)
	}
}

// start begins a request: its time runs from here.
func (l *lanes) start(ctx context.Context, ordinal int) (context.Context, context.CancelFunc) {
	r := &l.records[ordinal]
	r.Ordinal, r.Local, r.Start = ordinal, netip.AddrPortFrom(l.Local, Port(ordinal)), time.Now()
	return context.WithDeadline(ctx, r.Start.Add(l.Timeout))
}

// send sends one request and reads its response.
func (l *lanes) send(ctx context.Context, on *connection, ordinal int, last bool) (status int, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+l.Server.String()+l.Target, strings.NewReader(l.body(ordinal)))
	if err != nil {
		return 0, err
	}
	r.Header.Set("User-Agent", userAgent)
	r.Header.Set("X-Request-ID", strconv.Itoa(ordinal))
	r.Header.Set("Content-Type", "application/json")
	r.Close = last && l.Protocol == HTTPS // the server closes first, as with single requests
	answer, err := on.RoundTrip(r)
	if err == nil {
		status = answer.StatusCode
		_, err = io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
	}
	if l.breaks(ctx, answer, err) {
		on.broken.Store(true)
	}
	return status, err
}

// breaks says whether a connection can carry no other request after one that ended so.
func (l *lanes) breaks(ctx context.Context, answer *http.Response, err error) bool {
	if l.Protocol == HTTPS {
		return err != nil || answer.Close
	}
	return err != nil && ctx.Err() == nil && !errors.As(err, new(streamError))
}

// finish records an outcome.
func (l *lanes) finish(ordinal, status int, err error) {
	r := &l.records[ordinal]
	r.Status = status
	switch {
	case err != nil:
		r.Outcome, r.Detail = outcomeOf(err), err.Error()
	case status >= http.StatusInternalServerError:
		r.Outcome = Error
	default:
		r.Outcome = OK
	}
	l.finished(r)
}

func (l *lanes) finished(r *Record) {
	r.End = time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done++
	if r.Outcome != OK {
		l.failed++
	}
	if l.Progress != nil {
		l.Progress(l.done, l.failed)
	}
}

// misbehave has a fault its way with a request.
func (l *lanes) misbehave(ctx context.Context, ordinal int, m *fault.Mood) {
	if l.hold(ctx, Port(ordinal)) != nil {
		return // the batch has been cancelled
	}
	defer l.free(Port(ordinal))
	_, cancel := l.start(ctx, ordinal)
	cancel()
	r := &l.records[ordinal]
	saw, err := misbehave(ctx, l.host, &l.Batch, r, m)
	r.Outcome, r.Status = saw.outcome, saw.status
	if err != nil {
		r.Detail = err.Error()
	}
	l.finished(r)
}

// hold waits until a port is free and takes it.
func (l *lanes) hold(ctx context.Context, port uint16) error {
	for {
		l.mu.Lock()
		taken, isTaken := l.port[port]
		if !isTaken {
			l.port[port] = make(chan struct{})
		}
		l.mu.Unlock()
		if !isTaken {
			return nil
		}
		select {
		case <-taken:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// free ends what hold began.
func (l *lanes) free(port uint16) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.port[port])
	delete(l.port, port)
}
