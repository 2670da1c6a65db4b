package e2e

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/sim/bigip"
)

// column is the first field of each row, sorted, each value once.
func column(rows [][]string) (values []string) {
	for _, row := range rows {
		values = append(values, row[0])
	}
	slices.Sort(values)
	return slices.Compact(values)
}

// The F5 alone sees the SYN that is lost between it and the firewall: without the
// serverside half in its capture nobody can say who lost it.
var _ = DescribeTable("a filter for the client leaves the serverside half out, and with p it follows",
	func(ctx SpecContext, typed bigip.Tcpdump, p bool, field string) {
		s := scenario("link-drops-syn-before-firewall")
		s.F5.Tcpdump = typed
		s.Faults[0].Probability = 0.05
		r, dir := run(ctx, s, scenarios.Options{Requests: 300})
		Expect(r.InvalidBecause).To(BeEmpty(), "what is counted does not depend on the filter")
		Expect(r.Requests.Failed).To(BeNumerically(">", 0))

		capture := filepath.Join(dir, "captures", "f5-0.0.pcapng")
		face, filter, _ := strings.Cut(string(typed), " ")
		Expect(tshark(ctx, capture, "frame.number == 1", "f5fileinfo.cmdline")).To(Equal([][]string{{"tcpdump -ni " + face + " -s0 -w /var/tmp/f5.pcap " + filter}}))
		all := tshark(ctx, capture, "frame.number > 1", "vlan.id")
		i := slices.IndexFunc(r.Captures, func(c scenarios.CaptureResult) bool { return c.Point == "f5/0.0" })
		Expect(all).To(HaveLen(int(r.Captures[i].Packets)))
		Expect(tshark(ctx, capture, "vlan.id == 4094", "frame.number")).NotTo(BeEmpty())
		Expect(tshark(ctx, capture, "frame.number > 1 && vlan.id == 4094 && !ip.addr == 198.18.50.88", "frame.number")).To(BeEmpty())
		Expect(tshark(ctx, capture, "frame.number > 1 && !"+field, "frame.number")).To(BeEmpty(), "frames without "+field)
		Expect(tshark(ctx, capture, "_ws.malformed", "frame.number")).To(BeEmpty())

		var snat []string // of every connection, as the proxy opened them
		for _, f := range flows(dir) {
			snat = append(snat, port(f.SNAT))
		}
		slices.Sort(snat)
		serverside := column(tshark(ctx, capture, "vlan.id == 4093 && tcp.flags.syn == 1 && tcp.flags.ack == 0", "tcp.srcport"))
		if p {
			Expect(serverside).To(Equal(slices.Compact(snat)), "the peer flows, from their SYN on")
			Expect(r.Score.Correct).To(Equal(r.Requests.Failed))
			return
		}
		Expect(tshark(ctx, capture, "vlan.id == 4093", "frame.number")).To(BeEmpty())
		Expect(r.Score.Wrong + r.Score.Missed + r.Score.FalseAlarms).To(BeZero())
		Expect(r.Score.Inconclusive).To(Equal(r.Requests.Failed))
	},
	Entry("0.0:nnn", bigip.Tcpdump("0.0:nnn host 198.18.50.88"), false, "f5ethtrailer.flowid", SpecTimeout(time.Minute)),
	Entry("0.0:nnnp", bigip.Tcpdump("0.0:nnnp host 198.18.50.88"), true, "f5ethtrailer.flowid", SpecTimeout(time.Minute)),
	Entry("0.0:nnp", bigip.Tcpdump("0.0:nnp host 198.18.50.88"), true, "f5ethtrailer.flowid", SpecTimeout(time.Minute)),
	Entry("0.0:np", bigip.Tcpdump("0.0:np host 198.18.50.88"), true, "f5ethtrailer.ingress", SpecTimeout(time.Minute)),
	Entry("0.0:p", bigip.Tcpdump("0.0:p host 198.18.50.88"), true, "vlan", SpecTimeout(time.Minute)),
)

var _ = It("has the peers of the flows that matched follow, and of no others", func(ctx SpecContext) {
	const first, last = 32768, 32867 // of the clients' ports, which are taken in turn
	s := scenario("firewall-drops-syn")
	s.F5.Tcpdump = bigip.Tcpdump(fmt.Sprintf("0.0:nnnp tcp port 8165 and portrange %d-%d and tcp[tcpflags] == tcp-syn", first, last))
	s.Faults[0].Probability = 0.05
	r, dir := run(ctx, s, scenarios.Options{Requests: 300})
	Expect(r.InvalidBecause).To(BeEmpty())
	Expect(r.Score.Correct).To(Equal(r.Requests.Failed), "the firewall's own captures show it")

	var clients, snat []string
	for _, f := range flows(dir) {
		if n, err := strconv.Atoi(port(f.Client)); err == nil && first <= n && n <= last {
			clients, snat = append(clients, port(f.Client)), append(snat, port(f.SNAT))
		}
	}
	slices.Sort(clients)
	slices.Sort(snat)
	Expect(clients).NotTo(BeEmpty())
	Expect(len(clients)).To(BeNumerically("<", 300))
	capture := filepath.Join(dir, "captures", "f5-0.0.pcapng")
	Expect(column(tshark(ctx, capture, "vlan.id == 4094", "tcp.srcport"))).To(Equal(clients))
	Expect(tshark(ctx, capture, "vlan.id == 4094 && tcp.flags != 2", "frame.number")).To(BeEmpty(), "a flow's own packets have to match")
	Expect(column(tshark(ctx, capture, "vlan.id == 4093 && ip.src == 198.18.60.247", "tcp.srcport"))).To(Equal(snat))
	Expect(column(tshark(ctx, capture, "vlan.id == 4093 && tcp.dstport == 8000 && http.request", "tcp.srcport"))).
		To(HaveLen(len(tshark(ctx, capture, "vlan.id == 4093 && tcp.flags == 0x12", "frame.number"))), "whole connections")
}, SpecTimeout(time.Minute))
