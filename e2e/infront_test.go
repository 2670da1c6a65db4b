package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hopblame/hopblame/e2e/testkit"
	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/sim"
	"github.com/hopblame/hopblame/sim/client"
	"github.com/hopblame/hopblame/topology"
)

// frontPort is where a proxy in front of the f5 listens, in the client's node.
const frontPort = 8080

// front is somebody else's proxy in front of the f5, for a directory of its files.
type front struct {
	program string
	config  string // for the address to listen on and the f5's
	file    string
	args    []string
	stop    syscall.Signal
}

// haproxyInFront opens a connection to the f5 for each request, or keeps them open and
// shares them among its clients.
func haproxyInFront(reuse string) front {
	return front{program: "haproxy", file: "front.cfg", args: []string{"-W", "-f", "front.cfg"}, stop: syscall.SIGUSR1,
		config: `global
	maxconn 1000
	nbthread 1
	hard-stop-after 5s
defaults
	mode http
	timeout connect 20s
	timeout client 20s
	timeout server 20s
	retries 0
	` + reuse + `
frontend clients
	bind %s
	default_backend f5
backend f5
	server vs %s
`}
}

// nginxInFront does the same; upstream and header decide which.
func nginxInFront(upstream, header string) front {
	return front{program: "nginx", file: "front.conf", args: []string{"-p", ".", "-c", "front.conf", "-e", "stderr"}, stop: syscall.SIGTERM,
		config: nginxHead + `	upstream f5 { server %[2]s; ` + upstream + ` }
	server {
		listen %[1]s;
		location / {
			proxy_pass http://f5;
			proxy_http_version 1.1;
			proxy_set_header Connection "` + header + `";
			proxy_next_upstream off;
		}
	}
}
`}
}

// send sends the batch with our own client through the front.
func (f front) send(dir string) func(context.Context, *topology.Host, client.Batch) ([]client.Record, error) {
	return func(ctx context.Context, from *topology.Host, b client.Batch) ([]client.Record, error) {
		listen := netip.AddrPortFrom(b.Local, frontPort)
		// The batch takes the upper half of the ports, and this proxy must not.
		if err := from.Set("net.ipv4.ip_local_port_range", "1024 32767"); err != nil {
			return nil, err
		}
		p, err := testkit.Program{Name: f.program, Args: f.args, Files: map[string]string{f.file: fmt.Sprintf(f.config, listen, b.Server)}, Stop: f.stop}.Start(ctx, testkit.Place{Host: from, Listen: listen, Dir: dir})
		if err != nil {
			return nil, err
		}
		b.Server = listen
		records, err := client.Run(ctx, from, b)
		return records, errors.Join(err, p.Close())
	}
}

// play plays a scenario with the front between the client and the f5.
func (f front) play(ctx SpecContext, name string, requests int, probability float64) *scenarios.Result {
	GinkgoHelper()
	testkit.Require(testkit.Installed(f.program))
	s := scenario(name)
	for i := range s.Faults {
		s.Faults[i].Probability = probability
	}
	dir := GinkgoT().TempDir()
	o := scenarios.Options{Requests: requests, Concurrency: 32, Configure: func(c *sim.Config) { c.Send = f.send(dir) }}
	r, _ := run(ctx, s, o)
	Expect(r.InvalidBecause).To(BeEmpty())
	return r
}

var _ = DescribeTable("with another proxy in front of the f5, keeping its connections open, every request is answered",
	func(ctx SpecContext, f front) {
		r := f.play(ctx, "no-fault", 2000, 0)
		Expect(r.Requests.OK).To(Equal(2000))
		Expect(r.Score.Passed()).To(BeTrue(), r.Score.String())
	},
	Entry("HAProxy", haproxyInFront("http-reuse always"), Label(rootless), SpecTimeout(time.Minute)),
	Entry("nginx", nginxInFront("keepalive 32;", ""), Label(rootless), SpecTimeout(time.Minute)),
)

// The client is told of it by the proxy in front, which the f5 has reset.
var _ = DescribeTable("with another proxy in front of the f5, the firewall is blamed for the SYNs that it drops",
	func(ctx SpecContext, f front) {
		r := f.play(ctx, "firewall-drops-syn", 400, 0.05)
		Expect(r.Requests.Failed).To(BeNumerically(">", 0))
		for _, t := range r.Truths {
			if t.Failed() {
				Expect(t.Outcome).To(Equal(client.Error), "request %d: a 502 of the proxy in front", t.Ordinal)
			}
		}
		Expect(r.Score.Correct).To(Equal(r.Requests.Failed), r.Score.String())
		Expect(r.Score.Passed()).To(BeTrue(), r.Score.String())
	},
	Entry("HAProxy", haproxyInFront("http-reuse never\n\toption http-server-close"), SpecTimeout(time.Minute)),
	Entry("nginx", nginxInFront("", "close"), SpecTimeout(time.Minute)),
)
