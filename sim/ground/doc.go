// Package ground tries what a testbed stands on, before anybody believes it: does this
// kernel drop what and how often it is told, does the ledger keep up, do the taps?
//
//	f5 ── n SYNs ──▶ link ── firewall ── link ── server
//	                   └── faults whose hits are known beforehand
//
// A [Trial] builds a lab of its own, sends a number of packets that it knows, and
// compares the accounts of them: what was to be hit, what the kernel counted, what the
// ledger holds, what a wire has put back, and what the taps before and after saw. No actor takes part, so a trial
// takes tenths of a second, and what it finds missing is the machine's.
package ground
