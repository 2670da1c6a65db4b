package analyzer

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// unlabelled takes the names off captures and shuffles them. Files are renamed
// too, so that their names give nothing away; the returned map knows them.
func unlabelled(t *testing.T, points []Point, r *rand.Rand) ([]Point, map[string]string) {
	t.Helper()
	was := map[string]string{}
	out := make([]Point, len(points))
	for to, from := range r.Perm(len(points)) {
		p := points[from]
		file := string(rune('a'+r.IntN(26))) + string(rune('a'+to)) + ".pcapng"
		path := filepath.Join(filepath.Dir(p.Path), file)
		if err := os.Rename(p.Path, path); err != nil {
			t.Fatal(err)
		}
		was[file] = p.Name
		out[to] = Point{File: file, Path: path}
	}
	return out, was
}

// places are what the report calls its points, by the names they really have.
func places(r *Report, was map[string]string) string {
	var out []string
	for _, p := range r.Points {
		out = append(out, p.Name+"="+was[p.File])
	}
	return strings.Join(out, " ")
}

const inPathOrder = "p1=client/eth0 p2=f5/0.0 p3=firewall/feth11 p4=firewall/feth10 p5=server1/eth0 p6=server2/eth0"

// atFirewall tells of a request that was sent to a server, and what came of it then, with
// captures of the firewall alone, and nothing but who talks to whom to tell where they were
// made.
func (s *story) atFirewall(then func(when time.Duration, b *telling, sent, answered uint32)) {
	s.noAddrs, s.skip = true, []string{"client/eth0", "f5/0.0", "server1/eth0", "server2/eth0"}
	_, b, when := s.opened(at, 17, 54373, 2, post(17))
	when = s.handshake(when, b)
	s.tell(when, told{flow: b, toServer: true, flags: flagACK, seq: b.isn + 1, ack: b.answer + 1, payload: post(17)})
	then(when, b, b.isn+1+uint32(len(post(17))), b.answer+1)
}

// TestUnlabelledCapturesComeInPathOrder shuffles captures that nobody named.
func TestUnlabelledCapturesComeInPathOrder(t *testing.T) {
	dropped := func(s *story) { s.failing(at, 17, 54373, 2, "firewall/feth11", "") }
	for _, row := range []struct {
		name  string
		tell  func(s *story, r *rand.Rand)
		order string
		hop   string
		cause Cause
		warns string // part of a warning; "" for none
	}{
		{"six points", func(s *story, _ *rand.Rand) { dropped(s) }, inPathOrder, "link:p3-p4", SYNDropped, ""},
		{"the SYN is lost before the firewall", func(s *story, _ *rand.Rand) {
			s.failing(at, 17, 54373, 2, "f5/0.0", "")
		}, inPathOrder, "link:p2-p3", SYNDropped, ""},
		{"the SYN is lost behind the firewall", func(s *story, _ *rand.Rand) {
			s.failing(at, 17, 54373, 2, "firewall/feth10", "")
		}, inPathOrder, "link:p4-p6", SYNDropped, ""},
		{"the SYN-ACK is lost in the firewall", func(s *story, _ *rand.Rand) {
			s.failing(at, 17, 54373, 1, "", "firewall/feth10")
		}, inPathOrder, "link:p3-p4", SYNAckDropped, ""},
		{"the server does not answer", func(s *story, _ *rand.Rand) {
			s.failing(at, 17, 54373, 1, "server1/eth0", "")
		}, inPathOrder, "p5", NoAnswer, ""},
		{"without the f5's capture", func(s *story, _ *rand.Rand) {
			s.skip = []string{"f5/0.0"}
			dropped(s)
		}, "p1=client/eth0 p2=firewall/feth11 p3=firewall/feth10 p4=server1/eth0 p5=server2/eth0", "link:p2-p3", SYNDropped, ""},
		{"without trailers", func(s *story, _ *rand.Rand) {
			s.trailers = false
			dropped(s)
		}, inPathOrder, "link:p3-p4", SYNDropped, ""},
		{"without trailers and request ids", func(s *story, _ *rand.Rand) {
			s.trailers, s.anonymous = false, true
			dropped(s)
		}, inPathOrder, "link:p3-p4", SYNDropped, ""},
		{"without interface addresses", func(s *story, _ *rand.Rand) {
			s.noAddrs = true
			dropped(s)
		}, inPathOrder, "link:p3-p4", SYNDropped, ""},
		{"without interface addresses, the server does not answer", func(s *story, _ *rand.Rand) {
			s.noAddrs = true
			s.failing(at, 17, 54373, 1, "server1/eth0", "")
		}, inPathOrder, "p5", NoAnswer, ""},
		{"without any address, trailer or request id", func(s *story, _ *rand.Rand) {
			s.noAddrs, s.trailers, s.anonymous = true, false, true
			dropped(s)
		}, inPathOrder, "link:p3-p4", SYNDropped, ""},
		{"clocks up to an hour off", func(s *story, r *rand.Rand) {
			for _, p := range standardPoints {
				s.clock[p.name] = time.Duration(r.IntN(7200)-3600) * time.Second
			}
			dropped(s)
		}, inPathOrder, "link:p3-p4", SYNDropped, ""},
		{"a bridge for a firewall: no TTL tells", func(s *story, _ *rand.Rand) {
			s.bridge, s.noAddrs = true, true
			dropped(s)
		}, inPathOrder, "link:p3-p4", SYNDropped, ""},
		{"no time passes in the firewall: only TTLs tell", func(s *story, _ *rand.Rand) {
			s.glued = true
			dropped(s)
		}, inPathOrder, "link:p3-p4", SYNDropped, ""},
		{"neither TTL nor time tells the firewall's faces apart", func(s *story, _ *rand.Rand) {
			s.bridge, s.glued = true, true
			dropped(s)
		}, "", "", Inconclusive, "cannot tell which of the two is nearer to the client"},
		{"neither does, and the SYN is lost behind both", func(s *story, _ *rand.Rand) {
			s.bridge, s.glued = true, true
			s.failing(at, 17, 54373, 2, "firewall/feth10", "")
		}, "", "", Inconclusive, "they are one capture, given twice"},
		{"neither does, and the SYN is lost before both", func(s *story, _ *rand.Rand) {
			s.bridge, s.glued = true, true
			s.failing(at, 17, 54373, 2, "f5/0.0", "")
		}, "", "", Inconclusive, "they are one capture, given twice"},
		{"neither does, but the server is silent", func(s *story, _ *rand.Rand) {
			s.bridge, s.glued = true, true
			s.failing(at, 17, 54373, 1, "server1/eth0", "")
		}, "", "p5", NoAnswer, "they are one capture, given twice"},
		{"5 % of the packets are missing at the firewall", func(s *story, r *rand.Rand) {
			s.blind = func(point string, _ time.Duration, p told) bool {
				return point == "firewall/feth11" && r.Float64() < 0.05
			}
			for i := range 8 { // sent four times, one at least is seen
				s.failing(at+time.Duration(i)*30*time.Millisecond, 17+i, 54373+i, 2, "firewall/feth10", "")
			}
		}, inPathOrder, "link:p4-p6", SYNDropped, ""},
		{"IPv6", func(s *story, _ *rand.Rand) {
			s.v6 = true
			dropped(s)
		}, inPathOrder, "link:p3-p4", SYNDropped, ""},
		{"the firewall's two captures only", func(s *story, _ *rand.Rand) {
			s.skip = []string{"client/eth0", "f5/0.0", "server1/eth0", "server2/eth0"}
			dropped(s)
		}, "p1=firewall/feth11 p2=firewall/feth10", "link:p1-p2", SYNDropped, ""},
		{"the firewall's two captures, before which a RST is forged to the server", func(s *story, _ *rand.Rand) {
			s.atFirewall(func(when time.Duration, b *telling, sent, answered uint32) {
				s.tell(when+4*hopDelay, told{flow: b, toServer: true, flags: flagRST | flagACK, seq: sent, ack: answered})
				s.tell(when+6*hopDelay, told{flow: b, toServer: true, flags: flagACK, seq: sent, ack: answered})
			})
		}, "p1=firewall/feth11 p2=firewall/feth10", "", Inconclusive, ""},
		{"the firewall's two captures, before which a RST is forged to the client", func(s *story, _ *rand.Rand) {
			s.atFirewall(func(when time.Duration, b *telling, sent, answered uint32) {
				s.tell(when+4*hopDelay, told{flow: b, flags: flagACK, seq: answered, ack: sent})
				s.tell(when+8*hopDelay, told{flow: b, toServer: true, flags: flagRST, seq: sent})
			})
		}, "p1=firewall/feth11 p2=firewall/feth10", "", Inconclusive, ""},
		{"the firewall's two captures, and the client does give up", func(s *story, _ *rand.Rand) {
			s.atFirewall(func(when time.Duration, b *telling, sent, answered uint32) {
				s.tell(when+4*hopDelay, told{flow: b, flags: flagACK, seq: answered, ack: sent})
				s.tell(when+8*hopDelay, told{flow: b, toServer: true, flags: flagRST | flagACK, seq: sent, ack: answered})
			})
		}, "p1=firewall/feth11 p2=firewall/feth10", "p1", ClientAbort, ""},
		{"captures of the firewall and before a server, whose RST is forged behind that", func(s *story, _ *rand.Rand) {
			s.atFirewall(func(when time.Duration, b *telling, sent, answered uint32) {
				s.tell(when+4*hopDelay, told{flow: b, flags: flagRST | flagACK, seq: answered, ack: sent})
				s.tell(when+6*hopDelay, told{flow: b, flags: flagACK, seq: answered, ack: sent})
			})
			s.skip = s.skip[:3]
		}, "p1=firewall/feth11 p2=firewall/feth10 p3=server2/eth0", "", Inconclusive, ""},
		{"captures of the firewall and of a server, which does reset it", func(s *story, _ *rand.Rand) {
			s.atFirewall(func(when time.Duration, b *telling, sent, answered uint32) {
				s.tell(when+4*hopDelay, told{flow: b, flags: flagRST | flagACK, seq: answered, ack: sent})
			})
			s.skip = s.skip[:3]
		}, "p1=firewall/feth11 p2=firewall/feth10 p3=server2/eth0", "p3", AppReset, ""},
		{"the f5's capture and the firewall's last", func(s *story, _ *rand.Rand) {
			s.skip = []string{"client/eth0", "firewall/feth11", "server1/eth0", "server2/eth0"}
			dropped(s)
		}, "p1=f5/0.0 p2=firewall/feth10", "link:p1-p2", SYNDropped, ""},
		{"the f5's capture alone", func(s *story, _ *rand.Rand) {
			s.skip = []string{"client/eth0", "firewall/feth10", "firewall/feth11", "server1/eth0", "server2/eth0"}
			dropped(s)
		}, "p1=f5/0.0", "", Inconclusive, ""},
		{"client and firewall, with nothing that ties their connections", func(s *story, _ *rand.Rand) {
			s.skip, s.anonymous = []string{"f5/0.0", "server1/eth0", "server2/eth0"}, true
			dropped(s)
		}, "p1=firewall/feth11 p2=firewall/feth10 p3=client/eth0", "link:p1-p2", SYNDropped, "cannot tell which of {p1"},
		{"a point that sees SYNs to one server only", func(s *story, _ *rand.Rand) {
			s.blind = func(point string, _ time.Duration, p told) bool {
				return point == "firewall/feth10" && (!p.toServer || p.flags != flagSYN || !strings.HasSuffix(p.flow.server.Addr().String(), "82"))
			}
			s.failing(at, 17, 54373, 2, "firewall/feth11", "")
		}, "p1=client/eth0 p2=f5/0.0 p3=firewall/feth11 p4=server1/eth0 p5=firewall/feth10 p6=server2/eth0", "", Inconclusive, ""},
		{"a point that sees only what comes back", func(s *story, _ *rand.Rand) {
			s.blind = func(point string, _ time.Duration, p told) bool { return point == "firewall/feth10" && p.toServer }
			s.failing(at, 17, 54373, 1, "", "firewall/feth10")
		}, inPathOrder, "", Inconclusive, ""},
		{"every point captures other hosts", func(s *story, _ *rand.Rand) {
			s.blind = func(point string, _ time.Duration, p told) bool {
				return point == "firewall/feth11" && strings.HasSuffix(p.flow.server.Addr().String(), "81") ||
					point == "f5/0.0" && p.flow.vlan == 4094
			}
			s.failing(at, 17, 54373, 2, "firewall/feth10", "")
		}, inPathOrder, "link:p4-p6", SYNDropped, ""},
		{"one point is of another network", func(s *story, _ *rand.Rand) {
			s.strangers = "server1/eth0"
			dropped(s)
		}, "p1=client/eth0 p2=f5/0.0 p3=firewall/feth11 p4=firewall/feth10 p5=server2/eth0 p6=server1/eth0", "link:p3-p4", SYNDropped, "shares no connection with the others"},
		{"a firewall that sets the TTL anew: TTLs contradict times", func(s *story, _ *rand.Rand) {
			s.scrubs = true
			dropped(s)
		}, "", "", Inconclusive, "the captures contradict themselves"},
		{"a firewall that randomises sequence numbers", func(s *story, _ *rand.Rand) {
			s.rewrites = true
			dropped(s)
		}, "", "", Inconclusive, "never the same sequence numbers"},
		{"the firewall captured on all its interfaces in one file", func(s *story, _ *rand.Rand) {
			s.merge, s.skip = true, []string{"firewall/feth10"}
			dropped(s)
		}, "", "", Inconclusive, "before and after a router in one file"},
	} {
		t.Run(row.name, func(t *testing.T) {
			seeds := uint64(3)
			if testing.Short() {
				seeds = 1
			}
			for seed := range seeds {
				r := rand.New(rand.NewPCG(seed, 1))
				s := newStory(t)
				s.v6 = row.name == "IPv6"
				row.tell(s, r)
				s.background(0, 300)
				points, was := unlabelled(t, s.write(), r)
				report, err := Analyze(t.Context(), points, Options{})
				if err != nil {
					t.Fatal(err)
				}
				if got := places(report, was); row.order != "" && got != row.order {
					t.Fatalf("seed %d: got %s\nwant %s\n%q", seed, got, row.order, report.Warnings)
				}
				if !slices.ContainsFunc(report.Verdicts, func(v Verdict) bool { return v.Hop == row.hop && v.Cause == row.cause }) {
					t.Errorf("seed %d: no verdict is %s %s, but %+v", seed, row.hop, row.cause, report.Verdicts)
				}
				for _, v := range report.Verdicts {
					if v.Hop != "" && v.Hop != row.hop {
						t.Errorf("seed %d: got %s %s, want %s or nothing", seed, v.Hop, v.Cause, row.hop)
					}
				}
				said := strings.Join(report.Warnings, "\n")
				if row.warns == "" && said != "" || !strings.Contains(said, row.warns) {
					t.Errorf("seed %d: got warnings %q, want %q", seed, said, row.warns)
				}
			}
		})
	}
}

// TestUnlabelledOrderIsTheSameHoweverGiven infers the order of all 720
// permutations of six captures.
func TestUnlabelledOrderIsTheSameHoweverGiven(t *testing.T) {
	s := newStory(t)
	s.noAddrs = true
	s.failing(at, 17, 54373, 2, "firewall/feth11", "")
	s.background(0, 100)
	a := &analysis{points: s.write(), o: Options{Workers: 1}, report: &Report{}}
	if err := a.prepare(t.Context(), &Spool{}); err != nil {
		t.Fatal(err)
	}
	if err := a.survey(t.Context(), -1); err != nil {
		t.Fatal(err)
	}
	read := a.surveys
	want := "client-eth0 f5-0.0 firewall-feth11 firewall-feth10 server1-eth0 server2-eth0"
	n := 0
	var try func(order []int)
	try = func(order []int) {
		if len(order) < len(read) {
			for i := range read {
				if !slices.Contains(order, i) {
					try(append(slices.Clone(order), i))
				}
			}
			return
		}
		n++
		a := &analysis{report: &Report{}}
		for _, i := range order {
			s := *read[i]
			s.point = Point{File: strings.TrimSuffix(s.point.File, ".pcapng")}
			a.surveys, a.points, a.sources = append(a.surveys, &s), append(a.points, s.point), append(a.sources, nil)
		}
		if err := a.infer(); err != nil {
			t.Fatal(err)
		}
		var got []string
		for i, p := range a.points {
			got = append(got, p.File)
			if a.surveys[i].index != i || a.surveys[i].point.Name != p.Name || a.surveys[i].point.File != p.File {
				t.Fatalf("%v: survey %d is %d of %+v, point %+v", order, i, a.surveys[i].index, a.surveys[i].point, p)
			}
		}
		if got := strings.Join(got, " "); got != want || len(a.report.Warnings) > 0 {
			t.Fatalf("%v: got %s, warnings %q", order, got, a.report.Warnings)
		}
	}
	try(nil)
	if n != 720 {
		t.Errorf("tried %d permutations", n)
	}
}

// TestOneCaptureUnderTwoNames gives a copy along with the captures.
func TestOneCaptureUnderTwoNames(t *testing.T) {
	s := newStory(t)
	s.failing(at, 17, 54373, 2, "firewall/feth11", "")
	s.background(0, 300)
	points := s.write()
	raw, err := os.ReadFile(points[3].Path)
	s.check(err)
	copied := points[3]
	copied.File, copied.Path = "copy.pcapng", filepath.Join(filepath.Dir(copied.Path), "copy.pcapng")
	s.check(os.WriteFile(copied.Path, raw, 0o600))
	for i := range points {
		points[i].Name, points[i].Hop, points[i].Face, points[i].Side = "", "", "", ""
	}
	points = append(points, copied)
	points[6].Name, points[6].Hop, points[6].Face, points[6].Side = "", "", "", ""
	r, err := Analyze(t.Context(), points, Options{})
	s.check(err)
	if len(r.Verdicts) != 1 || r.Verdicts[0].Hop != "" || len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "one capture, given twice") ||
		!strings.Contains(r.Verdicts[0].WouldSettle, "HOP/FACE=") {
		t.Errorf("got %s", show(r))
	}
}

// TestLabelledCapturesInAnyOrder gives captures with labels, as on a command
// line, where their order means nothing.
func TestLabelledCapturesInAnyOrder(t *testing.T) {
	const standard = "client/eth0 f5/0.0 firewall/feth11 firewall/feth10 server1/eth0 server2/eth0"
	for _, row := range []struct {
		name  string
		tell  func(s *story)
		edit  func(p []Point)
		order string
		hop   string
		warns string
	}{
		{"in path order", func(*story) {}, func([]Point) {}, standard, "firewall", ""},
		{"the other way round", func(*story) {}, slices.Reverse[[]Point],
			"client/eth0 f5/0.0 firewall/feth11 firewall/feth10 server2/eth0 server1/eth0", "firewall", ""},
		{"one of them without a name", func(*story) {}, func(p []Point) {
			slices.Reverse(p)
			p[3].Name, p[3].Hop, p[3].Face = "", "", ""
		}, "client/eth0 f5/0.0 p3 firewall/feth10 server1/eth0 server2/eth0", "", ""},
		{"one of them without a name, and its place's taken", func(*story) {}, func(p []Point) {
			p[2].Name, p[2].Hop, p[2].Face = "", "", ""
			p[0].Name, p[0].Hop = "p3/eth0", "p3"
		}, "p3/eth0 f5/0.0 p4 firewall/feth10 server1/eth0 server2/eth0", "", ""},
		{"the firewall's cannot be told apart: one hop all the same", func(s *story) { s.bridge, s.glued = true, true }, func([]Point) {},
			standard, "firewall", "cannot tell which of the two"},
		{"sides are told for two points", func(s *story) { s.trailers, s.anonymous = false, true }, func(p []Point) {
			p[0].Side, p[3].Side = Clientside, Serverside
			slices.Reverse(p)
		}, "client/eth0 f5/0.0 firewall/feth11 firewall/feth10 server2/eth0 server1/eth0", "firewall", ""},
		{"nothing ties the sides: as given", func(s *story) { s.skip, s.anonymous = []string{"f5/0.0"}, true }, func([]Point) {},
			"client/eth0 firewall/feth11 firewall/feth10 server1/eth0 server2/eth0", "", "in the order given"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newStory(t)
			s.sideless = true
			row.tell(s)
			s.failing(at, 17, 54373, 2, "firewall/feth11", "")
			s.background(0, 300)
			points := s.write()
			row.edit(points)
			r, err := Analyze(t.Context(), points, Options{AnyOrder: true})
			s.check(err)
			var got []string
			for _, p := range r.Points {
				got = append(got, p.Name)
			}
			if got := strings.Join(got, " "); got != row.order {
				t.Errorf("got %s, want %s", got, row.order)
			}
			if len(r.Verdicts) != 1 || r.Verdicts[0].Hop != row.hop {
				t.Errorf("want %s: got %s", row.hop, show(r))
			}
			said := strings.Join(r.Warnings, "\n")
			if row.warns == "" && said != "" || !strings.Contains(said, row.warns) {
				t.Errorf("got warnings %q, want %q", said, row.warns)
			}
		})
	}
}
