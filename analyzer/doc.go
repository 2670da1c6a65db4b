// Package analyzer reads captures that ran at the same time at several points
// of a network path, follows each failed request through them, and names the
// hop at fault with the frames that prove it.
//
// It works as a judge does who never saw the deed. [Analyze] first surveys
// every capture (what time it covers, what it loses, which requests failed),
// then collects the packets of the failed ones only, then judges each: where
// the packet was last seen, where it should have been seen next, and what
// every rival explanation founders on.
//
// The rule that bites: a wrong hop is worse than ten inconclusive verdicts.
// An absence counts only where the capture covered the time, was alive, and
// measurably does not lose packets; a hop is named only when both of its
// faces were captured. Otherwise the verdict is [Inconclusive] and says which
// further capture would settle it.
//
// The package never imports topology, sim or scenarios: the judge never sees
// the answer sheet.
//
// How it is laid out, in order of work: decode, survey (http, stream),
// calibrate, collect, pair, path, judge; then one file per rule, named by its
// cause. A rule looks at one case and either concludes or passes.
package analyzer
