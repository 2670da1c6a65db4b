package bigip

import (
	"errors"
	"fmt"
	"math/rand/v2"
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

// Reset is a RST that the f5 made: a line of its own ledger.
type Reset struct {
	Time       time.Time
	From, To   netip.AddrPort
	Serverside bool           // sent to the member
	Client     netip.AddrPort // of the connection, whichever half is reset
	Flow       *Flow          // nil if no serverside connection belongs to it
	Ordinal    int            // of the request; -1 if the proxy does not know it
	Cause      Cause
	Peer       bool // the cause arose on the other half
}

// Kind is what r has in common with others that are counted together: all else is zero.
func (r Reset) Kind() Reset { return Reset{Serverside: r.Serverside, Cause: r.Cause, Peer: r.Peer} }

// Proxy is a running virtual server.
type Proxy struct {
	config                 Config
	clientside, serverside TCPProfile // with their defaults
	hooks                  Hooks
	host                   *topology.Host
	table                  *FlowTable
	members                *members
	translation            translation
	monitoring             *monitoring // nil where the pool has no monitor
	layer7                 *layer7     // nil where relaying is enough
	raw                    *rstSender  // nil where RSTs carry no payload
	fastL4                 *fastL4     // nil where connections end here

	loop     *eventloop.Loop
	listener int
	refusing Cause           // why it does not listen; zero: it does
	again    eventloop.Timer // for clients that could not be accepted
	ended    chan error

	sequence *rand.Rand // of initial sequence numbers; nil where the kernel's will do

	flows      []*Flow // in the order they were opened
	resets     []Reset
	free       []*conn
	live       map[*conn]struct{}
	clients    int // of live, those that a client has opened
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
	p := &Proxy{config: config, clientside: config.Clientside.WithDefaults(), serverside: config.Serverside.WithDefaults(),
		hooks: hooks, host: host, table: newFlowTable(config), members: newMembers(&config.Pool),
		translation: newTranslation(&config), loop: loop, listener: -1, ended: make(chan error, 1), live: map[*conn]struct{}{}}
	if !config.timestamps() {
		p.sequence = rand.New(rand.NewPCG(config.Seed, uint64(len("initial sequence numbers"))))
	}
	p.table.unread.Store(true)
	if err := p.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("f5: virtual server %s: %w", config.VirtualServer.Destination, err), p.release())
	}
	return p, nil
}

// open gets the proxy what it works with, and to work.
func (p *Proxy) open() (err error) {
	c := &p.config
	p.monitoring = newMonitoring(p)
	if c.VirtualServer.Type == FastL4 {
		if p.fastL4, err = p.newFastL4(); err != nil {
			return err
		}
		return p.host.Go(func() { p.ended <- p.loop.Run() })
	}
	if c.looksInto() {
		if p.layer7, err = p.newLayer7(); err != nil {
			return err
		}
	}
	if c.RSTCause.Packet {
		if p.raw, err = newRSTSender(p.host, c.VirtualServer.Destination.Addr().Is6()); err != nil {
			return err
		}
	}
	if err := p.ownSchedule(); err != nil {
		return err
	}
	if err := p.host.Run(p.attend); err != nil {
		return err
	}
	return p.host.Go(func() { p.ended <- p.loop.Run() })
}

// release frees what open got.
func (p *Proxy) release() error {
	var errs []error
	if p.layer7 != nil {
		errs = append(errs, p.layer7.close())
	}
	if p.raw != nil {
		p.raw.close()
	}
	if p.fastL4 != nil {
		errs = append(errs, p.fastL4.close())
	}
	if p.listener >= 0 {
		unix.Close(p.listener)
	}
	return errors.Join(append(errs, p.loop.Close())...)
}

// listenBacklog is somaxconn's default: a burst of clients is held, not dropped.
const listenBacklog = 4096

func (p *Proxy) listen() error {
	fd, err := eventloop.TCP(p.config.VirtualServer.Destination)
	if err != nil {
		return err
	}
	if err = p.options(fd, &p.clientside); err == nil {
		err = unix.Listen(fd, listenBacklog)
	}
	if err == nil {
		err = p.loop.Add(fd, acceptor{p}, eventloop.Readable)
	}
	if err != nil {
		unix.Close(fd)
		return fmt.Errorf("listen: %w", err)
	}
	p.listener = fd
	return nil
}

// Table returns the flow table, which knows each frame's trailer. It is kept from the
// first call on, for who then reads it: nobody else empties it.
func (p *Proxy) Table() *FlowTable {
	p.table.unread.Store(false)
	return p.table
}

// Crafted returns how many RSTs the proxy has sent in place of the kernel's. Call it
// after Close.
func (p *Proxy) Crafted() uint64 {
	switch {
	case p.raw != nil:
		return p.raw.sent
	case p.fastL4 != nil:
		return p.fastL4.crafted
	}
	return 0
}

// Resets returns every RST that the proxy has made. Call it after Close.
func (p *Proxy) Resets() []Reset { return p.resets }

// Close stops the proxy, drops what is still open, and returns every serverside
// flow there was.
func (p *Proxy) Close() ([]*Flow, error) {
	var err error
	if p.layer7 != nil {
		err = p.layer7.close() // while the loop still serves its pipes
	}
	p.loop.Stop()
	err = errors.Join(err, <-p.ended)
	if p.monitoring != nil {
		p.monitoring.stop()
	}
	for c := range p.live {
		c.end(NothingLeft)
	}
	return p.flows, errors.Join(err, p.release())
}

// acceptAgainAfter is the pause when there is no descriptor for a client.
const acceptAgainAfter = 10 * time.Millisecond

// acceptor takes clients.
type acceptor struct{ *Proxy }

// Ready implements [eventloop.Handler].
func (p acceptor) Ready(fd int, _ uint32) {
	for {
		client, from, err := eventloop.Accept(fd)
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
		c.client.fd, c.clientAddr = client, from
		p.begin(c)
	}
}

// begin takes a client that has connected.
func (p *Proxy) begin(c *conn) {
	p.enlist(c)
	p.clients++
	if limit := p.config.VirtualServer.ConnectionLimit; limit > 0 && p.clients > limit {
		c.end(VirtualServerFull)
		return
	}
	// The request is usually there already, and readers need no event until then;
	// the registration tells of it either way.
	if err := c.client.watch(); err != nil {
		c.end(ClientGone)
		return
	}
	switch {
	case p.layer7 != nil:
		p.layer7.begin(c)
	case !p.config.VirtualServer.Has(ProfileHTTP):
		c.dial(-1) // K8082: after the client's handshake, without waiting for data
	}
}

// enlist begins to count a connection, and its idle time.
func (p *Proxy) enlist(c *conn) {
	p.live[c] = struct{}{}
	c.active = time.Now()
	timeout, _ := p.idleTimeout()
	p.loop.Arm(&c.idle, c.active.Add(timeout), c.sinceActive)
}

// noteReset puts a RST on record before it is sent.
func (p *Proxy) noteReset(c *conn, s side, e Event) {
	r := Reset{Serverside: s == serverside, Client: c.clientAddr, Flow: orElse(c.flow, c.because), Ordinal: c.ordinal,
		Cause: p.config.HTTP.causeOf(e), Peer: endings[e].peer(s)}
	if r.Flow != nil {
		r.Ordinal = r.Flow.Ordinal
	}
	h := &c.client
	if r.Serverside {
		h = &c.server
	}
	r.From, r.To = h.ends()
	if p.raw != nil {
		h.told = r.Cause.payload(r.Peer)
	}
	r.Time = p.table.reset(s, c.clientAddr, r.Flow, r.Cause, r.Peer)
	p.resets = append(p.resets, r)
}

// keep keeps a connection's memory for the next one.
func (p *Proxy) keep(c *conn) {
	c.recycle()
	p.free = append(p.free, c)
}

func (p *Proxy) newConn() *conn {
	if n := len(p.free); n > 0 {
		c := p.free[n-1]
		p.free = p.free[:n-1]
		return c
	}
	c := &conn{proxy: p}
	c.client.conn, c.server.conn = c, c
	c.toServer = stream{from: &c.client, to: &c.server, most: max(relayBytes, p.config.HTTP.headerSize())}
	c.toClient = stream{from: &c.server, to: &c.client, most: relayBytes}
	c.recycle()
	return c
}
