package bigip

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"sync"
)

// layer7 is the part of the proxy that looks into every request: TLS, HTTP/2,
// connections that are used again, headers that are inserted. Goroutines with
// [net/http] do the protocols' work. Each client's connection and each one to a member
// reaches them as a [pipe]; the event loop keeps what decides who gets a RST and when:
// the sockets, their timers, and the flow table. Whatever a plain relay can do is not
// sent through here, for it is slower.
type layer7 struct {
	proxy     *Proxy
	server    http.Server
	transport http.Transport
	forward   httputil.ReverseProxy
	tls       *clientSSL         // nil: the client speaks in the clear
	accepted  chan net.Conn      // connections on their way to server
	stop      context.CancelFunc // ends what waits for the loop
	ctx       context.Context
	running   sync.WaitGroup
}

// looksInto says whether requests need more than a relay.
func (c *Config) looksInto() bool {
	v := &c.VirtualServer
	return v.Has(ProfileClientSSL) || v.Has(ProfileHTTP2) || v.Has(ProfileOneConnect) || c.HTTP.InsertXForwardedFor ||
		c.HTTP.LBFailed != "" && c.HTTP.LBFailed != LBFailedReset
}

func (p *Proxy) newLayer7() (*layer7, error) {
	l := &layer7{proxy: p, accepted: make(chan net.Conn)}
	if p.config.VirtualServer.Has(ProfileClientSSL) {
		var err error
		if l.tls, err = newClientSSL(&p.config); err != nil {
			return nil, err
		}
		if p.table.tcpdump.ssl {
			l.tls.provides = p.table
		}
	}
	l.ctx, l.stop = context.WithCancel(context.Background())
	quiet := log.New(io.Discard, "", 0) // the flow table tells what happened
	l.transport = http.Transport{
		DialContext: l.dial,
		// Without OneConnect nobody else may use a member's connection.
		DisableKeepAlives:  !p.config.VirtualServer.Has(ProfileOneConnect),
		DisableCompression: true,
		// The profile's idle timeout ends what nobody uses.
		MaxIdleConnsPerHost: 1 << 16,
	}
	l.forward = httputil.ReverseProxy{Rewrite: l.rewrite, Transport: &l.transport, ErrorHandler: l.failed, ErrorLog: quiet,
		FlushInterval: -1} // what the member sends is passed on at once
	l.server = http.Server{Handler: http.HandlerFunc(l.request), ErrorLog: quiet, MaxHeaderBytes: 2 * maxHeaderSize,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, clientKey{}, pipeOf(c))
		}}
	l.running.Go(func() { _ = l.server.Serve(&listener{l}) }) // ends with Close
	return l, nil
}

// close ends all connections and waits for the goroutines that serve them.
func (l *layer7) close() error {
	l.stop()
	err := l.server.Close() // more than once does no harm
	l.transport.CloseIdleConnections()
	l.running.Wait()
	return err
}

type clientKey struct{}

// pipeOf returns the pipe that a connection is made of.
func pipeOf(c net.Conn) *pipe {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = t.NetConn()
	}
	p, _ := c.(*pipe)
	return p
}

// listener hands [http.Server] the clients that are past their TLS handshake.
type listener struct{ *layer7 }

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.accepted:
		return c, nil
	case <-l.ctx.Done():
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error { return nil }

func (l *listener) Addr() net.Addr {
	return net.TCPAddrFromAddrPort(l.proxy.config.VirtualServer.Destination)
}

// begin gives a client's connection to a goroutine. It is called on the loop's thread.
func (l *layer7) begin(c *conn) {
	client, err := c.server.newPipe(c.clientAddr)
	if err == nil {
		err = c.server.watch()
	}
	if err != nil {
		c.end(ClientGone)
		return
	}
	c.state = relaying
	l.running.Go(func() { l.serve(client) })
}

// serve sees a client through its TLS handshake.
func (l *layer7) serve(client *pipe) {
	var c net.Conn = client
	if l.tls != nil {
		secured, event := l.tls.handshake(l.ctx, client)
		if event != NothingLeft {
			l.end(client, event, nil)
			client.Close()
			return
		}
		c = secured
	}
	if !l.proxy.config.VirtualServer.Has(ProfileHTTP) {
		l.relay(c, client)
		return
	}
	select {
	case l.accepted <- c:
	case <-l.ctx.Done():
		c.Close()
	}
}

// relay joins a client whose protocol nobody knows to a member.
func (l *layer7) relay(c net.Conn, client *pipe) {
	defer c.Close()
	ctx := context.WithValue(l.ctx, clientKey{}, client)
	m, err := l.dial(ctx, "", "")
	if err != nil {
		l.endBy(client, err)
		return
	}
	defer m.Close()
	stop := context.AfterFunc(l.ctx, func() { c.Close(); m.Close() })
	defer stop()
	var up sync.WaitGroup
	up.Go(func() {
		_, _ = io.Copy(m, c)
		_ = m.(*pipe).Conn.(*net.UnixConn).CloseWrite()
	})
	_, err = io.Copy(c, m)
	if broken := m.(*pipe).broken(); broken != nil {
		err = broken
	}
	if err != nil {
		l.endBy(client, err)
	}
	if s, ok := c.(interface{ CloseWrite() error }); ok {
		_ = s.CloseWrite()
	}
	m.Close()
	c.Close()
	up.Wait()
}

// end ends a client's connection as an event demands, from a goroutine. What was
// written to it before is sent before. It returns when it is done.
func (l *layer7) end(client *pipe, e Event, flow *Flow) {
	done := make(chan struct{})
	l.proxy.loop.Post(func() {
		defer close(done)
		c := client.conn
		if c == nil {
			return
		}
		c.because = flow
		c.server.readable = true // an alert, say, of which the loop may not have heard yet
		if _, err := c.toClient.pump(); err == nil {
			c.end(e)
		} else {
			c.end(ClientReset)
		}
	})
	select {
	case <-done:
	case <-l.ctx.Done():
	}
}

// endBy is end for what ended the connection to a member.
func (l *layer7) endBy(client *pipe, err error) {
	var broken *BrokenError
	if errors.As(err, &broken) && broken.Event != NothingLeft {
		l.end(client, broken.Event, broken.Flow)
	}
}

// dial connects to the member whose turn it is, for the client that ctx tells of. The
// error is a [BrokenError].
func (l *layer7) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, _ := ctx.Value(clientKey{}).(*pipe)
	ordinal, ok := ctx.Value(ordinalKey{}).(int)
	if !ok {
		ordinal = -1
	}
	made := make(chan *pipe, 1)
	failed := make(chan error, 1)
	l.proxy.loop.Post(func() {
		p := l.proxy
		if client.conn == nil {
			failed <- net.ErrClosed // the client has gone
			return
		}
		c := p.newConn()
		c.clientAddr = client.client
		member, err := c.client.newPipe(client.client)
		if err == nil {
			err = c.client.watch()
		}
		if err != nil {
			failed <- err
			c.client.close(fin)
			p.keep(c)
			return
		}
		if l.transport.DisableKeepAlives {
			over := func(m *pipe) bool { return m.conn == nil }
			client.behind = append(slices.DeleteFunc(client.behind, over), member)
		}
		p.enlist(c)
		made <- member
		c.dial(ordinal)
	})
	var member *pipe
	select {
	case member = <-made:
	case err := <-failed:
		return nil, err
	case <-l.ctx.Done():
		return nil, net.ErrClosed
	}
	// A pipe that ends before it is opened has the reason on record.
	select {
	case <-member.opened:
		return member, nil
	case <-member.over:
		member.Close()
		return nil, member.broken()
	case <-l.ctx.Done():
		member.Close()
		return nil, net.ErrClosed
	}
}

type ordinalKey struct{}

// exchange is what is known of one request.
type exchange struct{ member *pipe }

type exchangeKey struct{}

// request is one request, from whichever protocol.
func (l *layer7) request(w http.ResponseWriter, r *http.Request) {
	client := r.Context().Value(clientKey{}).(*pipe)
	if event, refused := l.refuses(r); refused {
		if event == RuleDrops {
			l.end(client, event, nil)
		} else {
			l.reset(r, client, &BrokenError{Event: event})
		}
		panic(http.ErrAbortHandler)
	}
	ordinal, err := strconv.Atoi(r.Header.Get("X-Request-ID"))
	if err != nil || ordinal < 0 {
		ordinal = -1
	}
	x := &exchange{}
	ctx := context.WithValue(r.Context(), ordinalKey{}, ordinal)
	ctx = context.WithValue(ctx, exchangeKey{}, x)
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { x.member = pipeOf(i.Conn) }})
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		// The response broke off half-way.
		if x.member != nil {
			if broken := x.member.ended.Load(); broken != nil && broken.Event != NothingLeft {
				l.reset(r, client, broken)
			}
		}
		panic(v)
	}()
	l.forward.ServeHTTP(w, r.WithContext(ctx))
}

// refuses says whether the http profile or a rule ends a request.
func (l *layer7) refuses(r *http.Request) (Event, bool) {
	c := &l.proxy.config
	size, count := len(r.Method)+len(r.RequestURI)+len(" HTTP/1.1 \r\n\r\n"), 0
	for name, values := range r.Header {
		for _, v := range values {
			size += len(name) + len(v) + len(": \r\n")
			count++
		}
	}
	switch {
	case size > c.HTTP.headerSize():
		return HeaderOversized, true
	case count > c.HTTP.headerCount():
		return TooManyHeaders, true
	}
	return decide(c.Rules, r.RequestURI, r.Header.Values)
}

// rewrite turns the client's request into the member's.
func (l *layer7) rewrite(r *httputil.ProxyRequest) {
	r.SetURL(&url.URL{Scheme: "http", Host: "pool"})
	r.Out.Host = r.In.Host
	r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"]
	if l.proxy.config.HTTP.InsertXForwardedFor {
		client := r.In.Context().Value(clientKey{}).(*pipe)
		r.Out.Header.Add("X-Forwarded-For", client.client.Addr().String())
	}
}

// failed answers a request that no member has answered, as lb-failed says.
func (l *layer7) failed(w http.ResponseWriter, r *http.Request, err error) {
	var broken *BrokenError
	x := r.Context().Value(exchangeKey{}).(*exchange)
	switch {
	case errors.As(err, &broken):
	case x.member != nil && x.member.ended.Load() != nil:
		broken = x.member.ended.Load()
	default:
		// The member's answer is no HTTP, or the client has gone.
		broken = &BrokenError{Event: BadResponse}
	}
	switch l.proxy.config.HTTP.LBFailed {
	case LBFailed502:
		http.Error(w, "Bad Gateway", http.StatusBadGateway)
	case LBFailed503:
		http.Error(w, "Service Unavailable", http.StatusServiceUnavailable)
	case LBFailedClose:
		panic(http.ErrAbortHandler)
	default:
		if broken.Event == NothingLeft { // the member has closed without an answer
			panic(http.ErrAbortHandler)
		}
		l.reset(r, r.Context().Value(clientKey{}).(*pipe), broken)
		panic(http.ErrAbortHandler)
	}
}

// reset resets what a request came in: the connection or, with HTTP/2, the stream,
// which [http.Server] does of a handler that panics.
func (l *layer7) reset(r *http.Request, client *pipe, why *BrokenError) {
	if r.ProtoMajor < 2 {
		l.end(client, why.Event, why.Flow)
	}
}
