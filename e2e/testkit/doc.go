// Package testkit plays scenarios inside the specs of a Ginkgo suite, also of one in
// another module: a known fault at a known hop, with the suite's own program as proxy,
// server or client, and Gomega matchers that hold the verdicts against the truth.
//
//	func TestMain(m *testing.M) { testkit.Main(m) } // no root, and nothing left behind
//
//	It("is not blamed for what the firewall drops", func(ctx SpecContext) {
//		testkit.Require(testkit.Installed("haproxy"))
//		s := testkit.Scenario("firewall-drops-syn")
//		r := testkit.Run(ctx, s, testkit.Options{Requests: 300, Proxy: testkit.ProxyProgram(haproxy)})
//		Expect(r).To(testkit.Blame("firewall").For("syn-dropped"))
//	}, SpecTimeout(time.Minute))
//
// A miss says what was expected, what came instead, how one of the requests that failed
// went hop by hop, with frame numbers, and how to play the same again. The run directory
// is kept then: see [Run].
//
// Specs may run side by side (ginkgo -p): a lab belongs to its process and is seen by no
// other, and every run has a folder of its own.
//
// The rule that bites: a run that fails its own checks is INVALID, and no matcher but
// [BeValid] has an opinion of it. [Blame], [SolveEveryFailure] and [MatchExpectations] fail
// on it, and so do their negations.
//
// How it is laid out:
//
//	main         the sandbox, one line of a suite
//	scenario     scenarios by name, of a file, for a table
//	require      what a spec needs of the machine: skip, or fail where CI says so
//	run          Run, Options, Result
//	seed         whence a run's seed comes
//	folder       where a run's files go, and when they stay
//	repeat       the commands that play a run again
//	leaks        nothing that a spec starts outlives it
//	program      somebody else's program in a node
//	proxy        … in the f5's place, and the log by which its connections are known
//	server       … in a server's place
//	client       the suite's own client, one call a request
//	be_valid, blame, solve_every_failure, match_expectations
//	             the matchers, one a file
//	miss         what they print
//	ladder       how a request went
package testkit
