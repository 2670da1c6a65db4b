// Package fault breaks a lab on purpose, and keeps the ledger of all it broke.
//
// A [Fault] is data: where, what it matches, what it does, how often. It hits packets
// on their way ([Injector]), of which a wire puts back what is not to be lost, or an
// actor misbehaves by itself ([Mood]). Whether a connection is hit is no dice roll in
// the kernel but a function of the seed, the fault's name, the request's ordinal and
// its attempt ([Fate]); so the plan is known before the run, whatever the concurrency.
// The proxy, or the client on its side, tells the fault which tuple carries which request
// just before it connects;
// if that request is to be hit, the tuple is put into a set of nftables, and from there
// on the kernel drops, counts and logs by itself.
//
// An actor asks its mood with the ordinal that it reads in the request.
//
// The ledger knows nothing of the plan: it is what NFLOG reported, packet by
// packet, and what actors noted before they did it. That plan, ledger, counters and
// captures agree is checked afterwards, not assumed.
package fault
