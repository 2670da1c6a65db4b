// Package verify confirms, or refutes, what a verdicts.json claims.
//
// It reads each capture once and looks at nothing but the frames that are cited and
// the ranges in which something is said to be absent. Its code is not the analyzer's:
// frames are decoded by gopacket, filters are evaluated as Wireshark does, and what
// each cause must be able to show is written down a second time, in [needs]. From
// package analyzer it takes the shapes of the JSON and the table of causes only.
//
// What is confirmed: that each cited frame is there, byte for byte, at its time, and
// is what its filter says; that each absence is one; that points, hop, direction,
// cause, RST and outcome follow from those frames; that the numbers add up. What is
// not: free text (what, why, hypothesis, would_settle), confidence beyond its range,
// clock offsets and loss rates, which are estimates over whole captures.
//
// The rule that bites: a statement that cannot be checked is a failure. A file
// without digests does not pass.
package verify
