package bigip

import (
	"net/netip"
	"time"

	"github.com/hopblame/hopblame/internal/eventloop"
)

// connflow is a connection that passes through a FastL4 virtual server: TMM calls it
// a connflow.
type connflow struct {
	v *fastL4
	*Flow
	member  int
	lastHop hardware // towards the client: where its SYN came from (auto last hop)
	nextHop hardware // towards the member
	state   connState
	told    bool // the outcome of the handshake
	client  end
	server  end
	active  time.Time // when something passed
	timer   eventloop.Timer
}

// connState is how far a connection has come.
type connState uint8

const (
	synSent     connState = iota // the member has yet to answer
	synReceived                  // the client has yet to acknowledge that
	established
	closed // by FINs or a RST; what is still on its way passes
)

// end is what packets have told of one end of a connection: enough to speak for the
// other one.
type end struct {
	seen  bool
	next  uint32 // the sequence number behind all that it has sent
	fin   bool   // the last of it is a FIN
	heard bool
	acked uint32 // the sequence number it waits for
}

// note takes in a segment that an end has sent.
func (e *end) note(s *datagram) {
	next := s.seq + uint32(s.payload)
	if s.flags&flagSYN != 0 {
		*e = end{} // a SYN of another number is another connection to the ends
		next++
	}
	if s.flags&flagFIN != 0 {
		next++
	}
	if !e.seen || before(e.next, next) {
		e.seen, e.next = true, next
		e.fin = s.flags&flagFIN != 0
	}
	if s.flags&flagACK != 0 && (!e.heard || before(e.acked, s.ack)) {
		e.heard, e.acked = true, s.ack
	}
}

// before compares sequence numbers (RFC 9293 §3.4).
func before(a, b uint32) bool { return int32(a-b) < 0 }

// finished says whether e has sent all that it will, and the other end has it.
func (e *end) finished(other *end) bool { return e.fin && other.heard && other.acked == e.next }

func (c *connflow) clientTuple() tuple { return c.v.table.clientTuple(c.Client) }
func (c *connflow) memberTuple() tuple { return c.v.table.serverTuple(c.Flow) }

// fromClient passes a packet on to the member.
func (c *connflow) fromClient(s *datagram) {
	c.noteFrom(&c.client, s)
	switch {
	case s.opens():
		c.Tries++
	case c.state == synReceived && c.client.heard && c.client.acked == c.server.next:
		c.state = established
		c.v.loop.Arm(&c.timer, c.active.Add(c.v.profile.IdleTimeout), c.idle)
	}
	c.v.internal.forward(s, c.nextHop, c.SNAT, c.Member)
}

// fromMember passes a packet on to the client.
func (c *connflow) fromMember(s *datagram) {
	c.noteFrom(&c.server, s)
	if c.state == synSent && s.flags&(flagSYN|flagACK) == flagSYN|flagACK {
		c.state = synReceived
		c.Connected = time.Now()
		c.tell()
	}
	c.v.external.forward(s, c.lastHop, c.v.config.VirtualServer.Destination, c.Client)
}

// noteFrom takes in a packet before it is passed on: if it is the last, the flow has
// ended before anybody can see it.
func (c *connflow) noteFrom(from *end, s *datagram) {
	c.active = c.v.loop.Now()
	if s.flags&flagRST != 0 {
		c.close()
		return
	}
	from.note(s)
	if c.client.finished(&c.server) && c.server.finished(&c.client) {
		c.close()
	}
}

// tell tells once that the handshake has an outcome.
func (c *connflow) tell() {
	if !c.told && c.v.hooks.Dialed != nil {
		c.v.hooks.Dialed(c.Dial)
	}
	c.told = true
}

// closeTimeout is how long the addresses of a connection that has ended stay taken, for
// what is still on its way (tcp-close-timeout).
const closeTimeout = 5 * time.Second

// close puts the end of the connection on record.
func (c *connflow) close() {
	if c.state == closed {
		return
	}
	v := c.v
	c.state = closed
	c.tell()
	c.Closed = time.Now()
	v.open--
	v.members.closed(c.member)
	v.translation.release(c.SNAT, c.Member)
	v.loop.Arm(&c.timer, c.Closed.Add(closeTimeout), c.forgotten)
}

// forgotten lets the addresses be used again.
func (c *connflow) forgotten() {
	c.v.table.closed(c.Client, c.Flow)
	c.forget()
}

// superseded does so for a client that uses its port again. Its SYN has been seen, and
// has begun a new clientside flow.
func (c *connflow) superseded() {
	c.v.table.closed(netip.AddrPort{}, c.Flow)
	c.forget()
}

func (c *connflow) forget() {
	c.v.loop.Disarm(&c.timer)
	delete(c.v.byClient, c.clientTuple())
	delete(c.v.byMember, c.memberTuple())
}

// handshakeExpired is called when the handshake has taken tcp-handshake-timeout.
func (c *connflow) handshakeExpired() {
	if c.state == synSent {
		c.reset(MemberHandshakeSlow)
	} else {
		c.reset(ClientHandshakeSlow)
	}
}

// idle ends a connection when nothing has passed for idle-timeout.
func (c *connflow) idle() {
	v := c.v
	if due := c.active.Add(v.profile.IdleTimeout); due.After(v.loop.Now()) {
		v.loop.Arm(&c.timer, due, c.idle)
		return
	}
	if *v.profile.ResetOnTimeout {
		c.reset(FlowIdle)
	} else {
		c.reset(FlowIdleUntold)
	}
}
