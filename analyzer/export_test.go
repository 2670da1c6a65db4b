package analyzer

import (
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hopblame/hopblame/analyzer/f5trailer"
)

// TLSStories are analyses of what happens inside TLS, for tests that see the package
// from outside: the folder with the captures, and the report. Requests are followed at
// the client, and once more at the f5.
func TLSStories(tb testing.TB, each func(name, dir string, r *Report)) {
	tb.Helper()
	told := func(name string, tell func(s *story) []*session) {
		for _, at := range []string{"the client", "the f5"} {
			s := newStory(tb)
			if at == "the f5" {
				s.skip = []string{"client/eth0"}
			}
			keys := tell(s)
			s.background(0, 200)
			s.background(14*time.Second, 50)
			r := s.analyzeWith(keys...)
			if len(r.Verdicts) == 0 {
				tb.Errorf("%s: no verdict", name)
			}
			each(name+", followed at "+at, filepath.Dir(s.written[0].Path), r)
		}
	}
	told("streams are reset, with keys", func(s *story) []*session {
		h := newH2Session(tb, tls.VersionTLS13)
		s.overlapping(time.Second, 100, h, "firewall/feth11", abort)
		return []*session{h.session}
	})
	told("streams are answered by 503, with keys in trailers", func(s *story) []*session {
		h := newH2Session(tb, tls.VersionTLS12)
		s.secrets = map[*telling]f5trailer.TLV{}
		s.opens = func(f *telling) { s.secrets[f] = h.record() }
		s.overlapping(time.Second, 100, h, "firewall/feth11", respond(503))
		return nil
	})
	told("streams are reset, without keys", func(s *story) []*session {
		s.multiplexed(time.Second, 200, false)
		return nil
	})
	for _, c := range sealedEndings {
		if c.want == "" {
			continue
		}
		told(c.name, func(s *story) []*session {
			c.tell(s, newSession(tb, tls.VersionTLS13, "http/1.1"))
			return nil
		})
	}
	for _, c := range failuresInside {
		if c.h1 == "" {
			continue
		}
		told(c.name, func(s *story) []*session {
			c.tell(s, newSession(tb, tls.VersionTLS13, "http/1.1"))
			return nil
		})
		told(c.name+", with keys", func(s *story) []*session {
			t := newSession(tb, tls.VersionTLS13, "http/1.1")
			c.tell(s, t)
			return []*session{t}
		})
	}
}

// ForgottenStory tells [forgottenAtWork], and returns where its captures are and what the
// analyzer says.
func ForgottenStory(tb testing.TB) (dir string, r *Report) {
	tb.Helper()
	s := newStory(tb)
	forgottenAtWork(s)
	s.background(0, 300)
	s.background(at+8*time.Second, 200)
	r = s.analyze()
	return filepath.Dir(s.written[0].Path), r
}

// DetourStory tells of requests whose SYNs go past the firewall, and returns where its
// captures are and what the analyzer says.
func DetourStory(tb testing.TB) (dir string, r *Report) {
	tb.Helper()
	s := newStory(tb)
	s.past = func(port uint16) bool { return port >= failed }
	for i := range 3 {
		s.failing(at+time.Duration(i)*10*time.Millisecond, 17+i, 54373+i, 1+i%2, "", "firewall/feth10")
	}
	s.background(0, 300)
	s.background(at+5*time.Second, 100)
	r = s.analyze()
	return filepath.Dir(s.written[0].Path), r
}

// ReuseStory tells of a firewall that holds its sessions longer than the proxy lets its
// ports rest, and returns where the captures are and what the analyzer says. A capture that
// begins late, if one is named, has nothing of the tuples' earlier use; in one that is set
// back, the later use has the earlier time.
func ReuseStory(tb testing.TB, late, setBack string) (dir string, r *Report) {
	tb.Helper()
	s := newStory(tb)
	s.blind = func(point string, at time.Duration, p told) bool {
		return point == late && p.flow.client.Port() >= 60000 && at < 1500*time.Millisecond
	}
	s.wrong[setBack] = func(at time.Duration) time.Duration {
		if at < 1500*time.Millisecond {
			return 0
		}
		return -30 * time.Second
	}
	s.reuses()
	r = s.analyze()
	return filepath.Dir(s.written[0].Path), r
}

// LossyStories are analyses of requests inside TLS of which some packets were not
// captured: the folder with the captures, the report, and the hop that is at fault, ""
// where nothing failed or nobody can tell.
func LossyStories(tb testing.TB, each func(name, dir string, r *Report, hop string)) {
	tb.Helper()
	type told struct {
		name string
		tell func(s *story, t *session)
		want string
	}
	var all []told
	for _, c := range sealedEndings {
		all = append(all, told{c.name, c.tell, c.want})
	}
	for _, c := range failuresInside {
		all = append(all, told{c.name, c.tell, c.h1})
	}
	seeds := uint64(8)
	if testing.Short() {
		seeds = 2 // with either version of TLS
	}
	for _, c := range all {
		hop := ""
		if words := strings.Split(c.want, " "); len(words) > 1 {
			hop = words[1]
		}
		for seed := range seeds {
			s := newStory(tb)
			s.losing(rand.New(rand.NewPCG(seed, 0)))
			version := []uint16{tls.VersionTLS13, tls.VersionTLS12}[seed%2]
			if strings.Contains(c.name, "under encryption") {
				version = tls.VersionTLS13
			}
			c.tell(s, newSession(tb, version, "http/1.1"))
			s.background(0, 200)
			s.background(14*time.Second, 50)
			r := s.analyze()
			each(fmt.Sprintf("%s, seed %d", c.name, seed), filepath.Dir(s.written[0].Path), r, hop)
		}
	}
}

// losing has the two captures that see clients miss a quarter of all packets.
func (s *story) losing(r *rand.Rand) {
	s.blind = func(point string, _ time.Duration, _ told) bool {
		return slices.Contains([]string{"client/eth0", "f5/0.0"}, point) && r.IntN(4) == 0
	}
}
