package testkit

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hopblame/hopblame/sim"
	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/topology"
)

// ProxyProgram makes a program an [Options.Proxy]: a full proxy that accepts at
// Place.Listen, connects from Place.Source to Place.Servers, and writes a line for each
// request to its standard output, of which [ReadFlows] says what must be in it.
func ProxyProgram(program func(Place) Program) func(context.Context, Place) (sim.Proxy, error) {
	return func(ctx context.Context, at Place) (sim.Proxy, error) {
		p, err := program(at).Start(ctx, at)
		if err != nil {
			return nil, err // and no nil *Process, which would not be nil
		}
		return loggingProxy{p}, nil
	}
}

// proxy is what [sim.Config] wants of o.Proxy.
func (o *Options) proxy(folder string) func(context.Context, *topology.Host, bigip.Config) (sim.Proxy, error) {
	return func(ctx context.Context, at *topology.Host, p bigip.Config) (sim.Proxy, error) {
		place := Place{Host: at, Listen: p.VirtualServer.Destination, Source: p.SNAT.SelfIP, Dir: filepath.Join(folder, at.Name())}
		for _, m := range p.Pool.Members {
			place.Servers = append(place.Servers, m.Address)
		}
		return o.Proxy(ctx, place)
	}
}

// loggingProxy is a proxy that logs.
type loggingProxy struct{ *Process }

// Close implements [sim.Proxy].
func (p loggingProxy) Close() (flows []*bigip.Flow, err error) {
	if err := p.Process.Close(); err != nil {
		return nil, err
	}
	log, err := p.Stdout()
	if err != nil {
		return nil, err
	}
	defer log.Close()
	return ReadFlows(log)
}

// logged is a line of a proxy's log.
type logged struct {
	ID         string      `json:"id"`
	Client     netip.Addr  `json:"client"`
	ClientPort uint16      `json:"client_port"`
	Source     netip.Addr  `json:"source"`
	SourcePort uint16      `json:"source_port"`
	Server     netip.Addr  `json:"server"`
	ServerPort uint16      `json:"server_port"`
	AcceptedMS json.Number `json:"accepted_ms"`
	ConnectMS  json.Number `json:"connect_ms"`
	TotalMS    json.Number `json:"total_ms"`
	Retries    string      `json:"retries"`
}

// ReadFlows reads the serverside connections of a proxy that is not ours from its log, in
// the order in which they were opened. Lines that do not begin with a brace are the
// proxy's own business. Every other is an object of JSON for one request:
//
//	id                         its X-Request-ID
//	client, client_port        the client's end of the clientside connection
//	source, source_port        the proxy's end of the serverside one; of several, the last
//	server, server_port        the server's end of it
//	accepted_ms                when the request came, in ms since 1970
//	connect_ms                 how long the serverside connection took to come about; -1: it never did
//	total_ms                   how long the request took
//	retries                    as a string: how many connections went before; a leading + is overlooked
//
// This is HAProxy's line, in mode http with "capture request header X-Request-ID len 32",
// "log stdout format raw local0" and "nbthread 1", for with more threads it leaves out lines
// when two of them write at once:
//
//	log-format '{"id":"%[capture.req.hdr(0)]","client":"%ci","client_port":%cp,"source":"%bi","source_port":%bp,"server":"%si","server_port":%sp,"accepted_ms":%Ts%ms,"connect_ms":%Tc,"total_ms":%Ta,"retries":"%rc"}'
func ReadFlows(log io.Reader) (flows []*bigip.Flow, err error) {
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if !strings.HasPrefix(line, "{") {
			continue
		}
		var l logged
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			return nil, fmt.Errorf("the proxy's log: %s: %w", line, err)
		}
		f, err := l.flow()
		if err != nil {
			return nil, fmt.Errorf("the proxy's log: %s: %w", line, err)
		}
		flows = append(flows, f)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("the proxy's log: %w", err)
	}
	slices.SortStableFunc(flows, func(a, b *bigip.Flow) int { return a.Opened.Compare(b.Opened) })
	return flows, nil
}

// flow is the connection of which a line tells.
func (l *logged) flow() (*bigip.Flow, error) {
	ordinal, err1 := strconv.Atoi(l.ID)
	attempt, err2 := strconv.Atoi(cmp.Or(strings.TrimPrefix(l.Retries, "+"), "0"))
	accepted, err3 := l.AcceptedMS.Int64()
	connect, err4 := l.ConnectMS.Int64()
	total, err5 := l.TotalMS.Int64()
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return nil, err
	}
	at := time.UnixMilli(accepted)
	f := &bigip.Flow{Dial: bigip.Dial{Ordinal: ordinal, Attempt: attempt,
		SNAT: netip.AddrPortFrom(l.Source, l.SourcePort), Member: netip.AddrPortFrom(l.Server, l.ServerPort)},
		Client: netip.AddrPortFrom(l.Client, l.ClientPort), Opened: at, Closed: at.Add(time.Duration(total) * time.Millisecond)}
	if connect >= 0 {
		f.Connected = at.Add(time.Duration(connect) * time.Millisecond)
	}
	return f, nil
}
