package bigip

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/hopblame/hopblame/internal/nearest"
	"github.com/hopblame/hopblame/sim/ports"
)

// Config describes one virtual server and all that is behind it, in BIG-IP's words.
// The zero value of every field but the addresses is the incident's.
type Config struct {
	VirtualServer VirtualServer `yaml:"virtual-server"`
	Pool          Pool          `yaml:"pool"`
	SNAT          SNAT          `yaml:"snat"`
	Clientside    TCPProfile    `yaml:"clientside"` // tcp profile, context clientside
	Serverside    TCPProfile    `yaml:"serverside"` // … and context serverside
	FastL4        FastL4Profile `yaml:"fastl4"`
	HTTP          HTTPProfile   `yaml:"http"`
	ClientSSL     ClientSSL     `yaml:"client-ssl"`
	Rules         []Rule        `yaml:"rules"` // in order; the first that matches decides
	RSTCause      RSTCauseDB    `yaml:"rst-cause"`
	Format        TrailerFormat `yaml:"ethernet-trailer"`
	Tcpdump       Tcpdump       `yaml:"tcpdump"`

	// KeyLog is written the secrets of the clients' TLS, in the NSS key log format;
	// nil for nobody.
	KeyLog io.Writer `yaml:"-"`
	// Seed is that of all that is drawn.
	Seed uint64 `yaml:"-"`
}

// timestamps says whether both tcp profiles have them: see [TCPProfile.Timestamps].
func (c *Config) timestamps() bool {
	return *c.Clientside.WithDefaults().Timestamps && *c.Serverside.WithDefaults().Timestamps
}

// RSTCauseDB says where the cause of a RST shows beside the Ethernet trailer and the
// counters: the sys db variables of K13223.
type RSTCauseDB struct {
	Packet bool `yaml:"packet"` // tm.rstcause.pkt: as the RST's payload
	Log    bool `yaml:"log"`    // tm.rstcause.log: a line 01230140 for each
}

// TrailerFormat is the format of the Ethernet trailer in the f5's capture.
type TrailerFormat string

// The formats. The zero value means DPT.
const (
	DPT    TrailerFormat = "dpt"    // TMOS 14 and later
	Legacy TrailerFormat = "legacy" // TMOS 9.4 to 13
)

// report takes what is wrong in a configuration, in the words and at the place of the
// scenario file: "f5: serverside: syn-rto-base 1ms: must be at least 10ms".
type report func(format string, args ...any)

// under returns a report for the keys below one.
func (r report) under(key string) report {
	return func(format string, args ...any) { r(key+": "+format, args...) }
}

// Validate reports what in c cannot be.
func (c *Config) Validate() error {
	var errs []error
	bad := report(func(format string, args ...any) { errs = append(errs, fmt.Errorf("f5: "+format, args...)) })
	c.VirtualServer.validate(bad.under("virtual-server"))
	c.Pool.validate(bad.under("pool"))
	c.SNAT.validate(bad.under("snat"))
	c.Clientside.validate(bad.under("clientside"))
	c.Serverside.validate(bad.under("serverside"))
	c.FastL4.validate(bad.under("fastl4"))
	c.HTTP.validate(bad.under("http"))
	c.ClientSSL.validate(bad.under("client-ssl"))
	for i := range c.Rules {
		c.Rules[i].validate(bad.under("rules"))
	}
	c.validateProfiles(bad)
	oneOf(bad, "ethernet-trailer", c.Format, DPT, Legacy)
	if _, err := c.Tcpdump.parse(); err != nil {
		bad("%w", err)
	}
	if !c.VirtualServer.Destination.IsValid() || !c.SNAT.SelfIP.IsValid() {
		bad("virtual server and SNAT need an address")
	}
	return errors.Join(errs...)
}

// validateProfiles reports profiles that do not go together.
func (c *Config) validateProfiles(bad report) {
	v := &c.VirtualServer
	needs := func(key string, set bool, p Profile) {
		if set && !v.Has(p) {
			bad("%s: the virtual server has no %s profile; add it to its profiles", key, p)
		}
	}
	needs("client-ssl", c.ClientSSL != ClientSSL{}, ProfileClientSSL)
	needs("http", c.HTTP != HTTPProfile{}, ProfileHTTP)
	needs("rules", len(c.Rules) > 0, ProfileHTTP)
	bad = bad.under("virtual-server")
	switch {
	case v.Type != Standard && v.Type != "" && len(v.Profiles) > 0:
		bad("profiles %v: a virtual server of type %s has none", v.Profiles, v.Type)
	case v.Has(ProfileHTTP2) && !(v.Has(ProfileHTTP) && v.Has(ProfileClientSSL)):
		bad("profiles %v: http2 needs http and client-ssl", v.Profiles)
	case v.Has(ProfileOneConnect) && !v.Has(ProfileHTTP):
		bad("profiles %v: oneconnect needs http", v.Profiles)
	}
}

// SNATPort returns the serverside source port for a client port: always the same
// one, as a rule another, so that a request's serverside flow can be known before
// the run (source-port change). The incident's 54373 becomes its 43166.
func SNATPort(clientPort uint16) uint16 {
	shift := ports.Count + ports.Index(43166) - ports.Index(54373)
	return ports.At(ports.Index(clientPort) + shift)
}

// oneOf reports a word that is none of those there are; "" always stands for the first.
func oneOf[T ~string](bad report, key string, got T, allowed ...T) {
	if got == "" || slices.Contains(allowed, got) {
		return
	}
	var words []string
	for _, a := range allowed {
		words = append(words, string(a))
	}
	last := len(words) - 1
	bad("%s %q: must be %s or %s%s", key, got, strings.Join(words[:last], ", "), words[last], nearest.Hint(got, allowed))
}

// notNegative reports a number below zero.
func notNegative(bad report, key string, n int) {
	if n < 0 {
		bad("%s %d: must not be negative", key, n)
	}
}

// sameFamily says whether two addresses can talk to each other.
func sameFamily(a, b netip.Addr) bool { return a.Is4() == b.Is4() }
