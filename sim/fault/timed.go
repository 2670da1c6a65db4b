package fault

import "time"

// Timed says whether the fault drops packets for a time only: see [Fault.From] and
// [Fault.For]. What keeps the firewall from learning where a server is has a time of another
// kind, see [Resolution].
func (f *Fault) Timed() bool { return f.For != 0 && !f.Resolves() }

// leastFor is a time that a run can hold to, and maxFor the longest.
const leastFor = 100 * time.Millisecond

// validateTimed sees that what is dropped for a time is then dropped always: whom that hits
// goes by the clock, and not by chance.
func (f *Fault) validateTimed(bad complaint) {
	switch has := f.Do == Drop && f.Match != ICMP && f.Match != AfterSYN; {
	case f.From == 0 && f.For == 0:
	case !has && f.For == 0:
		bad("from %v: only %s, %s and a %s of segments have it", f.From, WhoHas, IsAt, Drop)
	case !has:
		bad("for %v: only %s, %s and a %s of segments have it", f.For, WhoHas, IsAt, Drop)
	case f.From < 0 || f.From > maxFor:
		bad("from %v: must be 0s to %v after the first request", f.From, maxFor)
	case f.For < leastFor || f.For > maxFor:
		bad("for %v: must be %v to %v", f.For, leastFor, maxFor)
	case f.Per == PerConnection || f.Per == PerTuple:
		bad("per %q: what has a time hits whatever comes in it; it must be %s", f.Per, PerPacket)
	case f.Probability != 0 && f.Probability != 1:
		bad("probability %v: what has a time has no chance, so it must be 1 (or 0)", f.Probability)
	}
}

// Begin starts the time of a fault that has one; it is called once, before the first request.
// [Injector.Close] ends it.
func (i *Injector) Begin() {
	if i.fault.Timed() {
		i.span.begin(&i.fault, i.kernel.Begin, i.kernel.End)
	}
}
