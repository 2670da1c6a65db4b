// Package ablation takes things away from the captures of runs whose truth is
// known — packets, points, trailers, time — and puts the analyzer's verdicts to
// the test again: they may widen or become inconclusive, and never name a wrong
// hop or cause ("no flip").
//
// [Load] reads a run directory; an [Ablation] changes a [Captures.Clone] of its
// captures; [Captures.Write] writes the result out; a [Judge] compares verdicts
// with the truth as far as the captures that are left can tell it.
//
// The rule that bites: frames are shared between a Captures and its clones. An
// ablation replaces what it changes and writes into nothing it was given.
package ablation
