package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hopblame/hopblame/e2e/testkit"
	"github.com/hopblame/hopblame/sim"
	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/topology"
)

// connectTimeout is how long HAProxy waits for a server: less than the second after
// which Linux repeats a SYN, so each attempt is one SYN.
const connectTimeout = 400 * time.Millisecond

// haproxyConfig makes a full proxy with SNAT that opens a serverside connection for
// every request, as the f5 of the incident does. With more than one thread it leaves
// out lines of its log when two of them write at once.
const haproxyConfig = `global
	maxconn 1000
	nbthread 1
	hard-stop-after 5s
	log stdout format raw local0
defaults
	mode http
	log global
	timeout connect %dms
	timeout client 20s
	timeout server 20s
	option http-server-close
	http-reuse never
	retries %d
	option redispatch 1
frontend batch
	bind %s
	capture request header X-Request-ID len 32
	log-format "request %%ci:%%cp %%bi:%%bp %%si:%%sp %%ts %%rc %%Ts.%%ms %%Tc %%Ta %%ST %%[capture.req.hdr(0)]"
	default_backend pool
backend pool
	balance roundrobin
	source %s
	server server1 %s
	server server2 %s
`

// logLine is a request in HAProxy's log.
type logLine struct {
	client, snat, member netip.AddrPort
	state                string // who ended it and in which state: "sC" is a server that did not answer the connect in time
	retries              int
	redispatched         bool
	accepted             time.Time     // by the millisecond
	connect, total       time.Duration // connect is negative if that never came about
	status               int
	ordinal              int
}

// parseLogLine reads a line in the form of [haproxyConfig]'s log-format, without its first word.
func parseLogLine(line string) (l logLine, err error) {
	f := strings.Fields(line)
	if len(f) != 10 {
		return l, fmt.Errorf("haproxy's log: %d fields in %q, want 10", len(f), line)
	}
	var errs []error
	address := func(s string) netip.AddrPort {
		at := strings.LastIndexByte(s, ':') // an IPv6 address comes without brackets
		a, err := netip.ParseAddr(s[:max(at, 0)])
		p, err2 := strconv.ParseUint(s[at+1:], 10, 16)
		errs = append(errs, err, err2)
		return netip.AddrPortFrom(a, uint16(p))
	}
	number := func(s string) int {
		n, err := strconv.Atoi(s)
		errs = append(errs, err)
		return n
	}
	l.client, l.snat, l.member, l.state = address(f[0]), address(f[1]), address(f[2]), f[3]
	l.redispatched = strings.HasPrefix(f[4], "+")
	l.retries = number(strings.TrimPrefix(f[4], "+"))
	seconds, millis, _ := strings.Cut(f[5], ".")
	l.accepted = time.Unix(int64(number(seconds)), int64(number(millis))*int64(time.Millisecond))
	l.connect = time.Duration(number(f[6])) * time.Millisecond
	l.total = time.Duration(number(f[7])) * time.Millisecond
	l.status, l.ordinal = number(f[8]), number(f[9])
	if err := errors.Join(errs...); err != nil {
		return l, fmt.Errorf("haproxy's log: %q: %w", line, err)
	}
	return l, nil
}

// haproxy is HAProxy, a master and its worker, in the f5's place.
type haproxy struct {
	*testkit.Process
	log []logLine // once it is closed
}

// Close implements [sim.Proxy]. The log has only the last attempt of a request.
func (h *haproxy) Close() (flows []*bigip.Flow, err error) {
	if err := h.Process.Close(); err != nil { // when all requests have ended
		return nil, err
	}
	out, err := h.Stdout()
	if err != nil {
		return nil, err
	}
	defer out.Close()
	text, err := io.ReadAll(out)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		request, isOne := strings.CutPrefix(line, "request ")
		if !isOne {
			continue // that it stops, say
		}
		l, err := parseLogLine(request)
		if err != nil {
			return nil, err
		}
		h.log = append(h.log, l)
		flow := &bigip.Flow{Dial: bigip.Dial{Ordinal: l.ordinal, Attempt: l.retries, SNAT: l.snat, Member: l.member},
			Client: l.client, Opened: l.accepted, Closed: l.accepted.Add(l.total)}
		if l.connect >= 0 {
			flow.Connected = l.accepted.Add(l.connect)
		}
		flows = append(flows, flow)
	}
	slices.SortStableFunc(flows, func(a, b *bigip.Flow) int { return a.Opened.Compare(b.Opened) })
	return flows, nil
}

// proxyWithHAProxy returns what starts HAProxy in the f5's place, its files below a
// directory; started is told of it.
func proxyWithHAProxy(dir string, retries int, started func(*haproxy)) func(context.Context, *topology.Host, bigip.Config) (sim.Proxy, error) {
	return func(ctx context.Context, at *topology.Host, p bigip.Config) (sim.Proxy, error) {
		text := fmt.Sprintf(haproxyConfig, connectTimeout.Milliseconds(), retries, p.VirtualServer.Destination,
			netip.AddrPortFrom(p.SNAT.SelfIP, 0), // brackets around an IPv6 address, and any port
			p.Pool.Members[0].Address, p.Pool.Members[1].Address)
		process, err := testkit.Program{Name: "haproxy", Args: []string{"-W", "-f", "haproxy.cfg"},
			Files: map[string]string{"haproxy.cfg": text}, Stop: syscall.SIGUSR1,
		}.Start(ctx, testkit.Place{Host: at, Listen: p.VirtualServer.Destination, Dir: filepath.Join(dir, at.Name())})
		if err != nil {
			return nil, err
		}
		h := &haproxy{Process: process}
		started(h)
		return h, nil
	}
}
