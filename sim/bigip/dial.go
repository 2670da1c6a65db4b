package bigip

import (
	"errors"
	"time"

	"github.com/hopblame/hopblame/internal/eventloop"
	"github.com/hopblame/hopblame/internal/nft"
	"golang.org/x/sys/unix"
)

// A BIG-IP's SYN schedule cannot be had from the kernel, whose first
// retransmission comes after one second whatever is set. So each try is a socket
// of its own, from the same port and with the same initial sequence number
// (TCP_REPAIR): on the wire that is one SYN and its retransmissions.

// From include/uapi/linux/tcp.h.
const (
	repairQueueReceive = 1 // TCP_RECV_QUEUE
	repairQueueSend    = 2 // TCP_SEND_QUEUE
	repairOn           = 1
	repairOff          = 0
)

// mark is on every serverside socket whose SYN has left: the kernel's own
// retransmissions carry it, and [Proxy.ownSchedule] swallows them. connect(2)
// sends the SYN itself before it returns, so the original never does. It is set at
// once and not when the kernel's second is nearly over, because on a busy machine
// a timer may come later than that.
const mark = 0x77

// ownSchedule makes the host drop the SYNs that the kernel repeats by itself, before any
// capture sees them; and, behind its captures, ICMP errors about what was sent. Linux ends
// a connection that is opening upon any of them, soft or hard (net/ipv4/tcp_ipv4.c,
// tcp_v4_err): measured in a lab, with IPv4 at once, with IPv6 at the second SYN, because the
// first error comes while connect(2) still has the socket. No article says that TMM heeds
// them, but for a smaller MTU (ID425736); RFC 1122 §4.2.3.9 has TCP go on after soft ones,
// and RFC 5927 §5.2 has doubts about hard ones. Here it goes on sending SYNs.
func (p *Proxy) ownSchedule() error {
	c, err := nft.Open(p.host)
	if err != nil {
		return err
	}
	defer c.Close()
	return errors.Join(c.DropMarkedSYNs("syn-schedule", mark), c.DropICMPErrors("icmp-errors"))
}

// dial opens the serverside half to the member whose turn it is.
func (c *conn) dial(ordinal int) {
	p := c.proxy
	c.ordinal = ordinal
	turn := ordinal
	if ordinal < 0 {
		turn = p.roundRobin
		p.roundRobin++
	}
	member, event := p.members.pick(turn)
	if member < 0 {
		c.end(event)
		return
	}
	m := &p.config.Pool.Members[member]
	snat, event := p.translation.choose(c.clientAddr, m.Address)
	if !snat.IsValid() {
		c.end(event)
		return
	}
	c.state = connecting
	c.member = member
	for p.sequence != nil && c.isn == 0 { // 0 stands for the kernel's
		c.isn = p.sequence.Uint32()
	}
	p.members.opened(member)
	c.flow = &Flow{Dial: Dial{Ordinal: ordinal, SNAT: snat, Member: m.Address}, Client: c.clientAddr, Opened: time.Now()}
	p.flows = append(p.flows, c.flow)
	if p.hooks.Dialing != nil {
		p.hooks.Dialing(c.flow.Dial)
	}
	p.table.connect(c.flow)
	c.sendSYN()
}

// maxPortTries bounds the search for a source port when the one that belongs to
// the client's is taken: by somebody else's clients, or by a client's other requests
// where it has several under way.
const maxPortTries = 1024

// portWait is after how long a try looks again for its own port, where the kernel has not
// got it back from the try before. A BIG-IP's flow has its port as long as it lives. Seen
// once in a hundred thousand tries, on a busy machine; what had kept the port is not known,
// but a closed descriptor can live on in a child that was just forked, until its exec.
const portWait = time.Millisecond

// sendSYN makes the next try.
func (c *conn) sendSYN() {
	p := c.proxy
	f := c.flow
	for range maxPortTries {
		err := c.connect()
		if err == nil {
			break
		}
		taken := errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EADDRINUSE)
		if taken && f.Tries > 0 && c.portWaits < maxPortTries {
			c.portWaits++
			p.loop.Arm(&c.timer, time.Now().Add(portWait), c.sendSYN)
			return
		}
		if !taken || f.Tries > 0 {
			c.dialFailed(err)
			return
		}
		next := p.translation.another(f.SNAT, f.Member)
		if !next.IsValid() {
			break
		}
		p.dialed(c)
		f.SNAT = next
		if p.hooks.Dialing != nil {
			p.hooks.Dialing(f.Dial)
		}
		p.table.connect(f)
	}
	if c.server.fd < 0 {
		c.dialFailed(unix.EADDRNOTAVAIL)
		return
	}
	deadline := time.Now().Add(p.serverside.Wait(f.Tries))
	f.Tries++
	p.loop.Arm(&c.timer, deadline, c.unanswered)
}

// connect makes a socket and has the kernel send the SYN. Between namespaces of
// one machine the handshake is mostly over when it returns.
func (c *conn) connect() error {
	fd, err := c.proxy.translation.socket(c.flow.SNAT)
	if err != nil {
		return err
	}
	if c.isn != 0 {
		err = setISN(fd, c.isn)
	}
	if err == nil {
		err = unix.Connect(fd, eventloop.Sockaddr(c.flow.Member))
	}
	if errors.Is(err, unix.EINPROGRESS) {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, mark)
	}
	if err == nil {
		c.server.fd = fd
		err = c.server.watch()
	}
	if err != nil {
		c.server.fd = -1
		unix.Close(fd)
	}
	return err
}

// unanswered closes the try — in SYN-SENT that sends nothing — and makes the
// next one, or gives up.
func (c *conn) unanswered() {
	// The answer may have come since the loop last asked: its event follows.
	if i, err := unix.GetsockoptTCPInfo(c.server.fd, unix.IPPROTO_TCP, unix.TCP_INFO); err == nil && i.State != unix.BPF_TCP_SYN_SENT {
		return
	}
	isn, err := initialSequence(c.server.fd)
	c.proxy.loop.Forget(c.server.fd)
	unix.Close(c.server.fd)
	c.server.reset()
	switch {
	case err != nil:
		c.dialFailed(err)
	case c.flow.Tries >= c.proxy.serverside.Tries():
		c.dialFailed(unix.ETIMEDOUT)
	default:
		c.isn = isn
		c.sendSYN()
	}
}

// initialSequence reads the sequence number of the SYN a socket has sent.
func initialSequence(fd int) (uint32, error) {
	if err := errors.Join(
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_REPAIR, repairOn),
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_REPAIR_QUEUE, repairQueueSend),
	); err != nil {
		return 0, err
	}
	next, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_QUEUE_SEQ)
	return uint32(next) - 1, err // the SYN takes one number
}

// setISN makes a socket's SYN carry that sequence number.
func setISN(fd int, isn uint32) error {
	return errors.Join(
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_REPAIR, repairOn),
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_REPAIR_QUEUE, repairQueueSend),
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_QUEUE_SEQ, int(int32(isn))),
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_REPAIR, repairOff),
		// The end of repair takes it away (SK_NO_REUSE in net/ipv4/tcp.c), and the port
		// may be wanted for another member.
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
	)
}

// connected is told that the member has answered, one way or the other.
func (c *conn) connected(events uint32) {
	if events&(eventloop.Failed|eventloop.HungUp) != 0 {
		err := eventloop.Error(c.server.fd)
		if err == nil {
			err = unix.ECONNREFUSED
		}
		c.dialFailed(err)
		return
	}
	if events&eventloop.Writable == 0 {
		return
	}
	c.proxy.loop.Disarm(&c.timer)
	if err := c.proxy.options(c.server.fd, &c.proxy.serverside); err != nil {
		c.dialFailed(err)
		return
	}
	c.flow.Connected = time.Now()
	c.proxy.dialed(c)
	c.state = relaying
	if c.client.pipe != nil {
		close(c.client.pipe.opened)
	}
	c.relay()
}

// dialFailed resets the client: a full proxy has accepted it long ago.
func (c *conn) dialFailed(err error) {
	c.proxy.dialed(c)
	c.end(c.server.event(err))
}

func (p *Proxy) dialed(c *conn) {
	if p.hooks.Dialed != nil {
		p.hooks.Dialed(c.flow.Dial)
	}
}
