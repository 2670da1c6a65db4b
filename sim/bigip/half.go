package bigip

import (
	"errors"
	"net/netip"
	"time"

	"github.com/hopblame/hopblame/internal/eventloop"
	"golang.org/x/sys/unix"
)

func (h *half) isTCP() bool { return h.fd >= 0 && h.pipe == nil }

// canReset says whether closing h sends a RST: not where both FINs have passed, nor where
// the SYN has not been answered (tcp_need_reset in net/ipv4/tcp.c).
func (h *half) canReset() bool {
	i, err := h.info()
	if err != nil {
		return false
	}
	switch i.State {
	case unix.BPF_TCP_ESTABLISHED, unix.BPF_TCP_SYN_RECV, unix.BPF_TCP_FIN_WAIT1, unix.BPF_TCP_FIN_WAIT2, unix.BPF_TCP_CLOSE_WAIT:
		return true
	}
	return false
}

// read and write are read(2) and write(2), with their errors, for a pipe too.
func (h *half) read(b []byte) (int, error) {
	h.wrote = false
	if h.pipe != nil {
		return h.take(b)
	}
	return unix.Read(h.fd, b)
}

func (h *half) write(b []byte) (int, error) {
	h.wrote = true
	if h.pipe != nil {
		return h.give(b)
	}
	return unix.Write(h.fd, b)
}

// shutdown sends the FIN.
func (h *half) shutdown() error {
	return unix.Shutdown(h.fd, unix.SHUT_WR)
}

// info asks the kernel about a TCP half.
func (h *half) info() (*unix.TCPInfo, error) {
	if !h.isTCP() {
		return nil, unix.ENOTCONN
	}
	return unix.GetsockoptTCPInfo(h.fd, unix.IPPROTO_TCP, unix.TCP_INFO)
}

// end ends a half because of an event.
func (h *half) end(with packet, because Event) {
	if h.pipe != nil {
		h.pipe.ended.Store(&BrokenError{because, h.conn.flow})
	}
	h.close(with)
}

// close closes a half with a FIN, a RST or without a packet.
func (h *half) close(with packet) {
	if h.fd >= 0 {
		h.conn.proxy.loop.Forget(h.fd)
		switch {
		case h.pipe != nil:
			h.pipe.conn = nil
			close(h.pipe.over)
			unix.Close(h.fd)
		case with == rst:
			h.sendRST()
		case with == silence:
			vanish(h.fd)
		default:
			h.lastACK()
			unix.Close(h.fd)
		}
	}
	h.reset()
}

// ends are the f5's address of a half that is a TCP connection, and the other end's.
func (h *half) ends() (local, remote netip.AddrPort) {
	c := h.conn
	if h.side() == serverside {
		return c.flow.SNAT, c.flow.Member
	}
	return c.proxy.config.VirtualServer.Destination, c.clientAddr
}

// watch has the loop tell of everything that happens to h.
func (h *half) watch() error {
	return h.conn.proxy.loop.Add(h.fd, h, eventloop.Readable|eventloop.Writable|eventloop.PeerShut)
}

// sendRST closes a half with a RST.
func (h *half) sendRST() {
	p := h.conn.proxy
	if p.raw == nil || h.told == "" { // which says that there is none to send
		eventloop.Reset(h.fd)
		return
	}
	local, remote := h.ends()
	// One that the other end has reset meanwhile is gone, and so is the need.
	_ = p.raw.reset(h.fd, local, remote, h.told)
}

// lastACK bounds the wait for the answer to a FIN that comes second: after it the kernel
// forgets the connection, which is in LAST-ACK then.
func (h *half) lastACK() {
	if h.peerShut {
		wait := h.profile().CloseWaitTimeout
		_ = unix.SetsockoptInt(h.fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(wait.Milliseconds()))
	}
}

// profile is the tcp profile of the half's side.
func (h *half) profile() *TCPProfile {
	if h.side() == serverside {
		return &h.conn.proxy.serverside
	}
	return &h.conn.proxy.clientside
}

// vanish closes a socket and lets no packet tell of it: closing one that is under
// repair sends nothing (tcp_disconnect in net/ipv4/tcp.c). One that is in no state to
// be repaired, because the other end has reset it, sends nothing anyway.
func vanish(fd int) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_REPAIR, repairOn)
	unix.Close(fd)
}

// windowLooks is how often a stalled half's window is looked at, in parts of
// zero-window-timeout.
const windowLooks = 10

// watchWindow begins to look at the windows of halves that may not take what there is: what
// was written to the member may still be in the kernel's buffer.
func (c *conn) watchWindow() {
	if c.stall.Armed() {
		return
	}
	c.shut = time.Time{}
	c.lookAgain()
}

// owes says whether the kernel has something of a half's that the other end has not
// acknowledged.
func (h *half) owes() bool {
	i, err := h.info()
	return err == nil && i.Unacked+i.Notsent_bytes > 0
}

func (c *conn) lookAgain() {
	p := c.proxy
	every := min(p.clientside.ZeroWindowTimeout, p.serverside.ZeroWindowTimeout) / windowLooks
	p.loop.Arm(&c.stall, time.Now().Add(every), c.lookAtWindow)
}

// lookAtWindow ends a connection of which one end's window has been zero for too long.
func (c *conn) lookAtWindow() {
	p := c.proxy
	for _, s := range []struct {
		half    *half
		stuck   bool
		timeout time.Duration
		event   Event
	}{
		{&c.client, c.toClient.blocked() || c.state == closing, p.clientside.ZeroWindowTimeout, ClientWindowShut},
		{&c.server, c.toServer.blocked() || c.server.owes(), p.serverside.ZeroWindowTimeout, MemberWindowShut},
	} {
		i, err := s.half.info()
		if !s.stuck || err != nil {
			continue
		}
		if i.Snd_wnd > 0 {
			c.shut = time.Time{}
		} else if c.shut.IsZero() {
			c.shut = p.loop.Now()
			// The kernel must not give up its probes before the profile does, or
			// it would look like data that is not acknowledged.
			_ = unix.SetsockoptInt(s.half.fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 0)
		} else if p.loop.Now().Sub(c.shut) >= s.timeout {
			c.end(s.event)
			return
		}
		c.lookAgain()
		return
	}
}

// sinceActive is armed for every connection and ends it when nothing has passed for
// the smaller idle timeout of both sides.
func (c *conn) sinceActive() {
	p := c.proxy
	timeout, profile := p.idleTimeout()
	if due := c.active.Add(timeout); due.After(p.loop.Now()) {
		p.loop.Arm(&c.idle, due, c.sinceActive)
		return
	}
	if *profile.ResetOnTimeout {
		c.end(FlowIdle)
	} else {
		c.end(FlowIdleUntold)
	}
}

// idleTimeout is the smaller one of both sides', and whose it is.
func (p *Proxy) idleTimeout() (time.Duration, *TCPProfile) {
	if p.serverside.IdleTimeout < p.clientside.IdleTimeout {
		return p.serverside.IdleTimeout, &p.serverside
	}
	return p.clientside.IdleTimeout, &p.clientside
}

// keepAlive says whether a side's keep-alive probes are ever due: the flow may expire
// before.
func (p *Proxy) keepAlive(profile *TCPProfile) bool {
	idle, _ := p.idleTimeout()
	return profile.KeepAliveInterval < idle
}

// keepAliveRanOut says whether it was for keep-alive probes that a half timed out, and
// not for data, nor for a SYN.
func (h *half) keepAliveRanOut() bool {
	opening := h.side() == serverside && h.conn.state == connecting
	return h.conn.proxy.keepAlive(h.profile()) && !h.wrote && !opening
}

// options sets a profile's timers on a socket: of a listener, for all it accepts.
func (p *Proxy) options(fd int, profile *TCPProfile) error {
	// Measured from the first retransmission on (tcp_write_timeout in
	// net/ipv4/tcp_timer.c), one minimum-rto after the segment.
	giveUp := profile.DataGivenUpAfter() - profile.MinimumRTO
	err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(giveUp.Milliseconds()))
	// Kernels before 6.15 have no such option, and keep their 200 ms.
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, tcpRTOMinUS, int(profile.MinimumRTO.Microseconds()))
	// nagle disabled, as shipped: with it, and with the other end's delayed ACK, each
	// request but a connection's first takes 40 ms.
	err = errors.Join(err, unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1))
	if err == nil && p.keepAlive(profile) {
		every := max(1, int(profile.KeepAliveInterval.Seconds()))
		err = errors.Join(
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1),
			unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, every),
			unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 1),
			unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, max(1, *profile.MaxRetrans)))
	}
	return err
}

// tcpRTOMinUS is TCP_RTO_MIN_US of include/uapi/linux/tcp.h, Linux 6.15.
const tcpRTOMinUS = 45
