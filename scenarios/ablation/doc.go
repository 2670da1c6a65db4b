// Package ablation takes things away from the captures of runs whose truth is
// known — packets, points, trailers, time — and puts the analyzer's verdicts to
// the test again: they may widen or become inconclusive, and never name a wrong
// hop or cause ("no flip").
//
// What can be taken away is in package observe; here it is drawn at random. A [Trial]
// applies it to recorded runs, and [Judge] compares the verdicts with the truth as far
// as the captures that are left can tell it.
package ablation
