package bigip

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/hopblame/hopblame/internal/eventloop"
	"github.com/hopblame/hopblame/topology"
	"golang.org/x/sys/unix"
)

// Dial is one attempt to open a serverside connection.
type Dial struct {
	Ordinal int // of the request; -1 when the client did not say
	Attempt int // 0 is the first
	SNAT    netip.AddrPort
	Member  netip.AddrPort
}

// Hooks tell a fault which tuple belongs to which request. They are called on
// the proxy's thread and must not block for long.
type Hooks struct {
	Dialing func(Dial) // just before the first SYN
	Dialed  func(Dial) // once the outcome is known
}

// Flow is what the proxy knows of one serverside connection: facts for the truth.
type Flow struct {
	Dial
	Client    netip.AddrPort
	Opened    time.Time
	Connected time.Time // zero if it never was
	Closed    time.Time
	Tries     int    // SYNs sent; 0 if that is not known, as of somebody else's proxy
	Reset     string // the RST cause on the clientside half, "" if it was not reset
	Peer      bool   // the cause arose on the serverside half
}

// Proxy is a running virtual server.
type Proxy struct {
	config Config
	hooks  Hooks
	host   *topology.Host
	table  *FlowTable

	loop     *eventloop.Loop
	listener int
	again    eventloop.Timer // for clients that could not be accepted
	ended    chan error

	flows      []*Flow // in the order they were opened
	free       []*conn
	live       map[*conn]struct{}
	roundRobin int
}

// Start opens the virtual server in a host. Close ends it.
func Start(host *topology.Host, config Config, hooks Hooks) (*Proxy, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	loop, err := eventloop.New()
	if err != nil {
		return nil, fmt.Errorf("f5: %w", err)
	}
	p := &Proxy{config: config, hooks: hooks, host: host, table: newFlowTable(config), loop: loop,
		ended: make(chan error, 1), live: map[*conn]struct{}{}}
	if err = muffleRetransmissions(host); err == nil {
		err = host.Run(p.listen)
	}
	if err == nil {
		err = host.Go(func() { p.ended <- p.loop.Run() })
		if err != nil {
			unix.Close(p.listener)
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("f5: virtual server %s: %w", config.VirtualServer.Destination, err), loop.Close())
	}
	return p, nil
}

// listenBacklog is somaxconn's default: a burst of clients is held, not dropped.
const listenBacklog = 4096

func (p *Proxy) listen() error {
	fd, err := eventloop.TCP(p.config.VirtualServer.Destination)
	if err != nil {
		return err
	}
	p.listener = fd
	if err = unix.Listen(fd, listenBacklog); err == nil {
		err = p.loop.Add(fd, acceptor{p}, eventloop.Readable)
	}
	if err != nil {
		unix.Close(fd)
		return fmt.Errorf("listen: %w", err)
	}
	return nil
}

// Table returns the flow table, which knows each frame's trailer.
func (p *Proxy) Table() *FlowTable { return p.table }

// Close stops the proxy, drops what is still open, and returns every serverside
// flow there was.
func (p *Proxy) Close() ([]*Flow, error) {
	p.loop.Stop()
	err := <-p.ended
	unix.Close(p.listener)
	for c := range p.live {
		c.drop()
	}
	return p.flows, errors.Join(err, p.loop.Close())
}

// acceptAgainAfter is the pause when there is no descriptor for a client.
const acceptAgainAfter = 10 * time.Millisecond

// acceptor takes clients.
type acceptor struct{ *Proxy }

// Ready implements [eventloop.Handler].
func (p acceptor) Ready(fd int, _ uint32) {
	for {
		client, from, err := unix.Accept4(fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return
		case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE), errors.Is(err, unix.ENOBUFS), errors.Is(err, unix.ENOMEM):
			// The client stays in the queue and no event will tell of it again.
			p.loop.Arm(&p.again, time.Now().Add(acceptAgainAfter), func() { p.Ready(fd, 0) })
			return
		case err != nil:
			continue // the client was gone before it was accepted (accept(2))
		}
		c := p.newConn()
		c.client.fd, c.clientAddr = client, eventloop.AddrPort(from)
		p.live[c] = struct{}{}
		// The request is usually there already, and readers need no event
		// until then; the registration tells of it either way.
		if err := p.loop.Add(client, &c.client, eventloop.Readable|eventloop.Writable|eventloop.PeerShut); err != nil {
			c.drop()
		}
	}
}

func (p *Proxy) newConn() *conn {
	if n := len(p.free); n > 0 {
		c := p.free[n-1]
		p.free = p.free[:n-1]
		return c
	}
	c := &conn{proxy: p}
	c.client.conn, c.server.conn = c, c
	c.toServer = stream{from: &c.client, to: &c.server, buf: make([]byte, maxHeaderBytes)}
	c.toClient = stream{from: &c.server, to: &c.client, buf: make([]byte, relayBytes)}
	c.recycle()
	return c
}
