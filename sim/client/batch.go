package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"

	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/sim/ports"
	"github.com/hopblame/hopblame/topology"
)

// Batch describes the requests to send.
type Batch struct {
	Server   netip.AddrPort
	Local    netip.Addr
	Target   string // request target; "" means /batch
	Protocol Protocol
	Requests int
	// Only are the ordinals of the requests that are sent, in order; the others are
	// recorded as [NotSent]. nil: all are sent.
	Only        []int
	Concurrency int // requests in flight
	// PerConnection is how many requests in a row share a connection: with HTTPS one
	// after the other, with HTTP2 at once. 0 means [Protocol.PerConnection].
	PerConnection int
	Timeout       time.Duration // of one request; 0 means two minutes
	// SequenceNumbers are those of the client's connections.
	SequenceNumbers SequenceNumbers
	// Large says which requests have a body of [LargeBody] bytes or a few more; nil: none.
	Large func(ordinal int) bool
	// KeyLog is written the secrets of the client's TLS, in the NSS key log format;
	// nil for nobody.
	KeyLog io.Writer
	// Limits are the http profile's, for a client that is to exceed them.
	Limits Limits
	// Moods are the client's own faults; the first that strikes a request has it.
	Moods []*fault.Mood
	// Hooks are told of the connections that carry requests.
	Hooks Hooks
	// Progress is told how many requests are done and how many of them failed, one
	// call at a time and often; nil for nobody.
	Progress func(done, failed int)
}

// Protocol is what the client speaks.
type Protocol string

// The protocols. The zero value means HTTP.
const (
	HTTP  Protocol = "http"  // HTTP/1.1 in the clear, one connection a request
	HTTPS Protocol = "https" // HTTP/1.1 over TLS
	HTTP2 Protocol = "h2"    // HTTP/2 over TLS
)

// perConnection are the requests on a connection where nobody says how many.
var perConnection = map[Protocol]int{HTTP: 1, HTTPS: 1, HTTP2: 8}

// PerConnection returns how many requests share a connection by default: 1, and 8 of
// HTTP/2, which is there to share them.
func (p Protocol) PerConnection() int { return perConnection[p.orHTTP()] }

// Secure says whether p is spoken over TLS.
func (p Protocol) Secure() bool { return p == HTTPS || p == HTTP2 }

func (p Protocol) orHTTP() Protocol {
	if p == "" {
		return HTTP
	}
	return p
}

// Limits are what the f5's http profile allows of a request's header.
type Limits struct {
	HeaderSize  int // bytes
	HeaderCount int
}

// Outcome is what the client saw of a request.
type Outcome string

// The outcomes.
const (
	OK        Outcome = "ok"
	Reset     Outcome = "reset"     // RST after the connection was established, or RST_STREAM
	Refused   Outcome = "refused"   // RST instead of a SYN-ACK
	Timeout   Outcome = "timeout"   // nothing within Batch.Timeout
	Truncated Outcome = "truncated" // the response ended before its end
	TLS       Outcome = "tls"       // an alert, or what is no TLS
	Error     Outcome = "error"     // a 5xx, or no HTTP at all
	Local     Outcome = "local"     // the client itself could not send it; makes a run INVALID
	NotSent   Outcome = "not-sent"  // it was not to be sent: see Batch.Only
)

// Failed says whether a request failed; one that was not sent has not.
func (o Outcome) Failed() bool { return o != OK && o != NotSent }

// Record is one request and what became of it.
type Record struct {
	Ordinal int
	Local   netip.AddrPort // of its connection
	Start   time.Time
	End     time.Time
	Outcome Outcome
	Status  int    // of the response; 0 if there was none
	Detail  string // what the kernel or the protocol said, for a failure
}

// DefaultTimeout is what a client waits that is not told how long.
const DefaultTimeout = 2 * time.Minute

// Bounds of a request's timeout: what a healthy request takes on a busy machine, and
// what keeps a run finite.
const (
	minTimeout = 100 * time.Millisecond
	maxTimeout = 10 * time.Minute
)

// maxPerConnection is more than any server lets a client have open at once.
const maxPerConnection = 1000

// Validate reports what in b cannot be.
func (b *Batch) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("traffic: "+format, args...)) }
	if b.Requests < 1 || b.Requests > 10_000_000 {
		bad("requests %d: must be 1 to 10,000,000", b.Requests)
	}
	for i, o := range b.Only {
		if o < 0 || o >= b.Requests {
			bad("only %d: there are requests 0 to %d", o, b.Requests-1)
		} else if i > 0 && o <= b.Only[i-1] {
			bad("only %d: comes after %d; write each once, in order", o, b.Only[i-1])
		}
	}
	if b.Concurrency < 1 || b.Concurrency > 8192 {
		bad("concurrency %d: must be 1 to 8192", b.Concurrency)
	}
	if b.Timeout != 0 && (b.Timeout < minTimeout || b.Timeout > maxTimeout) {
		bad("timeout %v: must be %v to %v", b.Timeout, minTimeout, maxTimeout)
	}
	switch protocol := b.Protocol.orHTTP(); {
	case perConnection[protocol] == 0:
		bad("protocol %q: must be http, https or h2", b.Protocol)
	case b.PerConnection < 0 || b.PerConnection > maxPerConnection:
		bad("requests-per-connection %d: must be 1 to %d", b.PerConnection, maxPerConnection)
	case b.PerConnection > 1 && protocol == HTTP:
		bad("requests-per-connection %d: with protocol http every request has a connection of its own; say https or h2", b.PerConnection)
	}
	if s := b.SequenceNumbers; s != "" && s != RandomSequence && s != WrapSequence {
		bad("sequence-numbers %q: must be random or wrap", s)
	}
	for _, m := range b.Moods {
		f := m.Fault()
		errs = append(errs, Check(&f, b.Protocol))
	}
	return errors.Join(errs...)
}

// Sends says whether a request is sent.
func (b *Batch) Sends(ordinal int) bool {
	if b.Only == nil {
		return true
	}
	_, sent := slices.BinarySearch(b.Only, ordinal)
	return sent
}

// Sent is how many requests are sent.
func (b *Batch) Sent() int {
	if b.Only == nil {
		return b.Requests
	}
	return len(b.Only)
}

// newRecords makes a record for every request, of those that are not sent a whole one.
func (b *Batch) newRecords() []Record {
	records := make([]Record, b.Requests)
	for o := range records {
		if !b.Sends(o) {
			records[o] = Record{Ordinal: o, Outcome: NotSent}
		}
	}
	return records
}

// Port returns the source port of a connection whose first request has an ordinal.
func Port(ordinal int) uint16 { return ports.At(ordinal) }

// Run sends the batch from a host and returns a record for every request, by
// ordinal. A cancelled context ends it early with the context's error.
func Run(ctx context.Context, host *topology.Host, b Batch) ([]Record, error) {
	if err := b.Validate(); err != nil {
		return nil, err
	}
	b.Protocol = b.Protocol.orHTTP()
	if b.PerConnection == 0 {
		b.PerConnection = b.Protocol.PerConnection()
	}
	if b.Timeout == 0 {
		b.Timeout = DefaultTimeout
	}
	if b.Target == "" {
		b.Target = "/batch"
	}
	if b.Protocol.Secure() {
		return sendOverTLS(ctx, host, b)
	}
	return sendPlain(ctx, host, b)
}

// mood returns the fault that a request is struck by; nil if there is none.
func (b *Batch) mood(ordinal int) *fault.Mood {
	if i := slices.IndexFunc(b.Moods, func(m *fault.Mood) bool { return m.Strikes(ordinal, 0) }); i >= 0 {
		return b.Moods[i]
	}
	return nil
}
