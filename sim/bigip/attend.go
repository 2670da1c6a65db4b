package bigip

import (
	"time"

	"golang.org/x/sys/unix"
)

// refusal is the cause of the RST that a SYN to the virtual server is to be answered
// with; zero if it is to be accepted. (K9812; VIP down is an entry of the flow-reject
// table, as the others are.)
func (p *Proxy) refusal() Cause {
	v := &p.config.VirtualServer
	switch {
	case v.Type == Reject:
		return PolicyAction
	case v.State == Disabled:
		return NoLocalListener
	case v.ServiceDown == ServiceDownReset && p.members.none():
		return VIPDown
	}
	return Cause{}
}

// attend opens the virtual server's port or closes it, as it has to be now: the kernel
// answers a SYN to a closed one with a RST. It must be called on a thread of the host.
func (p *Proxy) attend() error {
	if p.fastL4 != nil {
		return nil // it answers, or not, by itself
	}
	cause := p.refusal()
	open := cause == Cause{}
	switch {
	case open && p.listener < 0:
		if err := p.listen(); err != nil {
			return err
		}
	case !open && p.listener >= 0:
		acceptor{p}.Ready(p.listener, 0) // who is connected already has a flow
	}
	if cause != p.refusing { // known before the first RST, and until after the last
		p.refusing = cause
		p.table.refuse(cause)
	}
	if !open && p.listener >= 0 {
		p.loop.Disarm(&p.again)
		p.loop.Forget(p.listener)
		unix.Close(p.listener)
		p.listener = -1
	}
	return nil
}

// memberIs is told by the monitor whether a member is up. It is called on the loop's
// thread.
func (p *Proxy) memberIs(member int, up bool) {
	if p.members.down[member] == !up {
		return
	}
	p.members.set(member, up)
	p.attendAgain()
}

// attendAgain tries until the port is as it has to be: there may be no descriptor for it.
func (p *Proxy) attendAgain() {
	if err := p.attend(); err != nil {
		p.loop.Arm(&p.again, time.Now().Add(acceptAgainAfter), p.attendAgain)
	}
}
