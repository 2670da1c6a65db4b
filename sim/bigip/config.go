package bigip

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/hopblame/hopblame/sim/ports"
)

// Config describes one virtual server and all that is behind it.
type Config struct {
	VirtualServer VirtualServer
	Pool          []Member
	SNAT          netip.Addr // source address of every serverside connection
	Serverside    TCPProfile
	Format        TrailerFormat
	Tcpdump       Tcpdump
}

// VirtualServer is what the client connects to.
type VirtualServer struct {
	Name        string // full path, as in the Ethernet trailer
	Destination netip.AddrPort
}

// Member is one server of the pool.
type Member struct {
	Name    string // the node's name in the lab
	Address netip.AddrPort
}

// TrailerFormat is the format of the Ethernet trailer in the f5's capture.
type TrailerFormat string

// The formats. The zero value means DPT.
const (
	DPT    TrailerFormat = "dpt"    // TMOS 14 and later
	Legacy TrailerFormat = "legacy" // TMOS 9.4 to 13
)

// Tcpdump is what the f5's capture is made with: the argument of tcpdump -i on the
// box, whose noise level decides how much of the flow's state a trailer tells (K13637).
type Tcpdump string

// The noise levels. The zero value means the highest.
const (
	NoiseNone   Tcpdump = "0.0"     // no trailers; frames are tagged with their VLAN all the same
	NoiseLow    Tcpdump = "0.0:n"   // direction, TMM and virtual server
	NoiseMedium Tcpdump = "0.0:nn"  // and flow id, peer id and the cause of a RST
	NoiseHigh   Tcpdump = "0.0:nnn" // and the peer flow's addresses
)

// noise is the level as a number, 0 to 3.
func (t Tcpdump) noise() int { return strings.Count(t.argument(), "n") }

// argument is what stands behind -i.
func (t Tcpdump) argument() string {
	if t == "" {
		t = NoiseHigh
	}
	return string(t)
}

// Backoff says how the wait for a SYN's answer grows.
type Backoff string

// The ways. The zero value means constant.
const (
	Constant Backoff = "constant" // as in the incident, and BIG-IP by bug ID467274
	Doubling Backoff = "doubling" // as BIG-IP does by default
)

// TCPProfile is a TCP profile's serverside connection set-up. The zero value of a
// field means the value of [Incident].
type TCPProfile struct {
	SYNMaxRetrans *int          `yaml:"syn-max-retrans"` // SYNs after the first
	SYNRTOBase    time.Duration `yaml:"syn-rto-base"`    // wait for the first SYN's answer
	SYNBackoff    Backoff       `yaml:"syn-backoff"`
}

func retrans(n int) *int { return &n }

// The schedules of a SYN that nobody answers.
var (
	// Incident: SYNs at 0, 1, 2 and 3 s, reset at 4 s, as in the captures of
	// the incident.
	Incident = TCPProfile{SYNMaxRetrans: retrans(3), SYNRTOBase: time.Second, SYNBackoff: Constant}
	// Shipped: SYNs at 0, 3, 9 and 21 s, reset at 45 s: BIG-IP's documented
	// defaults (K10372; syn-rto-base 3000 ms).
	Shipped = TCPProfile{SYNMaxRetrans: retrans(3), SYNRTOBase: 3 * time.Second, SYNBackoff: Doubling}
	// Fast: SYNs at 0, 100, 200 and 300 ms, reset at 400 ms, for tests.
	Fast = TCPProfile{SYNMaxRetrans: retrans(3), SYNRTOBase: 100 * time.Millisecond, SYNBackoff: Constant}
)

// WithDefaults returns p with its zero fields filled in from [Incident].
func (p TCPProfile) WithDefaults() TCPProfile {
	if p.SYNMaxRetrans == nil {
		p.SYNMaxRetrans = Incident.SYNMaxRetrans
	}
	if p.SYNRTOBase == 0 {
		p.SYNRTOBase = Incident.SYNRTOBase
	}
	if p.SYNBackoff == "" {
		p.SYNBackoff = Incident.SYNBackoff
	}
	return p
}

// Tries returns how many SYNs a member that never answers is sent.
func (p TCPProfile) Tries() int { return *p.WithDefaults().SYNMaxRetrans + 1 }

// Wait returns how long the SYN of a try (0 is the first) waits for an answer.
func (p TCPProfile) Wait(try int) time.Duration {
	p = p.WithDefaults()
	if p.SYNBackoff == Doubling {
		return p.SYNRTOBase << try
	}
	return p.SYNRTOBase
}

// GiveUpAfter returns the time from the first SYN to the reset.
func (p TCPProfile) GiveUpAfter() (d time.Duration) {
	for try := range p.Tries() {
		d += p.Wait(try)
	}
	return d
}

// Bounds of a profile's values: BIG-IP's for the retries, and what keeps a run
// finite for the waits.
const (
	maxSYNRetrans = 12
	minSYNRTOBase = 10 * time.Millisecond
	maxGiveUp     = 5 * time.Minute
)

// Validate reports what in c cannot be.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("f5: "+format, args...)) }
	p := c.Serverside.WithDefaults()
	n, d := *p.SYNMaxRetrans, p.GiveUpAfter()
	switch {
	case n < 0 || n > maxSYNRetrans:
		bad("syn-max-retrans %d: must be 0 to %d", n, maxSYNRetrans)
	case p.SYNRTOBase < minSYNRTOBase:
		bad("syn-rto-base %v: must be at least %v", p.SYNRTOBase, minSYNRTOBase)
	case p.SYNRTOBase > maxGiveUp:
		bad("syn-rto-base %v: must be at most %v", p.SYNRTOBase, maxGiveUp)
	case d > maxGiveUp || d <= 0: // the sum may have overflowed
		bad("syn-rto-base %v with %d retransmissions gives up after %v: must be within %v", p.SYNRTOBase, n, d, maxGiveUp)
	}
	if p.SYNBackoff != Constant && p.SYNBackoff != Doubling {
		bad("syn-backoff %q: must be constant or doubling", p.SYNBackoff)
	}
	if c.Format != "" && c.Format != DPT && c.Format != Legacy {
		bad("ethernet trailer %q: must be dpt or legacy", c.Format)
	}
	switch c.Tcpdump {
	case "", NoiseNone, NoiseLow, NoiseMedium, NoiseHigh:
	default:
		bad("tcpdump %q: must be 0.0, 0.0:n, 0.0:nn or 0.0:nnn", c.Tcpdump)
	}
	if len(c.Pool) == 0 {
		bad("the pool has no member")
	}
	if !c.VirtualServer.Destination.IsValid() || !c.SNAT.IsValid() {
		bad("virtual server and SNAT need an address")
	}
	return errors.Join(errs...)
}

// SNATPort returns the serverside source port for a client port: always the same
// one, as a rule another, so that a request's serverside flow can be known before
// the run (source-port change). The incident's 54373 becomes its 43166.
func SNATPort(clientPort uint16) uint16 {
	shift := ports.Count + ports.Index(43166) - ports.Index(54373)
	return ports.At(ports.Index(clientPort) + shift)
}

// MemberFor returns the index of the member that a request goes to. Round-robin
// goes by the request's ordinal, not by arrival, so that it is the same at any
// concurrency.
func (c *Config) MemberFor(ordinal, attempt int) int { return (ordinal + attempt) % len(c.Pool) }
