package bigip

import "time"

// Backoff says how the wait for a SYN's answer grows.
type Backoff string

// The ways. The zero value means constant.
const (
	Constant Backoff = "constant" // as in the incident, and BIG-IP by bug ID467274
	Doubling Backoff = "doubling" // as BIG-IP does by default
)

// TCPProfile is a tcp profile, by its keys in tmsh. The zero value of a field means
// the value of [Incident]: for the set-up of connections the incident's, for the rest
// that of BIG-IP's base profile (TMOS 17.1).
type TCPProfile struct {
	// Connection set-up; serverside only.
	SYNMaxRetrans *int          `yaml:"syn-max-retrans"` // SYNs after the first
	SYNRTOBase    time.Duration `yaml:"syn-rto-base"`    // wait for the first SYN's answer
	SYNBackoff    Backoff       `yaml:"syn-backoff"`

	// Timestamps (RFC 7323) tell a new connection from an old one of the same 5-tuple.
	// Without them, which the kernel of the lab can only have for both sides at once, it
	// is left to the initial sequence number, and a BIG-IP's is taken to be random where the
	// kernel's grows with the time (RFC 6528): that of serverside connections is drawn then.
	Timestamps *bool `yaml:"timestamps"`

	// Data that the other end does not acknowledge.
	MaxRetrans *int          `yaml:"max-retrans"` // retransmissions of a segment
	MinimumRTO time.Duration `yaml:"minimum-rto"` // wait before the first one; it doubles

	IdleTimeout       time.Duration `yaml:"idle-timeout"`     // of the flow; the smaller one of both sides counts
	ResetOnTimeout    *bool         `yaml:"reset-on-timeout"` // false: the flow is forgotten without a packet
	ZeroWindowTimeout time.Duration `yaml:"zero-window-timeout"`
	KeepAliveInterval time.Duration `yaml:"keep-alive-interval"`
	CloseWaitTimeout  time.Duration `yaml:"close-wait-timeout"` // for the answer to the FIN that comes second
	FINWaitTimeout    time.Duration `yaml:"fin-wait-timeout"`   // for the answer to the FIN that comes first
}

func retrans(n int) *int   { return &n }
func enabled(b bool) *bool { return &b }

// The profiles.
var (
	// Incident: SYNs at 0, 1, 2 and 3 s, reset at 4 s, as in the captures of
	// the incident; all else as shipped.
	Incident = TCPProfile{SYNMaxRetrans: retrans(3), SYNRTOBase: time.Second, SYNBackoff: Constant,
		Timestamps: enabled(true), MaxRetrans: retrans(8), MinimumRTO: time.Second,
		IdleTimeout: 300 * time.Second, ResetOnTimeout: enabled(true), ZeroWindowTimeout: 20 * time.Second,
		KeepAliveInterval: 1800 * time.Second, CloseWaitTimeout: 5 * time.Second, FINWaitTimeout: 5 * time.Second}
	// Shipped: SYNs at 0, 3, 9 and 21 s, reset at 45 s: BIG-IP's documented
	// defaults (K10372; syn-rto-base 3000 ms).
	Shipped = TCPProfile{SYNMaxRetrans: retrans(3), SYNRTOBase: 3 * time.Second, SYNBackoff: Doubling}
	// Fast: SYNs at 0, 100, 200 and 300 ms, reset at 400 ms, for tests. A segment
	// that is not acknowledged is repeated after 100, 300 and 700 ms, and given up
	// after 1.5 s.
	Fast = TCPProfile{SYNMaxRetrans: retrans(3), SYNRTOBase: 100 * time.Millisecond, SYNBackoff: Constant,
		MaxRetrans: retrans(3), MinimumRTO: 100 * time.Millisecond}
)

// WithDefaults returns p with its zero fields filled in from [Incident].
func (p TCPProfile) WithDefaults() TCPProfile {
	p.SYNMaxRetrans = orElse(p.SYNMaxRetrans, Incident.SYNMaxRetrans)
	p.SYNRTOBase = orElse(p.SYNRTOBase, Incident.SYNRTOBase)
	p.SYNBackoff = orElse(p.SYNBackoff, Incident.SYNBackoff)
	p.Timestamps = orElse(p.Timestamps, Incident.Timestamps)
	p.MaxRetrans = orElse(p.MaxRetrans, Incident.MaxRetrans)
	p.MinimumRTO = orElse(p.MinimumRTO, Incident.MinimumRTO)
	p.IdleTimeout = orElse(p.IdleTimeout, Incident.IdleTimeout)
	p.ResetOnTimeout = orElse(p.ResetOnTimeout, Incident.ResetOnTimeout)
	p.ZeroWindowTimeout = orElse(p.ZeroWindowTimeout, Incident.ZeroWindowTimeout)
	p.KeepAliveInterval = orElse(p.KeepAliveInterval, Incident.KeepAliveInterval)
	p.CloseWaitTimeout = orElse(p.CloseWaitTimeout, Incident.CloseWaitTimeout)
	p.FINWaitTimeout = orElse(p.FINWaitTimeout, Incident.FINWaitTimeout)
	return p
}

func orElse[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
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

// DataGivenUpAfter returns the time from a segment that is never acknowledged to the
// reset: its retransmissions, with the wait doubling, and the last one's wait.
func (p TCPProfile) DataGivenUpAfter() time.Duration {
	p = p.WithDefaults()
	return p.MinimumRTO * (1<<(*p.MaxRetrans+1) - 1)
}

// Bounds of a profile's values: BIG-IP's for the retries, and what keeps a run
// finite for the waits.
const (
	maxSYNRetrans = 12
	maxRetrans    = 12
	minRTO        = 10 * time.Millisecond
	maxGiveUp     = 5 * time.Minute
	maxRTO        = time.Minute
	maxTimeout    = 24 * time.Hour
)

func (p TCPProfile) validate(bad report) {
	p = p.WithDefaults()
	n, d := *p.SYNMaxRetrans, p.GiveUpAfter()
	switch {
	case n < 0 || n > maxSYNRetrans:
		bad("syn-max-retrans %d: must be 0 to %d", n, maxSYNRetrans)
	case p.SYNRTOBase < minRTO:
		bad("syn-rto-base %v: must be at least %v", p.SYNRTOBase, minRTO)
	case p.SYNRTOBase > maxGiveUp:
		bad("syn-rto-base %v: must be at most %v", p.SYNRTOBase, maxGiveUp)
	case d > maxGiveUp || d <= 0: // the sum may have overflowed
		bad("syn-rto-base %v with %d retransmissions gives up after %v: must be within %v", p.SYNRTOBase, n, d, maxGiveUp)
	}
	if p.SYNBackoff != Constant && p.SYNBackoff != Doubling {
		bad("syn-backoff %q: must be constant or doubling", p.SYNBackoff)
	}
	if n := *p.MaxRetrans; n < 0 || n > maxRetrans {
		bad("max-retrans %d: must be 0 to %d", n, maxRetrans)
	}
	if p.MinimumRTO < minRTO || p.MinimumRTO > maxRTO {
		bad("minimum-rto %v: must be %v to %v", p.MinimumRTO, minRTO, maxRTO)
	}
	for _, t := range []struct {
		key   string
		value time.Duration
	}{
		{"idle-timeout", p.IdleTimeout}, {"zero-window-timeout", p.ZeroWindowTimeout}, {"keep-alive-interval", p.KeepAliveInterval},
		{"close-wait-timeout", p.CloseWaitTimeout}, {"fin-wait-timeout", p.FINWaitTimeout},
	} {
		if t.value < minRTO || t.value > maxTimeout {
			bad("%s %v: must be %v to %v", t.key, t.value, minRTO, maxTimeout)
		}
	}
}
