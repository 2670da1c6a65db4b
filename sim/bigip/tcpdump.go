package bigip

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hopblame/hopblame/internal/pcapfilter"
	"github.com/hopblame/hopblame/sim/capture"
)

// Tcpdump is what the f5's capture is made with, as one types it behind tcpdump -i on
// the box (K13637): the interface 0.0, which is every VLAN; a noise level, which
// decides how much of the flow's state a trailer tells; p for the peer flows; --f5 ssl
// for the secrets of the clients' TLS; and a filter (see [pcapfilter]), which sees a
// frame without its tag:
//
//	0.0:nnnp host 198.18.50.88 and tcp port 8165
//
// Without p only the packets that match are captured: the clientside half of what the
// filter above is about. With p, a packet that matches has the packets of its flow's
// peer captured as well, from then on and for the peer's life. A flow's own packets
// still have to match. So the filter above brings the serverside half from its first
// SYN on; one for a pool member brings the clientside half from the moment on at which
// the serverside one began, and not the request before.
type Tcpdump string

// The noise levels without a filter. The zero value means the highest.
const (
	NoiseNone   Tcpdump = "0.0"     // no trailers; frames are tagged with their VLAN all the same
	NoiseLow    Tcpdump = "0.0:n"   // direction, TMM and virtual server
	NoiseMedium Tcpdump = "0.0:nn"  // and flow id, peer id and the cause of a RST
	NoiseHigh   Tcpdump = "0.0:nnn" // and the peer flow's addresses
)

// command is a Tcpdump understood. The zero value takes everything, with no noise.
type command struct {
	argument string // of -i
	noise    int    // 0 to 3
	peers    bool
	ssl      bool   // with the TLS provider's secrets
	text     string // the filter, "" for none
	filter   pcapfilter.Filter
}

// String is the command as its FILEINFO tells it.
func (c *command) String() string {
	s := "tcpdump -ni " + c.argument + " -s0 -w /var/tmp/f5.pcap"
	if c.ssl {
		s += " " + sslOption
	}
	if c.text != "" {
		s += " " + c.text
	}
	return s
}

var errNoise = errors.New("behind 0.0 there may be :n, :nn or :nnn, each with or without p")

// sslOption has the secrets of the clients' TLS in the trailers (TMOS 15 and later, sys
// db tcpdump.sslprovider).
const sslOption = "--f5 ssl"

// parse understands t. Its errors begin as those of [Config.Validate] do.
func (t Tcpdump) parse() (c command, err error) {
	if t == "" {
		t = NoiseHigh
	}
	words := strings.Fields(string(t))
	if len(words) == 0 {
		return c, fmt.Errorf("tcpdump %q: names no interface; there is 0.0", t)
	}
	c.argument, c.text = words[0], strings.Join(words[1:], " ")
	if filter, ssl := strings.CutPrefix(c.text, sslOption); ssl && (filter == "" || filter[0] == ' ') {
		c.ssl, c.text = true, strings.TrimSpace(filter)
	}
	face, noise, modified := strings.Cut(c.argument, ":")
	if face != "0.0" {
		return c, fmt.Errorf("tcpdump %q: interface %q: there is only 0.0, which is every VLAN; a filter narrows it", t, face)
	}
	level, peers := strings.CutSuffix(noise, "p")
	c.noise, c.peers = len(level), peers
	if strings.Trim(level, "n") != "" || c.noise > 3 || modified && noise == "" {
		return c, fmt.Errorf("tcpdump %q: %q: %w", t, ":"+noise, errNoise)
	}
	filter, err := pcapfilter.Parse(c.text)
	if err != nil {
		return c, fmt.Errorf("tcpdump %q: filter %q: %w", t, c.text, err)
	}
	c.filter = *filter
	return c, nil
}

// Filter returns the capture's filter as it was typed; "" for none.
func (t *FlowTable) Filter() string { return t.tcpdump.text }

// Takes tells whether a frame is captured. It is to be asked of every frame, after
// its trailer.
func (t *FlowTable) Takes(f capture.Frame) bool {
	match := t.tcpdump.filter.Match(f.Data)
	if !t.tcpdump.peers {
		return match
	}
	seg, isTCP := parseSegment(f.Data)
	h := t.halves[ends(f, seg)]
	if !isTCP || h == nil {
		return match
	}
	h.matched = h.matched || match
	if p := h.peer; p != nil {
		// A flow may have several peers, one after the other.
		p.followed = p.followed || match
		h.followed = h.followed || p.matched
	}
	return match || h.followed
}
