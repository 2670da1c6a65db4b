package e2e

import (
	"os/exec"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	wireshark "github.com/hopblame/hopblame/internal/tshark"
	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/topology"
)

// The ledger says what a wire did, and Wireshark says what the captures show of it.
var _ = Describe("what a wire has done to packets", Ordered, func() {
	BeforeAll(func() {
		if _, err := exec.LookPath("tshark"); err != nil {
			Skip(wireshark.ErrMissing.Error())
		}
	})
	// count is how many frames of a point a filter finds.
	count := func(ctx SpecContext, dir, point, filter string) int {
		GinkgoHelper()
		frames, err := wireshark.FramesSummed(ctx, filepath.Join(dir, "captures", point+".pcapng"), filter)
		Expect(err).NotTo(HaveOccurred())
		return len(frames)
	}
	for _, family := range []topology.Family{topology.IPv4, topology.IPv6} {
		of := func(ctx SpecContext, name string) (*scenarios.Result, string) {
			GinkgoHelper()
			s := scenario(name)
			s.Lab.Family = family
			r, dir := run(ctx, s, scenarios.Options{Requests: 2000})
			Expect(r.InvalidBecause).To(BeEmpty())
			Expect(r.Ledger.Packets).To(BeNumerically(">", 0))
			return r, dir
		}
		limit := map[topology.Family]string{topology.IPv4: "ip.ttl == 255", topology.IPv6: "ipv6.hlim == 255"}[family]
		It("is as many wrong checksums behind it as it damaged packets, and none before "+string(family), func(ctx SpecContext) {
			r, dir := of(ctx, "link-corrupts-syn")
			// Linux writes a sum that comes to zero as all ones, which is the same in ones'
			// complement and which Wireshark minds.
			const wrong = "tcp.checksum.status == 0 && tcp.checksum != 0xffff"
			Expect(count(ctx, dir, "server1-eth0", wrong) + count(ctx, dir, "server2-eth0", wrong)).To(Equal(r.Ledger.Packets))
			for _, point := range []string{"client-eth0", "f5-0.0", "firewall-feth11", "firewall-feth10"} {
				Expect(count(ctx, dir, point, wrong)).To(BeZero(), point)
			}
		}, SpecTimeout(time.Minute))
		It("is as many RSTs with a TTL of their own behind it as it forged, and none before "+string(family), func(ctx SpecContext) {
			r, dir := of(ctx, "link-injects-rst")
			forged := "tcp.flags.reset == 1 && tcp.srcport == 8000 && " + limit
			Expect(count(ctx, dir, "f5-0.0", forged)).To(Equal(r.Ledger.Packets))
			Expect(count(ctx, dir, "firewall-feth11", forged)).To(BeZero())
		}, SpecTimeout(time.Minute))
		It("is SYNs at feth11 seconds after those of the f5, and RSTs for their answers "+string(family), func(ctx SpecContext) {
			r, dir := of(ctx, "link-delays-syn")
			Expect(count(ctx, dir, "f5-0.0", `f5ethtrailer.rstcausetxt == "No flow found for ACK"`)).To(BeNumerically(">=", r.Requests.Failed))
			Expect(count(ctx, dir, "firewall-feth11", "tcp.flags.syn == 1 && tcp.flags.ack == 0 && tcp.analysis.retransmission")).To(Equal(r.Ledger.Packets - r.Requests.Failed))
		}, SpecTimeout(time.Minute))
		It("is packets out of order where the order was changed "+string(family), func(ctx SpecContext) {
			_, dir := of(ctx, "link-reorders-and-duplicates")
			const odd = "tcp.analysis.out_of_order || tcp.analysis.duplicate_ack || tcp.analysis.retransmission"
			Expect(count(ctx, dir, "server1-eth0", odd) + count(ctx, dir, "server2-eth0", odd)).To(BeNumerically(">", 0))
		}, SpecTimeout(time.Minute))
	}
})
