package analyzer

import (
	"crypto/tls"
	"path/filepath"
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
