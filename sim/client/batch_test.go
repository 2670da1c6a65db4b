package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hopblame/hopblame/internal/eventloop"
	"github.com/hopblame/hopblame/sim/ports"
	"github.com/hopblame/hopblame/topology"
	"github.com/hopblame/hopblame/topology/labtest"
)

func TestMain(m *testing.M) { topology.Main(m) }

const patience = 20 * time.Second

func TestTheVerdictIsWhatTheResponseIs(t *testing.T) {
	long := strings.Repeat("x", 3*responseBytes)
	for _, row := range []struct {
		name, response string
		want           Outcome
		status         int
	}{
		{"200 with its body", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", OK, 200},
		{"200 without a length ends with the connection", "HTTP/1.1 200 OK\r\n\r\nwhatever", OK, 200},
		{"404 is an answer", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", OK, 404},
		{"204 without a reason", "HTTP/1.1 204\r\n\r\n", OK, 204},
		{"503 is a failure", "HTTP/1.0 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", Error, 503},
		{"500 with more body than announced", "HTTP/1.1 500 Oh\r\nContent-Length: 1\r\n\r\nlong", Error, 500},
		{"a body shorter than announced", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", Truncated, 200},
		{"a truncated 503 is truncated", "HTTP/1.1 503 Oh\r\nContent-Length: 10\r\n\r\nhalf", Truncated, 503},
		{"a header that does not end", "HTTP/1.1 200 OK\r\nContent-Len", Truncated, 200},
		{"nothing", "", Truncated, 0},
		{"no HTTP", "220 mail.hopblame.example ESMTP\r\n", Error, 0},
		{"no HTTP, one word", "hello", Error, 0},
		{"a status that is no number", "HTTP/1.1 OK 200\r\n\r\n", Error, 0},
		{"a length that is no number is none", "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", OK, 200},
		{"a body longer than what is kept", "HTTP/1.1 200 OK\r\nContent-Length: " + fmt.Sprint(len(long)) + "\r\n\r\n" + long, OK, 200},
		{"a body longer than what is kept, less one byte", "HTTP/1.1 200 OK\r\nContent-Length: " + fmt.Sprint(len(long)) + "\r\n\r\n" + long[1:], Truncated, 200},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := &response{in: make([]byte, 0, responseBytes), received: len(row.response)}
			r.in = append(r.in, row.response[:min(len(row.response), responseBytes)]...)
			if got := r.verdict(); got != row.want || r.status != row.status {
				t.Errorf("got %s with status %d, want %s with %d", got, r.status, row.want, row.status)
			}
		})
	}
}

func FuzzTheVerdictSurvivesAnyResponse(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
	f.Add([]byte("HTTP/1. \r\n:\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := &response{in: b, received: len(b)}
		if o := r.verdict(); o != OK && o != Truncated && o != Error {
			t.Fatal(o)
		}
	})
}

func TestEveryRequestIsUniqueAndWellFormed(t *testing.T) {
	s := &sender{Batch: Batch{Server: netip.MustParseAddrPort("[2001:db8:50::67]:8165"), Target: "/batch",
		Large: func(ordinal int) bool { return ordinal%3000 == 0 }}}
	seen := map[string]int{}
	for i := range 30000 {
		b := s.compose(nil, i)
		head, body, _ := bytes.Cut(b, headerTerminator)
		for _, part := range []string{string(b), string(body)} {
			if other, taken := seen[part]; taken && other != i {
				t.Fatalf("requests %d and %d are alike", other, i)
			}
			seen[part] = i
		}
		if i%1000 != 0 {
			continue
		}
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b)))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r.Body)
		if large := i%3000 == 0; !json.Valid(got) || large != (len(got) > LargeBody) {
			t.Errorf("request %d has a body of %d bytes: %.80s", i, len(got), got)
		}
		if err != nil || !bytes.Equal(got, body) || r.Header.Get("X-Request-ID") != fmt.Sprint(i) || r.URL.Path != "/batch" || r.Host != "[2001:db8:50::67]:8165" {
			t.Errorf("request %d reads %q, %v, from %q", i, got, err, head)
		}
	}
	if again := s.compose(make([]byte, 0, 999), 17); !bytes.Equal(again, s.compose(nil, 17)) {
		t.Error("a request depends on the memory it is put into")
	}
}

func TestTheSourcePortFollowsFromTheOrdinal(t *testing.T) {
	for _, i := range []int{0, 1, 7, ports.Count - 1} {
		if Port(i) != ports.At(i) || Port(i) != Port(i+ports.Count) {
			t.Errorf("request %d has port %d, request %d port %d", i, Port(i), i+ports.Count, Port(i+ports.Count))
		}
	}
	if Port(0) == Port(1) {
		t.Error("two requests in a row share a port")
	}
}

func TestBatchesThatCannotBeAreRefused(t *testing.T) {
	for _, row := range []struct {
		name                  string
		requests, concurrency int
		want                  string
	}{
		{"the smallest", 1, 1, ""},
		{"the largest", 10_000_000, 8192, ""},
		{"no request", 0, 1, "requests 0: must be 1 to 10,000,000"},
		{"too many requests", 10_000_001, 1, "requests 10000001"},
		{"none in flight", 1, 0, "concurrency 0: must be 1 to 8192"},
		{"too many in flight", 1, 8193, "concurrency 8193"},
		{"neither", -1, -1, "concurrency -1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			err := (&Batch{Requests: row.requests, Concurrency: row.concurrency}).Validate()
			if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
				t.Errorf("got %v, want %q", err, row.want)
			}
		})
	}
	if _, err := Run(t.Context(), nil, Batch{}); err == nil {
		t.Error("an empty batch was run")
	}
}

// build builds a lab whose virtual server is whatever serve does, closing it with
// the test; nil leaves the port closed.
func build(t *testing.T, serve func(n int, c *net.TCPConn)) (*topology.Host, Batch) {
	t.Helper()
	lab := labtest.Build(t, topology.IPv4)
	a := topology.StandardAddresses(topology.IPv4)
	if serve != nil {
		l, err := lab.Host(topology.F5).Listen(t.Context(), "tcp", a.VIP.String())
		if err != nil {
			t.Fatal(err)
		}
		var served sync.WaitGroup
		served.Go(func() {
			for n := 0; ; n++ {
				c, err := l.Accept()
				if err != nil {
					return
				}
				served.Go(func() {
					defer c.Close()
					_ = c.SetDeadline(time.Now().Add(patience))
					serve(n, c.(*net.TCPConn))
				})
			}
		})
		t.Cleanup(func() { l.Close(); served.Wait() })
	}
	return lab.Host(topology.Client), Batch{Server: a.VIP, Local: a.Client, Requests: 1, Concurrency: 1}
}

// ask reads a request and returns its id.
func ask(c net.Conn) (id string) {
	r, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return ""
	}
	_, _ = io.Copy(io.Discard, r.Body)
	return r.Header.Get("X-Request-ID")
}

func okay(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") }

func TestTheOutcomeIsWhatTheClientSaw(t *testing.T) {
	for _, row := range []struct {
		name   string
		serve  func(n int, c *net.TCPConn)
		want   Outcome
		detail string
		status int
	}{
		{"an answer", func(_ int, c *net.TCPConn) { ask(c); okay(c) }, OK, "", 200},
		{"no listener", nil, Refused, "connection refused", 0},
		{"a reset instead of an answer", func(_ int, c *net.TCPConn) { ask(c); _ = c.SetLinger(0) }, Reset, "connection reset", 0},
		{"a reset in the middle of an answer", func(_ int, c *net.TCPConn) {
			ask(c)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
			_ = c.SetLinger(0)
		}, Reset, "connection reset", 200},
		{"nothing at all", func(_ int, c *net.TCPConn) { ask(c); _, _ = c.Read(make([]byte, 1)) }, Timeout, "", 0},
		{"an end without a word", func(_ int, c *net.TCPConn) { ask(c) }, Truncated, "", 0},
		{"an answer of 100,000 bytes", func(_ int, c *net.TCPConn) {
			ask(c)
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n%s", make([]byte, 100000))
		}, OK, "", 200},
		{"an answer of 100,000 bytes that ends early", func(_ int, c *net.TCPConn) {
			ask(c)
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n%s", make([]byte, 99999))
		}, Truncated, "", 200},
		{"an answer in many pieces", func(_ int, c *net.TCPConn) {
			ask(c)
			for _, x := range []byte("HTTP/1.1 503 Oh\r\nContent-Length: 2\r\n\r\nok") {
				_, _ = c.Write([]byte{x})
			}
		}, Error, "", 503},
	} {
		t.Run(row.name, func(t *testing.T) {
			host, b := build(t, row.serve)
			b.Timeout = patience
			if row.want == Timeout {
				b.Timeout = 200 * time.Millisecond
			}
			begin := time.Now()
			records, err := Run(t.Context(), host, b)
			if err != nil {
				t.Fatal(err)
			}
			r := records[0]
			if r.Outcome != row.want || r.Status != row.status || !strings.Contains(r.Detail, row.detail) || row.detail == "" && r.Detail != "" {
				t.Errorf("got %+v, want %s with status %d", r, row.want, row.status)
			}
			if r.Start.Before(begin) || r.End.Before(r.Start) || r.Local != netip.AddrPortFrom(b.Local, Port(0)) {
				t.Errorf("the record is %+v", r)
			}
			if d := r.End.Sub(r.Start); row.want == Timeout && (d < b.Timeout || d > b.Timeout+5*time.Second) {
				t.Errorf("timed out after %v", d)
			}
		})
	}
}

func TestAnAddressThatIsNotTheClientsIsTheClientsOwnFault(t *testing.T) {
	host, b := build(t, nil)
	b.Local, b.Requests, b.Concurrency = netip.MustParseAddr("198.18.50.99"), 5, 3
	records, err := Run(t.Context(), host, b)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if r.Outcome != Local || r.Detail == "" {
			t.Errorf("the record is %+v", r)
		}
	}
}

func TestEveryRequestIsSentOnceAndNoMoreThanSoManyAtOnce(t *testing.T) {
	for _, concurrency := range []int{1, 16, 300} {
		t.Run(fmt.Sprint(concurrency), func(t *testing.T) {
			var mu sync.Mutex
			seen, now, most := map[string]int{}, 0, 0
			host, b := build(t, func(_ int, c *net.TCPConn) {
				id := ask(c)
				mu.Lock()
				seen[id]++
				now++
				most = max(most, now)
				now-- // before the answer: the client starts the next one upon it
				mu.Unlock()
				okay(c)
			})
			b.Requests, b.Concurrency = 300, concurrency
			var calls, last atomic.Int64
			b.Progress = func(done, failed int) {
				calls.Add(1)
				if int64(done) != last.Add(1) || failed != 0 {
					t.Errorf("progress %d, %d failed", done, failed)
				}
			}
			records, err := Run(t.Context(), host, b)
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range records {
				if r.Ordinal != i || r.Outcome != OK || r.Local.Port() != Port(i) {
					t.Errorf("the record is %+v", r)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if len(seen) != b.Requests || calls.Load() != int64(b.Requests) || most > concurrency {
				t.Errorf("%d requests arrived, %d reports, %d at once; want %d and at most %d", len(seen), calls.Load(), most, b.Requests, concurrency)
			}
		})
	}
}

func TestARequestWhosePortIsHeldWaitsForItAndIsSent(t *testing.T) {
	for _, concurrency := range []int{1, 2, 3, 64} {
		t.Run(fmt.Sprint(concurrency), func(t *testing.T) {
			var first, again sync.Once
			held, overtaken := make(chan struct{}), make(chan struct{})
			host, b := build(t, func(_ int, c *net.TCPConn) {
				id := ask(c)
				if id == "0" { // held until the others are through, or for a while
					first.Do(func() { close(held) })
					select {
					case <-overtaken:
					case <-time.After(300 * time.Millisecond):
					}
				}
				if id == "1" {
					again.Do(func() { close(overtaken) })
				}
				okay(c)
			})
			// Of a batch in which the ports come round, the requests 0 and 1 and
			// the ones that have their ports again; the others count as done.
			b.Requests, b.Concurrency, b.Target, b.Timeout = ports.Count+2, concurrency, "/", patience
			loop, err := eventloop.New()
			if err != nil {
				t.Fatal(err)
			}
			s := &sender{Batch: b, loop: loop, records: make([]Record, b.Requests), port: map[uint16]bool{},
				waiting: []int{0, 1, ports.Count, ports.Count + 1}, next: b.Requests, done: b.Requests - 4}
			ended := make(chan error, 1)
			if err := host.Go(func() { ended <- s.run() }); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-ended:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(5 * time.Second):
				t.Error("the batch does not end")
				loop.Stop()
				<-ended
			}
			for _, o := range []int{0, 1, ports.Count, ports.Count + 1} {
				if r := s.records[o]; r.Outcome != OK {
					t.Errorf("request %d is %+v", o, r)
				}
			}
			if s.records[ports.Count].Start.Before(s.records[0].End) {
				t.Error("a request began while its port was held")
			}
			for r := range s.live {
				r.close()
			}
			if err := loop.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestACancelledBatchEndsEarlyAndLeavesNothing(t *testing.T) {
	reached := make(chan struct{}, 1000)
	host, b := build(t, func(_ int, c *net.TCPConn) {
		ask(c)
		reached <- struct{}{}
		_, _ = c.Read(make([]byte, 1)) // never answers
	})
	b.Requests, b.Concurrency = 100, 10
	errWhy := errors.New("enough")
	round := func() {
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := Run(ctx, host, b)
			ended <- err
		}()
		for range b.Concurrency {
			<-reached
		}
		cancel(errWhy)
		select {
		case err := <-ended:
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want the context's error", err)
			}
		case <-time.After(patience):
			t.Fatal("the batch does not end")
		}
	}
	before := state(t)
	round()
	round()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		after := state(t)
		if after[0] <= before[0] && after[1] <= before[1] {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("descriptors and goroutines before: %v, after: %v", before, after)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, host, b); !errors.Is(err, context.Canceled) {
		t.Errorf("a batch of a cancelled context gives %v", err)
	}
}

// state is what a batch must leave as it was.
func state(t *testing.T) [2]int {
	t.Helper()
	return [2]int{labtest.Descriptors(t), runtime.NumGoroutine()}
}
