package testkit_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hopblame/hopblame/e2e/testkit"
	"github.com/hopblame/hopblame/sim/client"
)

// post sends a request as a client of somebody's own would.
func post(ctx context.Context, c *http.Client, url, id string) (int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader("hello"))
	if err != nil {
		return 0, err
	}
	r.Header.Set("X-Request-ID", id)
	response, err := c.Do(r)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, err
}

// server answers every request with 200 from a node.
func server(ctx context.Context, at testkit.Place) (io.Closer, error) {
	l, err := at.Host.Listen(ctx, "tcp", at.Listen.String())
	if err != nil {
		return nil, err
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })}
	go s.Serve(l) // ends with Close
	return s, nil
}

var _ = DescribeTable("a client and servers in Go see what breaks",
	func(ctx SpecContext, name string, outcome client.Outcome) {
		testkit.Require(testkit.Lab)
		s := testkit.Fast(testkit.Scenario(name))
		for i := range s.Faults {
			s.Faults[i].Probability = 0.1
		}
		o := testkit.Options{Requests: 100, Concurrency: 16, Client: testkit.EachRequest(post), Server: server}
		if s.Faults[0].Acts() {
			o.Server = nil // it is our own that misbehaves
		}
		r := testkit.Run(ctx, s, o)
		Expect(r).To(testkit.BeValid())
		Expect(r).To(testkit.MatchExpectations(s))
		for _, t := range r.Truths {
			if t.Failed() {
				Expect(t.Outcome).To(Equal(outcome), "request %d", t.Ordinal)
			}
		}
	},
	Entry("a reset by the proxy", "firewall-drops-syn", client.Reset, SpecTimeout(time.Minute)),
	Entry("a response that is cut", "server-cuts-response", client.Truncated, SpecTimeout(time.Minute)),
	Entry("a 503", "server-answers-503", client.Error, SpecTimeout(time.Minute)),
)

var _ = It("a client in Go that would have to speak TLS is refused at once", func(ctx SpecContext) {
	_, err := testkit.EachRequest(post)(ctx, nil, client.Batch{Requests: 1, Protocol: client.HTTP2})
	Expect(err).To(MatchError("testkit.EachRequest: the scenario's protocol is h2: it must be http"))
})
