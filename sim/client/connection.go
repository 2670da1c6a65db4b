package client

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// connection is one that carries several requests over TLS.
type connection struct {
	*http.ClientConn
	lanes  *lanes
	own    Dial
	socket *parting    // nil before it has come about
	broken atomic.Bool // no other request can be sent
}

type connectionKey struct{}

// open connects for a request, from its address, whose port must be held, and does the TLS
// handshake.
func (l *lanes) open(ctx context.Context, first *Record) (*connection, error) {
	c := &connection{lanes: l, own: Dial{first.Ordinal, first.Local, l.Server}}
	l.Hooks.dialing(c.own)
	var err error
	c.ClientConn, err = l.transport.NewClientConn(context.WithValue(ctx, connectionKey{}, c), "https", l.Server.String())
	if err == nil {
		return c, nil
	}
	if c.socket != nil {
		c.socket.Close()
		<-c.socket.closed
	}
	c.parted()
	return nil, err
}

// dial is the transport's way to connect.
func (l *lanes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	c := ctx.Value(connectionKey{}).(*connection)
	tcp, err := l.Batch.dial(ctx, l.host, c.own, nil)
	if err != nil {
		return nil, err
	}
	c.socket = &parting{TCPConn: tcp, closed: make(chan struct{})}
	secured, err := handshake(ctx, c.socket, l.tlsConfig(alpn[l.Protocol]))
	c.socket.orderly.Store(ctx.Err() == nil)
	if err != nil {
		return nil, err // open closes it
	}
	return secured, nil
}

// end closes the connection and frees its port.
func (c *connection) end() {
	c.Close()
	<-c.socket.closed
	c.parted()
}

// parted is called when nothing of the connection is left.
func (c *connection) parted() {
	c.lanes.Hooks.dialed(c.own)
	c.lanes.free(c.own.Local.Port())
}

// parting is a connection that the client ends without a RST: a socket that is closed
// with bytes unread, or that bytes reach afterwards, is reset by the kernel (RFC 2525
// §2.17, RFC 9293 §3.10.7.1). So it sends its FIN, reads what nobody wants any more up
// to the server's, and closes only then.
type parting struct {
	*net.TCPConn
	orderly atomic.Bool // once the TLS handshake is over, well or not; else it closes at once
	once    sync.Once
	closed  chan struct{}
}

// partingTime bounds the wait for the server's FIN.
const partingTime = time.Second

// Close begins the end; closed says when it is over.
func (p *parting) Close() error {
	p.once.Do(func() {
		if !p.orderly.Load() {
			_ = p.TCPConn.Close()
			close(p.closed)
			return
		}
		_ = p.CloseWrite()
		_ = p.SetReadDeadline(time.Now().Add(partingTime))
		go func() { // ends with the deadline; connection.end waits for it
			defer close(p.closed)
			_, _ = io.Copy(io.Discard, p.TCPConn)
			_ = p.TCPConn.Close()
		}()
	})
	return nil
}
