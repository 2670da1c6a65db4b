package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
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

// tshark reads a capture as Wireshark does: one row of fields a frame.
func tshark(ctx SpecContext, file, filter string, fields ...string) (rows [][]string) {
	GinkgoHelper()
	if _, err := exec.LookPath("tshark"); err != nil {
		Skip("tshark is not installed (Debian: apt-get install tshark)")
	}
	args := []string{"-r", file, "-Y", filter, "-T", "fields", "-E", "separator=|"}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	out, err := exec.CommandContext(ctx, "tshark", args...).Output()
	Expect(err).NotTo(HaveOccurred(), filter)
	for line := range strings.Lines(string(out)) {
		rows = append(rows, strings.Split(strings.TrimRight(line, "\n"), "|"))
	}
	return rows
}

// byFirst are rows of fields by their first, without it.
func byFirst(rows [][]string) map[string][][]string {
	by := map[string][][]string{}
	for _, row := range rows {
		by[row[0]] = append(by[row[0]], row[1:])
	}
	return by
}

// flow is a line of truth/flows.ndjson.
type flow struct {
	Ordinal int    `json:"ordinal"`
	Client  string `json:"client"`
	SNAT    string `json:"snat"`
	Member  string `json:"member"`
}

// flows reads the truth's serverside flows.
func flows(dir string) (all []flow) {
	GinkgoHelper()
	f, err := os.Open(filepath.Join(dir, "truth", "flows.ndjson"))
	Expect(err).NotTo(HaveOccurred())
	defer f.Close()
	for d := json.NewDecoder(f); d.More(); {
		var line flow
		Expect(d.Decode(&line)).To(Succeed())
		all = append(all, line)
	}
	return all
}

// flowOf finds the serverside flow of a request.
func flowOf(dir string, ordinal int) flow {
	GinkgoHelper()
	all := flows(dir)
	i := slices.IndexFunc(all, func(f flow) bool { return f.Ordinal == ordinal })
	Expect(i).NotTo(BeNumerically("<", 0), "no flow of request "+strconv.Itoa(ordinal))
	return all[i]
}

func port(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }

var _ = DescribeTable("Wireshark reads the f5's capture as it would a real one's",
	func(ctx SpecContext, format bigip.TrailerFormat) {
		s := scenario("firewall-drops-syn")
		s.F5.Format = format
		s.Faults[0].Probability = 0.02
		r, dir := run(ctx, s, scenarios.Options{Requests: 600})
		Expect(r.InvalidBecause).To(BeEmpty())
		Expect(r.Requests.Failed).To(BeNumerically(">", 0))
		capture := filepath.Join(dir, "captures", "f5-0.0.pcapng")

		// tshark takes seconds to start on a busy machine: it reads all once.
		resets := byFirst(tshark(ctx, capture, "tcp.flags.reset == 1 && vlan.id == 4094", "tcp.dstport",
			"f5ethtrailer.rstcausetxt", "f5ethtrailer.rstcausepeer", "f5ethtrailer.peerid",
			"f5ethtrailer.peerremoteaddr", "f5ethtrailer.peerremoteport", "f5ethtrailer.peerlocaladdr", "f5ethtrailer.peerlocalport",
			"f5ethtrailer.vip", "_ws.col.Info"))
		sent := byFirst(tshark(ctx, capture, "tcp && f5ethtrailer.flowid", "f5ethtrailer.flowid", "tcp.srcport", "tcp.flags.syn", "tcp.dstport", "vlan.id"))
		for _, t := range r.Truths {
			if !t.Failed() {
				continue
			}
			truth := flowOf(dir, t.Ordinal)
			rsts := resets[port(truth.Client)]
			Expect(rsts).To(HaveLen(1))
			rst := rsts[0]
			Expect(rst[0]).To(Equal("TCP retransmit timeout"))
			Expect(rst[1]).To(Equal("1"), "peer flag")
			Expect(rst[3]+":"+rst[4]).To(Equal(truth.Member), "peer's remote end")
			Expect(rst[5]+":"+rst[6]).To(Equal(truth.SNAT), "peer's local end")
			Expect(rst[7]).To(Equal("/Common/vs_batch_8165"))
			Expect(rst[8]).To(HaveSuffix("[F5RST(peer): TCP retransmit timeout]"))

			// The peer id leads to the serverside flow: its SYNs.
			peers := byFirst(sent[rst[2]])[port(truth.SNAT)]
			Expect(peers).To(HaveLen(4))
			for _, p := range peers {
				Expect(p).To(Equal([]string{"1", "8000", "4093"}))
			}
		}
		Expect(tshark(ctx, capture, "frame.number == 1", "f5fileinfo.platform")).To(Equal([][]string{{"Z100"}}))
		Expect(tshark(ctx, capture, "frame.number > 1 && !f5ethtrailer || _ws.malformed || _ws.expert.severity == error", "frame.number", "_ws.col.Info")).
			To(BeEmpty(), "frames without a trailer, or that Wireshark finds fault with")
	},
	Entry("with DPT trailers, TMOS 14 and later", bigip.DPT, SpecTimeout(time.Minute)),
	Entry("with legacy trailers, TMOS 13 and earlier", bigip.Legacy, SpecTimeout(time.Minute)),
)

var _ = DescribeTable("the f5's capture tells as much as its tcpdump was asked to, and no verdict is wrong for want of the rest",
	func(ctx SpecContext, format bigip.TrailerFormat, level bigip.Tcpdump, shown []string, hidden string) {
		s := scenario("firewall-drops-syn")
		s.F5.Format, s.F5.Tcpdump, s.F5.Serverside = format, level, bigip.Fast
		s.Faults[0].Probability = 0.02
		r, dir := run(ctx, s, scenarios.Options{Requests: 600})
		Expect(r.InvalidBecause).To(BeEmpty())
		Expect(r.Requests.Failed).To(BeNumerically(">", 0))
		Expect(r.Score.Correct).To(Equal(r.Requests.Failed))

		capture := filepath.Join(dir, "captures", "f5-0.0.pcapng")
		rst := "tcp.flags.reset == 1 && vlan.id == 4094"
		fields := append([]string{"frame.number"}, shown...)
		Expect(tshark(ctx, capture, rst, fields...)).To(And(HaveLen(r.Requests.Failed), HaveEach(And(HaveLen(len(fields)), Not(ContainElement(""))))), "%v", shown)
		Expect(tshark(ctx, capture, "_ws.malformed || frame.number > 1 && "+hidden, "frame.number", "_ws.col.Info")).To(BeEmpty())
	},
	Entry("0.0:nn, DPT", bigip.DPT, bigip.NoiseMedium, []string{"f5ethtrailer.rstcausetxt", "f5ethtrailer.peerid"}, "f5ethtrailer.peerremoteaddr", SpecTimeout(time.Minute)),
	Entry("0.0:nn, legacy", bigip.Legacy, bigip.NoiseMedium, []string{"f5ethtrailer.rstcausetxt", "f5ethtrailer.peerid"}, "f5ethtrailer.peerremoteaddr", SpecTimeout(time.Minute)),
	Entry("0.0:n, DPT", bigip.DPT, bigip.NoiseLow, []string{"f5ethtrailer.vip"}, "f5ethtrailer.flowid", SpecTimeout(time.Minute)),
	Entry("0.0:n, legacy", bigip.Legacy, bigip.NoiseLow, []string{"f5ethtrailer.vip"}, "f5ethtrailer.flowid", SpecTimeout(time.Minute)),
	Entry("0.0", bigip.DPT, bigip.NoiseNone, nil, "f5ethtrailer", SpecTimeout(time.Minute)),
)

var _ = It("finds the frames that a verdict cites", func(ctx SpecContext) {
	s := scenario("link-drops-syn-before-firewall")
	r, dir := run(ctx, s, scenarios.Options{Requests: 1000})
	Expect(r.Score.Correct).To(BeNumerically(">", 0))
	for _, v := range r.Report.Verdicts[:1] {
		for _, e := range v.Evidence {
			file := filepath.Join(dir, filepath.FromSlash(e.File))
			switch e.Kind {
			case "frame":
				Expect(tshark(ctx, file, "frame.number == "+strconv.FormatUint(e.Frame, 10), "tcp.dstport")).To(HaveLen(1))
			case "absence":
				within := "frame.number >= " + strconv.FormatUint(e.FromFrame, 10) + " && frame.number <= " + strconv.FormatUint(e.ToFrame, 10)
				Expect(tshark(ctx, file, "("+e.Filter+") && "+within, "frame.number")).To(BeEmpty())
			}
		}
	}
}, SpecTimeout(time.Minute))
