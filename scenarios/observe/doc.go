// Package observe has the faults of the observer: what a capture loses of what was
// on the wire, and what becomes of the files. The network's truth stays as it is.
//
// [Load] reads a run directory; a [Fault] changes a [Captures.Clone] of its captures;
// [Captures.Write] writes the result out. One file a fault:
//
//	who captures        point  trailers  direction  tso
//	what gets lost      drop  burst  snaplen  cut
//	what gets added     duplicate
//	what gets confused  clock  renumber  unlabel
//
// Scenarios have them done to the captures of a run; package ablation takes away from
// recorded runs whatever it can think of.
//
// The rule that bites: frames are shared between a Captures and its clones. A fault
// replaces what it changes and writes into nothing it was given.
package observe
