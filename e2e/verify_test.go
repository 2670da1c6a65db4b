package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/analyzer/verify"
	wireshark "github.com/hopblame/hopblame/internal/tshark"
	"github.com/hopblame/hopblame/scenarios"
)

// citations are those of the first verdicts, until there are so many, by file.
func citations(r *analyzer.Report, most int) map[string][]wireshark.Citation {
	byFile := map[string][]wireshark.Citation{}
	add := func(es []analyzer.Evidence) {
		for _, e := range es {
			if most--; most >= 0 {
				byFile[e.File] = append(byFile[e.File], wireshark.Citation{Frame: e.Frame, From: e.FromFrame, To: e.ToFrame, Filter: e.Filter})
			}
		}
	}
	for _, v := range r.Verdicts {
		add(v.Evidence)
		for _, h := range v.Eliminated {
			add(h.Evidence)
		}
	}
	for _, f := range r.Findings {
		add(f.Evidence)
	}
	return byFile
}

var _ = DescribeTable("every statement of a verdict holds, and Wireshark finds what is cited",
	func(ctx SpecContext, name string) {
		s := scenario(name)
		s.Faults[0].Probability = 0.03
		r, dir := run(ctx, s, scenarios.Options{Requests: 400})
		Expect(r.InvalidBecause).To(BeEmpty())
		Expect(r.Requests.Failed).To(BeNumerically(">", 0))

		f, err := os.Open(filepath.Join(dir, "verdicts.json"))
		Expect(err).NotTo(HaveOccurred())
		defer f.Close()
		report, err := verify.Decode("verdicts.json", f)
		Expect(err).NotTo(HaveOccurred())
		result, err := verify.Run(ctx, report, dir)
		Expect(err).NotTo(HaveOccurred())
		Expect(result.Failures).To(BeEmpty())
		Expect(result.Confirmed).To(BeNumerically(">", 10*r.Requests.Failed))

		for file, cs := range citations(report, 60) {
			wrong, err := wireshark.Disagreements(ctx, filepath.Join(dir, filepath.FromSlash(file)), cs)
			if errors.Is(err, wireshark.ErrMissing) {
				Skip(err.Error())
			}
			Expect(err).NotTo(HaveOccurred())
			Expect(wrong).To(BeEmpty())
		}

		// And it can fail: a frame further is another one.
		report.Verdicts[0].Evidence[0].Frame++
		result, err = verify.Run(ctx, report, dir)
		Expect(err).NotTo(HaveOccurred())
		Expect(result.Failures).NotTo(BeEmpty())
	},
	Entry("where the firewall loses SYNs", "firewall-drops-syn", SpecTimeout(time.Minute)),
	Entry("where a server does not answer", "server-ignores-syn", SpecTimeout(time.Minute)),
	Entry("where a server's listen queue is full", "server-listen-queue-full", SpecTimeout(time.Minute)),
)
