package sim

import (
	"cmp"
	"fmt"
	"time"

	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/sim/client"
	"github.com/hopblame/hopblame/sim/fault"
)

// patience is how long somebody waits for what a delay keeps back: the f5 for the answer
// to its SYNs, its TCP for an acknowledgment, the client for the response. 0 is for what
// nobody waits for, such as a bare ACK.
func (c *Config) patience(f *fault.Fault) time.Duration {
	proxy, whole := c.proxy(), cmp.Or(c.Timeout, client.DefaultTimeout)
	if f.Clientside() { // the client's kernel is more patient than the client
		return whole
	}
	switch f.Match {
	case fault.SYN, fault.SYNACK, fault.Any:
		return min(whole, proxy.Serverside.GiveUpAfter())
	case fault.Data, fault.LargeData:
		return min(whole, proxy.Serverside.DataGivenUpAfter())
	case fault.Response:
		return whole
	}
	return 0
}

// Outlasts says whether a fault is a delay, or a client's pause, that is longer than
// somebody's patience, so that the requests it hits fail.
func (c *Config) Outlasts(f *fault.Fault) bool {
	if f.Do == fault.Pause { // in the middle of a request, for which the f5 waits
		return f.After >= c.proxy().Clientside.WithDefaults().IdleTimeout
	}
	patience := c.patience(f)
	return f.Do == fault.Delay && patience > 0 && f.After >= patience
}

// validateDelay reports a delay of which it would be chance whether somebody waits so
// long, and one that the lab's f5 takes otherwise than a BIG-IP would.
func (c *Config) validateDelay(f *fault.Fault) error {
	if f.Do != fault.Delay {
		return nil
	}
	proxy, most, patience := c.proxy(), f.After+f.Jitter, c.patience(f)
	bad := func(format string, args ...any) error {
		return fmt.Errorf("fault %s: after %v: "+format, append([]any{f.Name, f.After}, args...)...)
	}
	if c.Outlasts(f) && f.Per == fault.PerPacket {
		return bad("nobody waits so long for a packet, and what becomes of its connection without it is chance; per must be %s or %s", fault.PerConnection, fault.PerTuple)
	}
	if idle := min(proxy.Clientside.WithDefaults().IdleTimeout, proxy.Serverside.WithDefaults().IdleTimeout); most >= idle {
		return bad("with a jitter of %v a flow is idle for longer than its idle-timeout, %v; the sum must be below it", f.Jitter, idle)
	}
	next, givenUp := proxy.Serverside.Wait(0), proxy.Serverside.GiveUpAfter()+proxy.Serverside.Wait(0)
	switch ofSYN := !f.Clientside() && (f.Match == fault.SYN || f.Match == fault.SYNACK || f.Match == fault.Any); {
	// Each SYN is a socket's own, with time stamps of its own, and the kernel resets what
	// answers an earlier one's (net/ipv4/tcp_input.c, tcp_rcv_synsent_state_process); a
	// BIG-IP would not.
	case ofSYN && most >= next && (c.Proxy != nil || proxy.VirtualServer.Type == bigip.FastL4):
		return bad("with a jitter of %v the answer to a SYN comes after the next SYN; the sum must be below %v", f.Jitter, next)
	case ofSYN && most >= next && f.After < givenUp:
		return bad("with a jitter of %v the answer to a SYN comes after the f5 has sent the next; the sum must be below its syn-rto-base, %v, or after at least %v, when it has long given up",
			f.Jitter, next, givenUp)
	case patience > 0 && most > patience/2 && f.After < patience:
		return bad("with a jitter of %v it is chance whether it is waited for, for %v; the sum must be at most half of that, or after at least all of it", f.Jitter, patience)
	}
	return nil
}
