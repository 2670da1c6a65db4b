package e2e

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/topology"
)

var _ = DescribeTable("a run without one of its faults: what that had hit succeeds, the rest is as it was",
	func(ctx SpecContext, name string, family topology.Family) {
		s := scenario(name)
		s.Lab.Family = family
		first, dir := run(ctx, s, scenarios.Options{Requests: 2000})
		Expect(first.InvalidBecause).To(BeEmpty())
		recorded, err := scenarios.OpenRecording(dir)
		Expect(err).NotTo(HaveOccurred())
		gone := s.Faults[0].Name

		c, err := recorded.Replay(ctx, scenarios.ReplayOptions{Without: []string{gone}, Concurrency: 64})
		Expect(err).NotTo(HaveOccurred())
		Expect(c.InvalidBecause).To(BeEmpty())
		Expect(c.Differs).To(BeEmpty())
		Expect(c.Holds).To(BeTrue())
		Expect(c.Hit).To(HaveLen(1))
		Expect(c.Hit[0].Requests).To(BeNumerically(">", 0), "else this shows nothing")
		Expect(c.Hit[0].OK).To(Equal(c.Hit[0].Requests))
		Expect(c.Rest.Unchanged).To(Equal(2000 - c.Hit[0].Requests))
		Expect(c.Now.Failed).To(Equal(first.Requests.Failed - c.Hit[0].Failed))
	},
	Entry("packets lost at a hop", "firewall-drops-syn", topology.IPv4, SpecTimeout(time.Minute)),
	Entry("packets lost on a link with a middle, in IPv6", "link-drops-syn-ack", topology.IPv6, Label(rootless), SpecTimeout(time.Minute)),
	Entry("a server that dies", "server-dies-mid-response", topology.IPv4, SpecTimeout(time.Minute)),
	Entry("a client that hangs up", "client-aborts", topology.IPv4, SpecTimeout(time.Minute)),
	Entry("streams of HTTP/2", "firewall-drops-syn-h2", topology.IPv4, SpecTimeout(time.Minute)),
)
