package e2e

import (
	"fmt"
	"strconv"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hopblame/hopblame/e2e/testkit"
	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/topology"
)

var secured = []bigip.Profile{bigip.ProfileTCP, bigip.ProfileHTTP, bigip.ProfileClientSSL, bigip.ProfileHTTP2}

// pooled lets the members' connections be used again.
var pooled = append(secured[:len(secured):len(secured)], bigip.ProfileOneConnect)

var _ = DescribeTable("curl speaks TLS with the f5",
	func(ctx SpecContext, version string, options []string) {
		testkit.Require(testkit.Installed("curl"))
		f := startF5(ctx, topology.IPv4, secured...)
		out, err := f.Host(topology.Client).Command(ctx, "curl", append(options, "--silent", "--show-error", "--noproxy", "*", "--insecure",
			"--write-out", " %{http_version} %{http_code}", "--header", "X-Request-ID: 17", "--data", "hello",
			"https://"+f.VIP.String()+"/batch")...).CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), string(out))
		Expect(string(out)).To(ContainSubstring(`"received":5`))
		Expect(string(out)).To(HaveSuffix(" " + version + " 200"))
		flows := f.close()
		Expect(flows).To(HaveLen(1))
		Expect(flows[0].Ordinal).To(Equal(17))
		Expect(flows[0].Reset).To(BeEmpty())
	},
	Entry("HTTP/1.1", "1.1", []string{"--http1.1"}, SpecTimeout(time.Minute)),
	Entry("HTTP/2", "2", []string{"--http2"}, SpecTimeout(time.Minute)),
	Entry("HTTP/2 in TLS 1.2", "2", []string{"--tls-max", "1.2"}, SpecTimeout(time.Minute)),
)

var _ = DescribeTable("h2load has all of its streams answered",
	func(ctx SpecContext, profiles []bigip.Profile) {
		testkit.Require(testkit.Installed("h2load"))
		f := startF5(ctx, topology.IPv4, profiles...)
		before := len(testkit.OpenFiles())
		const connections, requests = 8, 2000
		l := f.run(ctx, h2loadReport, "h2load", "--clients="+strconv.Itoa(connections), "--max-concurrent-streams=10",
			"--requests="+strconv.Itoa(requests), "https://"+f.VIP.String()+"/batch")
		Expect(l.failed).To(BeZero(), "%+v", l)
		Expect(l.requests).To(Equal(requests))
		Expect(l.succeeded).To(Equal(requests))
		proxy := f.proxy
		flows := f.close()
		if len(profiles) == len(pooled) {
			Expect(len(flows)).To(BeNumerically("<", requests/2), "connections are used again")
		} else {
			Expect(flows).To(HaveLen(requests), "each stream has one of its own")
		}
		for _, flow := range flows {
			Expect(flow.Connected).NotTo(BeZero(), "%+v", flow)
			Expect(flow.Closed).NotTo(BeZero(), "%+v", flow)
			Expect(flow.Reset).To(BeEmpty(), "%+v", flow)
		}
		for _, r := range proxy.Resets() {
			Fail(fmt.Sprintf("the f5 has sent a RST: %+v", r))
		}
		Eventually(func() int { return len(testkit.OpenFiles()) }).WithTimeout(5*time.Second).Should(BeNumerically("<=", before), "connections that the f5 has left open")
	},
	Entry("each on a connection of its own behind the f5", secured, SpecTimeout(time.Minute)),
	Entry("on connections that are used again", pooled, SpecTimeout(time.Minute)),
)
