package e2e

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hopblame/hopblame/internal/pcapng"
	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/sim/bigip"
)

// syn is a SYN as a capture has it.
type syn struct {
	at  time.Duration // since the first
	seq uint32
}

// segment is what the specs here want of a frame.
type segment struct {
	at  time.Time
	ip  gopacket.NetworkLayer
	tcp *layers.TCP
}

// segments reads the TCP segments of a capture.
func segments(dir, point string) (list []segment) {
	GinkgoHelper()
	f, err := os.Open(filepath.Join(dir, "captures", point+".pcapng"))
	Expect(err).NotTo(HaveOccurred())
	defer f.Close()
	r, err := pcapng.NewReader(f)
	Expect(err).NotTo(HaveOccurred())
	for {
		p, err := r.Next()
		if errors.Is(err, io.EOF) {
			return list
		}
		Expect(err).NotTo(HaveOccurred())
		packet := gopacket.NewPacket(p.Data, layers.LayerTypeEthernet, gopacket.Default)
		if tcp, ok := packet.TransportLayer().(*layers.TCP); ok {
			list = append(list, segment{time.Unix(0, p.Time), packet.NetworkLayer(), tcp})
		}
	}
}

var _ = Describe("the f5's serverside SYN", func() {
	for _, row := range []struct {
		name    string
		profile bigip.TCPProfile
		want    []time.Duration
		giveUp  time.Duration
		labels  Labels
	}{
		{"of the incident is repeated every second", bigip.Incident,
			[]time.Duration{0, time.Second, 2 * time.Second, 3 * time.Second}, 4 * time.Second, Label(rootless)},
		{"of a BIG-IP as shipped backs off from three seconds", bigip.Shipped,
			[]time.Duration{0, 3 * time.Second, 9 * time.Second, 21 * time.Second}, 45 * time.Second, Label("slow")},
		{"of the fast profile is repeated every 100 ms", bigip.Fast,
			[]time.Duration{0, 100 * time.Millisecond, 200 * time.Millisecond, 300 * time.Millisecond}, 400 * time.Millisecond, nil},
	} {
		It(row.name, row.labels, func(ctx SpecContext) {
			s := scenario("firewall-drops-syn")
			s.F5.Serverside = row.profile
			s.Faults[0].Probability = 1
			r, dir := run(ctx, s, scenarios.Options{Requests: 1})
			Expect(r.InvalidBecause).To(BeEmpty())

			var syns []syn
			var first time.Time
			for _, seg := range segments(dir, "firewall-feth11") {
				if !seg.tcp.SYN || seg.tcp.ACK {
					continue
				}
				if first.IsZero() {
					first = seg.at
				}
				syns = append(syns, syn{seg.at.Sub(first), seg.tcp.Seq})
			}
			Expect(syns).To(HaveLen(len(row.want)))
			for i, want := range row.want {
				within := max(want/10, 20*time.Millisecond)
				Expect(syns[i].at).To(BeNumerically("~", want, within), "SYN %d", i+1)
				Expect(syns[i].seq).To(Equal(syns[0].seq), "one SYN and its retransmissions, not several connections")
			}
			// The client is reset when the last wait is over.
			Expect(r.Truths[0].Duration).To(BeNumerically("~", row.giveUp.Seconds(), row.giveUp.Seconds()/10+0.1))
		}, SpecTimeout(2*time.Minute))
	}
})
