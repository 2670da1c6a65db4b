package fault

import (
	"math"

	"github.com/hopblame/hopblame/topology"
)

// Expires says whether what a fault hits ends at the firewall, which is the one router of
// the lab: it came there with a TTL of 1 (RFC 791 §3.2, RFC 8200 §3).
func (f *Fault) Expires() bool {
	return f.Do == Rewrite && f.TTL == 1 && f.At != ClientLink && f.At != topology.Firewall && (f.At == beforeFirewall) == (f.Direction == ToServer)
}

// beforeFirewall is the one place between f5 and firewall.
const beforeFirewall = linkPrefix + topology.F5 + "-" + topology.Firewall

// expiresBefore says whether the firewall, which passes on nothing of what f hits, is before
// or at the place of another fault of the same packets.
func (f *Fault) expiresBefore(other *Fault) bool {
	return f.Expires() && (f.Direction == ToServer || other.At == topology.Firewall || other.At == beforeFirewall)
}

// misleads says whether a rewritten packet does not get to its receiver, or is not the one
// that the receiver waits for. With another MSS it is.
func (f *Fault) misleads() bool {
	return f.Expires() || f.Do == Rewrite && f.Seq != 0 || f.Backdates()
}

// Backdates says whether what a fault hits has an older time stamp when it comes to its
// receiver than what came before, so that the receiver throws it away: PAWS, RFC 7323 §5.
func (f *Fault) Backdates() bool { return f.Do == Rewrite && f.TSval != 0 }

// leastBackdate is more than a connection of a run lasts, in ticks of a time stamp: an hour
// of milliseconds. What is repeated in that time is no younger than the handshake.
const leastBackdate = 3_600_000

// Bounds of the MSS option's value: what every host takes to be too small to be meant, and
// that of jumbo frames.
const leastMSS, mostMSS = 100, 9000

// validateRewrite sees that one field is rewritten, and by a rewrite.
func (f *Fault) validateRewrite(bad complaint) {
	fields := 0
	for _, key := range []struct {
		name               string
		value, least, most int
	}{{"ttl", f.TTL, 1, 255}, {"mss", f.MSS, leastMSS, mostMSS}, {"seq", f.Seq, 1, math.MaxInt32}, {"tsval", f.TSval, leastBackdate, math.MaxInt32}} {
		switch forged := f.Do == InjectRST && key.name == "ttl"; { // a forgery has one of its own
		case key.value == 0:
			continue
		case f.Do != Rewrite && !forged:
			bad("%s %d: only %s has it", key.name, key.value, Rewrite)
		case key.value < key.least || key.value > key.most:
			bad("%s %d: must be %d to %d", key.name, key.value, key.least, key.most)
		}
		fields++
	}
	switch {
	case f.Do != Rewrite:
	case fields != 1:
		bad("do %q: it needs one of ttl, mss, seq and tsval, and no more", f.Do)
	case f.TSval != 0 && f.Match != Data && f.Match != LargeData && f.Match != Response:
		bad("match %q: only data, %s and a response are missed if they are thrown away for an old time stamp", f.Match, LargeData)
	case f.MSS != 0 && f.Match != SYN && f.Match != SYNACK:
		bad("match %q: only a syn and a syn-ack have an mss", f.Match)
	}
}
