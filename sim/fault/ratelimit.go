package fault

import "cmp"

// maxRate is more packets a second than the lab forwards.
const maxRate = 1_000_000

// Foreseeable says whether it is known before the run which connections f hits, other
// things being equal: not what a rate or a time does, nor single packets out of many.
func (f *Fault) Foreseeable() bool {
	return !f.Resolves() && !f.Timed() && (f.Per != PerPacket || f.Probability == 0 || f.Probability == 1 && f.Do != RateLimit)
}

// burst is how many packets may pass at once.
func (f *Fault) burst() int { return cmp.Or(f.Burst, f.Rate) }

// validateRate sees that a policer has a rate and nothing else that says how often: what
// exceeds it is dropped, whosever it is.
func (f *Fault) validateRate(bad complaint) {
	if f.Do != RateLimit {
		if f.Rate != 0 {
			bad("rate %d: only %s has it", f.Rate, RateLimit)
		}
		if f.Burst != 0 {
			bad("burst %d: only %s has it", f.Burst, RateLimit)
		}
		return
	}
	if f.Rate < 1 || f.Rate > maxRate {
		bad("rate %d: %s needs the packets a second that pass, 1 to %d", f.Rate, RateLimit, maxRate)
	}
	if f.Burst < 0 || f.Burst > maxRate {
		bad("burst %d: must be 1 to %d packets; left out, it is the rate", f.Burst, maxRate)
	}
	if f.Per != PerPacket {
		bad("per %q: %s drops what exceeds, whosever it is; it must be %s", f.Per, f.Do, PerPacket)
	}
	if f.Probability != 0 && f.Probability != 1 {
		bad("probability %v: %s counts every packet or none; how many it drops is up to the rate", f.Probability, f.Do)
	}
}
