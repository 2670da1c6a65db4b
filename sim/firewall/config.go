package firewall

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Config describes the firewall, in the words that firewalls have for it. The zero
// value is a router that knows of no sessions and forwards everything; as soon as
// anything is set there is a table, and zero fields mean the defaults.
type Config struct {
	MaxSessions  int           `yaml:"max-sessions"`          // in the table, with those that are held; 0 means a million
	TimeoutTCP   time.Duration `yaml:"timeout-tcp"`           // of a session on which nothing passes; 0 means an hour
	TimeWait     time.Duration `yaml:"timeout-tcp-time-wait"` // how long a session is held after its FIN or RST; 0 means 15 s
	TupleReuse   Policy        `yaml:"tuple-reuse"`           // by a SYN, while its 5-tuple's last session is held; "" means accept
	ChallengeACK Policy        `yaml:"challenge-ack"`         // an ACK by which a server answers a SYN (RFC 5961 §4); "" means accept
	SYNRate      int           `yaml:"syn-rate"`              // SYNs a second, of all sessions together; 0 means any number
	SYNBurst     int           `yaml:"syn-burst"`             // SYNs at once; 0 means as many as the rate
}

// Policy says what becomes of a packet that not every firewall likes.
type Policy string

// The policies.
const (
	Accept Policy = "accept" // it passes; a SYN begins its tuple's next session
	Drop   Policy = "drop"   // it is dropped; a SYN is until the old session's time is up
)

// The defaults: PAN-OS's for TCP, an hour for an idle session and 15 s for a closed one.
const (
	defaultMaxSessions = 1_000_000
	defaultTimeoutTCP  = time.Hour
	defaultTimeWait    = 15 * time.Second
)

// Stateful says whether there is a table at all.
func (c Config) Stateful() bool { return c != Config{} }

// Limited says whether any run may come up against what is set: a rate, a size, a timeout,
// or a policy. A table without is one that drops nothing but what belongs to no session
// from its beginning.
func (c Config) Limited() bool {
	d := c.withDefaults()
	return c.SYNRate != 0 || d.MaxSessions < defaultMaxSessions || d.TimeoutTCP < defaultTimeoutTCP || d.TimeWait < defaultTimeWait ||
		c.TupleReuse == Drop || c.ChallengeACK == Drop
}

func (c Config) withDefaults() Config {
	fill := func(n *int, value int) {
		if *n == 0 {
			*n = value
		}
	}
	fill(&c.MaxSessions, defaultMaxSessions)
	fill(&c.SYNBurst, c.SYNRate)
	if c.TimeoutTCP == 0 {
		c.TimeoutTCP = defaultTimeoutTCP
	}
	if c.TimeWait == 0 {
		c.TimeWait = defaultTimeWait
	}
	return c
}

// Bounds: a timeout is kept in ticks of the kernel's clock, which are up to 10 ms apart.
const (
	minTimeout = 100 * time.Millisecond
	maxTimeout = 24 * time.Hour
)

// Validate reports what in c cannot be, in the words and at the place of the scenario
// file: "firewall: syn-rate -1: must be 1 to 1000000".
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("firewall: "+format, args...)) }
	number := func(key string, n int) {
		if n < 0 || n > defaultMaxSessions {
			bad("%s %d: must be 1 to %d", key, n, defaultMaxSessions)
		}
	}
	number("max-sessions", c.MaxSessions)
	number("syn-rate", c.SYNRate)
	number("syn-burst", c.SYNBurst)
	if c.SYNBurst != 0 && c.SYNRate == 0 {
		bad("syn-burst %d: without syn-rate there is nothing to burst", c.SYNBurst)
	}
	timeout := func(key string, d time.Duration) {
		if d != 0 && (d < minTimeout || d > maxTimeout) {
			bad("%s %v: must be %v to %v", key, d, minTimeout, maxTimeout)
		}
	}
	timeout("timeout-tcp", c.TimeoutTCP)
	timeout("timeout-tcp-time-wait", c.TimeWait)
	policy := func(key string, p Policy) {
		if !slices.Contains([]Policy{"", Accept, Drop}, p) {
			bad("%s %q: must be %s or %s", key, p, Accept, Drop)
		}
	}
	policy("tuple-reuse", c.TupleReuse)
	policy("challenge-ack", c.ChallengeACK)
	return errors.Join(errs...)
}
