package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"
)

// deed is what the client can do to a request instead of its part.
type deed struct {
	over    []Protocol // it has a meaning with these only
	perform func(context.Context, *visit) error
}

var (
	anyProtocol = []Protocol{HTTP, HTTPS, HTTP2}
	plainHTTP   = []Protocol{HTTP}
	http1       = []Protocol{HTTP, HTTPS}
	overTLS     = []Protocol{HTTPS, HTTP2}
)

// deeds are what the client can do. What each looks like at the f5 is in the table of
// [fault.Do]'s words.
var deeds = map[fault.Do]deed{
	fault.SendMalformedRequest: {plainHTTP, sendMalformedRequest}, // the f5's front for TLS answers 400 by itself
	fault.SendLargeHeader:      {http1, sendLargeHeader},
	fault.SendManyHeaders:      {http1, sendManyHeaders},
	fault.Abort:                {http1, abort},
	fault.StopReading:          {http1, stopReading},
	fault.Pause:                {http1, pause},
	fault.GiveUp:               {http1, giveUp},
	fault.SpeakPlain:           {overTLS, speakPlain},
	fault.OfferOldCiphers:      {overTLS, offerOldCiphers},
	fault.OfferTLS11:           {overTLS, offerTLS11},
	fault.DistrustCertificate:  {overTLS, distrustCertificate},
	fault.Dawdle:               {anyProtocol, dawdle},
	fault.ConnectElsewhere:     {anyProtocol, connectElsewhere},
}

// Check reports what in a fault of the client's cannot be with a protocol.
func Check(f *fault.Fault, p Protocol) error {
	d, known := deeds[f.Do]
	if known && !slices.Contains(d.over, p.orHTTP()) {
		var over []string
		for _, p := range d.over {
			over = append(over, string(p))
		}
		return fmt.Errorf("fault %s: do %q: has no meaning with traffic's protocol %s; it is for %s", f.Name, f.Do, p.orHTTP(), strings.Join(over, " and "))
	}
	if !known {
		return fmt.Errorf("fault %s: do %q: the client cannot do it", f.Name, f.Do)
	}
	return nil
}

// visit is a request at which the client misbehaves, on a connection of its own.
type visit struct {
	Batch
	host   *topology.Host
	fault  fault.Fault
	record *Record
	got    response
}

// saw is what the client saw of a visit.
type saw struct {
	outcome Outcome
	status  int
}

// misbehave does to a request what a fault says, once it is in the ledger. The record
// must say whose it is and when it began.
func misbehave(ctx context.Context, host *topology.Host, b *Batch, record *Record, m *fault.Mood) (saw, error) {
	ctx, cancel := context.WithDeadline(ctx, record.Start.Add(b.Timeout))
	defer cancel()
	v := &visit{Batch: *b, host: host, fault: m.Fault(), record: record, got: response{in: make([]byte, 0, responseBytes)}}
	server := b.Server
	if v.fault.Do == fault.ConnectElsewhere {
		server = netip.AddrPortFrom(server.Addr(), v.fault.Port)
	}
	m.Note(record.Local, server, record.Ordinal)
	err := deeds[v.fault.Do].perform(ctx, v)
	v.Hooks.dialed(v.own())
	outcome := v.got.verdict() // for the status, if there was one
	if err != nil {
		outcome = outcomeOf(err)
	}
	return saw{outcome, v.got.status}, err
}

// dial connects to the virtual server.
func (v *visit) dial(ctx context.Context) (*net.TCPConn, error) {
	v.Hooks.dialing(v.own())
	return v.Batch.dial(ctx, v.host, v.own(), nil)
}

func (v *visit) own() Dial { return Dial{v.record.Ordinal, v.record.Local, v.Server} }

// connect connects to the virtual server, over TLS where the batch is. Who has to do
// with TCP itself finds it in the second.
func (v *visit) connect(ctx context.Context, before func(fd int) error) (net.Conn, *net.TCPConn, error) {
	v.Hooks.dialing(v.own())
	tcp, err := v.Batch.dial(ctx, v.host, v.own(), before)
	if err != nil || !v.Protocol.Secure() {
		return tcp, tcp, err
	}
	c, err := handshake(ctx, tcp, v.tlsConfig(alpn[HTTPS]))
	if err != nil {
		return nil, nil, errors.Join(err, tcp.Close())
	}
	return c, tcp, nil
}

// ask sends a message and reads the response to its end.
func (v *visit) ask(ctx context.Context, c net.Conn, message []byte) error {
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(past) })
	defer stop()
	if _, err := c.Write(message); err != nil {
		return err
	}
	return v.listen(ctx, c)
}

// listen reads the response to its end.
func (v *visit) listen(ctx context.Context, c net.Conn) error {
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(past) })
	defer stop()
	b := make([]byte, 16<<10)
	for {
		n, err := c.Read(b)
		v.got.add(b[:n])
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
