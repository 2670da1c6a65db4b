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
// How it is laid out, in order of work:
//
//	read, source, spool, discover      files become points
//	decode, tunnel, fragments, copies  frames become packets
//	survey, exchange, http, accounts   the first pass: what each capture has
//	secure, h2, inside                 requests inside TLS, sealed or opened
//	attempts, sealed                   what the proxy did for sealed ones
//	infer…                             which capture is where on the path
//	steady, clock, loss, calibrate     what each capture is worth
//	pace, anchors, translate           what proxies and boxes on the way do
//	collect                            the second pass: packets of failed requests
//	pair, eliminate                    the two sides of the proxy
//	view, untangle, delivery, kinds    one connection over all points
//	absence, transit                   what it means that a point does not have a packet
//	neighbours                         who asked for whose hardware address
//	judge, rule_…                      one file a cause
//	hypotheses, findings, finding_…    rivals, and what failures share
//	verdict, write                     the result
//	packets                            for package ladder: what a request's frames are
//
// A rule looks at one case and either concludes or passes. Package verify re-reads
// what a verdict cites with code of its own; package ladder draws one request over all
// points.
package analyzer
