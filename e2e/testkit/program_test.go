package testkit_test

import (
	"fmt"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hopblame/hopblame/e2e/testkit"
	"github.com/hopblame/hopblame/topology"
)

// nginx answers every request with 200. Without root its workers can be nobody but the one
// user there is, who is called root in a sandbox.
func nginx(at testkit.Place) testkit.Program {
	return testkit.Program{Name: "nginx", Args: []string{"-p", ".", "-c", "nginx.conf", "-e", "stderr"},
		Files: map[string]string{"nginx.conf": fmt.Sprintf(`user root root;
daemon off;
pid nginx.pid;
error_log stderr crit;
events {}
http {
	access_log off;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	server { listen %s; location / { return 200 "%s\n"; } }
}
`, at.Listen, at.Host.Name())}}
}

var _ = Describe("somebody else's program", func() {
	It("serves in the servers' places", func(ctx SpecContext) {
		testkit.Require(testkit.Lab, testkit.Installed("nginx"))
		s := testkit.Scenario("no-fault")
		r := testkit.Run(ctx, s, testkit.Options{Requests: 100, Concurrency: 16, Server: testkit.ServerProgram(nginx)})
		Expect(r).To(testkit.BeValid())
		Expect(r.Requests.OK).To(Equal(100))
		for _, server := range []string{"server1", "server2"} {
			Expect(filepath.Join(filepath.Dir(r.Dir), server, "nginx.conf")).To(BeARegularFile())
		}
	}, SpecTimeout(time.Minute))

	It("that ends before it listens is an error with what it said", func(ctx SpecContext) {
		testkit.Require(testkit.Lab)
		spec, err := topology.Standard(topology.IPv4)
		Expect(err).NotTo(HaveOccurred())
		lab, err := topology.Build(ctx, spec)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(lab.Close)
		at := testkit.Place{Host: lab.Host(topology.F5), Listen: topology.StandardAddresses(topology.IPv4).VIP, Dir: GinkgoT().TempDir()}
		_, err = testkit.Program{Name: "sh", Args: []string{"-c", "echo cannot parse the configuration >&2; exit 3"}}.Start(ctx, at)
		Expect(err).To(MatchError(And(ContainSubstring("nobody listens on 198.18.50.67:8165"), ContainSubstring("sh ended (exit status 3) and said: cannot parse the configuration"))))
	}, SpecTimeout(time.Minute))
})
