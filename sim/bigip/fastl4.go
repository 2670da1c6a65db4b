package bigip

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/hopblame/hopblame/internal/eventloop"
	"github.com/hopblame/hopblame/internal/nft"
	"github.com/hopblame/hopblame/sim/ports"
	"github.com/hopblame/hopblame/topology"
)

// fastL4 is a virtual server of type fastl4, Performance (Layer 4). It has no TCP of its
// own: a member is chosen for the client's SYN, and from then on packets are passed
// through with other addresses and ports. The member's SYN-ACK, FIN and RST are the
// client's, and so are the sequence numbers.
//
//	client ── SYN ──▶ VIP ▷ SNAT ── SYN ──▶ member
//	       ◀ SYN-ACK ── ◁ ◁ ◁ ── SYN-ACK ──
//
// What it makes itself are RSTs: for a SYN that it has no member or no room for, for a
// packet that belongs to no flow, and to both ends of a flow that has expired.
//
// It is a forwarder of its own, and not the kernel's NAT, because the flow table has to
// hear of a packet before a capture can see it, and the RSTs have to be its own. It
// reads and writes frames on the f5's two faces; the kernel gets its copy of what comes
// in and is kept from answering.
//
// As in the fastL4 profile that a BIG-IP ships with, what is not to be translated is
// left as it is, and the TTL is one less (ip-ttl-mode decrement). Only TCP is passed
// through: an ICMP error about a flow is not.
type fastL4 struct {
	*Proxy
	profile            FastL4Profile // with its defaults
	external, internal *face
	hops               *nextHops
	byClient, byMember map[tuple]*connflow
	open               int // flows that have not ended
	rejected           allowance
	crafted            uint64
}

// WithDefaults returns p with its zero fields filled in: a BIG-IP's parent profile.
func (p FastL4Profile) WithDefaults() FastL4Profile {
	p.IdleTimeout = orElse(p.IdleTimeout, 300*time.Second)
	p.ResetOnTimeout = orElse(p.ResetOnTimeout, enabled(true))
	p.HandshakeTimeout = orElse(p.HandshakeTimeout, 5*time.Second)
	return p
}

// newFastL4 opens the virtual server; close ends it. Nothing is served before the
// proxy's loop runs.
func (p *Proxy) newFastL4() (_ *fastL4, err error) {
	v := &fastL4{Proxy: p, profile: p.config.FastL4.WithDefaults(),
		byClient: map[tuple]*connflow{}, byMember: map[tuple]*connflow{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, v.close())
		}
	}()
	if err = v.keepKernelOut(); err != nil {
		return nil, err
	}
	err = p.host.Run(func() (err error) {
		family := familyOf(p.config.VirtualServer.Destination.Addr())
		if v.external, err = openFace(topology.External, family); err != nil {
			return err
		}
		if v.internal, err = openFace(topology.Internal, family); err != nil {
			return err
		}
		v.hops, err = newNextHops(v.internal)
		return err
	})
	for _, f := range []*face{v.external, v.internal} {
		if err == nil {
			err = p.loop.Add(f.fd, v, eventloop.Readable)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("fastl4: %w", err)
	}
	return v, nil
}

// The ports that are translated to. Others are the f5's own, for its monitors' connections:
// a client's that is one of them is not preserved.
var firstPort, lastPort = ports.At(0), ports.At(ports.Count - 1)

func translatable(port uint16) bool { return firstPort <= port && port <= lastPort }

// keepKernelOut lets the kernel answer nothing that is the virtual server's to answer.
// Captures see a frame before its packet filter does.
func (v *fastL4) keepKernelOut() error {
	destination := v.config.VirtualServer.Destination
	deaf := []nft.Ports{{Address: destination.Addr(), First: destination.Port(), Last: destination.Port()}}
	for _, a := range v.translation.addresses {
		deaf = append(deaf, nft.Ports{Address: a, First: firstPort, Last: lastPort})
	}
	c, err := nft.Open(v.host)
	if err != nil {
		return err
	}
	return errors.Join(c.DropInput("fastl4", deaf...), c.Close())
}

// close ends the virtual server and forgets its flows, without a packet. Frames that
// were lost on the way through make the error: no capture tells what became of them.
func (v *fastL4) close() error {
	now := time.Now()
	for _, c := range v.byClient {
		if c.state != closed {
			c.Flow.Closed = now
		}
	}
	var errs []error
	for _, f := range []*face{v.external, v.internal} {
		if f != nil {
			errs = append(errs, f.close())
		}
	}
	if v.hops != nil {
		v.hops.close()
	}
	return errors.Join(errs...)
}

// burst is how many frames are passed on before timers and others have their turn.
const burst = 512

// Ready implements [eventloop.Handler] for both faces. They are read in turns, so that
// the acknowledgements of a transfer keep up with its data.
func (v *fastL4) Ready(int, uint32) {
	for range burst {
		fromClient := v.external.receive(v.fromClient)
		fromMember := v.internal.receive(v.fromMember)
		if !fromClient && !fromMember {
			return
		}
	}
	v.loop.Post(func() { v.Ready(0, 0) })
}

// fromClient handles a frame on the clientside.
func (v *fastL4) fromClient(frame []byte) {
	s, ok := parseDatagram(frame)
	if !ok || s.dst != v.config.VirtualServer.Destination {
		return // the kernel's to answer
	}
	c := v.byClient[tuple{remote: s.src, local: s.dst}]
	switch {
	case s.opens() && (c == nil || c.state == closed):
		v.balance(&s, c)
	case c == nil:
		v.unmatched(clientside, &s)
	default:
		c.fromClient(&s)
	}
}

// fromMember handles a frame on the serverside.
func (v *fastL4) fromMember(frame []byte) {
	s, ok := parseDatagram(frame)
	if !ok {
		return
	}
	c := v.byMember[tuple{remote: s.src, local: s.dst}]
	switch {
	case c != nil:
		c.fromMember(&s)
	case v.translation.owns(s.dst):
		v.unmatched(serverside, &s)
	}
}

// owns says whether nobody but a virtual server has this address and port.
func (t *translation) owns(a netip.AddrPort) bool {
	for _, own := range t.addresses {
		if own == a.Addr() && translatable(a.Port()) {
			return true
		}
	}
	return false
}

// balance makes the load-balancing decision on a client's SYN and passes it on to the
// member. old is the client's flow of the same port that has ended; nil if there is none.
func (v *fastL4) balance(s *datagram, old *connflow) {
	if old != nil {
		old.superseded()
	}
	if cause := v.refusal(); cause != (Cause{}) {
		v.reject(clientside, s, cause)
		return
	}
	if limit := v.config.VirtualServer.ConnectionLimit; limit > 0 && v.open >= limit {
		v.refuse(s, VirtualServerFull)
		return
	}
	member, event := v.members.pick(v.roundRobin)
	v.roundRobin++
	if member < 0 {
		v.refuse(s, event)
		return
	}
	address := v.config.Pool.Members[member].Address
	hop, err := v.hops.to(address.Addr())
	if err != nil {
		v.refuse(s, Unroutable)
		return
	}
	snat, event := v.translate(s.src, address)
	if !snat.IsValid() {
		v.refuse(s, event)
		return
	}
	c := &connflow{v: v, member: member, nextHop: hop, lastHop: s.sender(),
		Flow: &Flow{Dial: Dial{Ordinal: -1, SNAT: snat, Member: address}, Client: s.src, Opened: time.Now()}}
	v.enter(c)
	c.fromClient(s)
}

// translate chooses the source of a flow towards a member, one that no other flow has.
func (v *fastL4) translate(client, member netip.AddrPort) (netip.AddrPort, Event) {
	snat, event := v.translation.choose(client, member)
	if !snat.IsValid() || v.translation.Type == NoSNAT {
		return snat, event
	}
	for range maxPortTries {
		other := v.byMember[tuple{remote: member, local: snat}]
		if other != nil && other.state == closed {
			other.forgotten()
			other = nil
		}
		if other == nil && translatable(snat.Port()) {
			return snat, 0
		}
		next := v.translation.another(snat, member)
		if !next.IsValid() {
			break
		}
		snat = next
	}
	v.translation.release(snat, member)
	return netip.AddrPort{}, PortsExhausted
}

// enter puts a new flow on record, before its first packet can be seen.
func (v *fastL4) enter(c *connflow) {
	v.byClient[c.clientTuple()] = c
	v.byMember[c.memberTuple()] = c
	v.open++
	v.members.opened(c.member)
	v.flows = append(v.flows, c.Flow)
	if v.hooks.Dialing != nil {
		v.hooks.Dialing(c.Dial)
	}
	v.table.connect(c.Flow)
	v.loop.Arm(&c.timer, c.Opened.Add(v.profile.HandshakeTimeout), c.handshakeExpired)
}
