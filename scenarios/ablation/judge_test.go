package ablation

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/scenarios/observe"
	"github.com/hopblame/hopblame/sim/client"
	"github.com/hopblame/hopblame/topology"
)

// inhabited returns a run of four requests to server2 and its captures, which are
// empty: 0 is ok, 1 was lost at the firewall, 2 behind it, 3 by the server; and
// of one, 4, with the same client port as 1, a minute later, which is ok.
func inhabited(t *testing.T) (*Run, *observe.Captures) {
	t.Helper()
	spec, err := topology.Standard(topology.IPv4)
	if err != nil {
		t.Fatal(err)
	}
	run := &Run{spec: spec, member: map[int]string{}, ends: map[netip.AddrPort][]to{}}
	start := time.Unix(1_800_000_000, 0)
	for i, accept := range [][]scenarios.Pair{nil, {{Hop: "firewall", Cause: analyzer.SYNDropped}},
		{{Hop: "link:firewall-server2", Cause: analyzer.SYNDropped}}, {{Hop: "server2", Cause: analyzer.NoAnswer}}, nil} {
		tr := scenarios.Truth{Ordinal: i, ID: string(rune('0' + i)), Client: port(1000 + i), Start: start, Outcome: client.OK, Accept: accept}
		if i == 4 {
			tr.Client, tr.Start = port(1001), start.Add(time.Minute)
		}
		if accept != nil {
			tr.Outcome, tr.Duration = client.Reset, 1
		}
		run.Truths = append(run.Truths, tr)
		run.use(tr.Client, i, tr.Start)
		run.member[i] = topology.Server2
	}
	run.use(netip.MustParseAddrPort("198.18.60.247:2001"), 1, start)
	c := &observe.Captures{}
	for _, p := range []analyzer.Point{
		{Hop: "client", Face: "eth0", Side: analyzer.Clientside}, {Hop: "f5", Face: "0.0", Side: analyzer.Both},
		{Hop: "firewall", Face: "feth11", Side: analyzer.Serverside}, {Hop: "firewall", Face: "feth10", Side: analyzer.Serverside},
		{Hop: "server1", Face: "eth0", Side: analyzer.Serverside}, {Hop: "server2", Face: "eth0", Side: analyzer.Serverside}} {
		p.Name = p.Hop + "/" + p.Face
		c.Points = append(c.Points, observe.Capture{Point: p})
	}
	return run, c
}

func port(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr("198.18.50.88"), uint16(n))
}

func TestAVerdictIsJudgedByWhatTheCapturesCanTell(t *testing.T) {
	const feth10, server2, client = "firewall/feth10", "server2/eth0", "client/eth0"
	for _, row := range []struct {
		says    string
		request int
		hop     string
		cause   analyzer.Cause
		without []string
		want    Grade
		why     string
	}{
		{"hop and cause are the truth's", 1, "firewall", analyzer.SYNDropped, nil, Right, ""},
		{"so are a link's", 2, "link:firewall-server2", analyzer.SYNDropped, nil, Right, ""},
		{"and a server's", 3, "server2", analyzer.NoAnswer, nil, Right, ""},
		{"the cause is another", 1, "firewall", analyzer.SYNAckDropped, nil, Wrong, "the cause is another"},
		{"the place is another", 1, "link:f5-firewall", analyzer.SYNDropped, nil, Wrong, "the place is another"},
		{"the firewall is no part of the link behind it", 1, "link:firewall-server2", analyzer.SYNDropped, nil, Wrong, "the place is another"},
		{"the other server is not on the way", 2, "link:firewall-server1", analyzer.SYNDropped, nil, Wrong, "names no place"},
		{"there is no such place", 1, "router", analyzer.SYNDropped, nil, Wrong, "names no place"},
		{"a link is no way back", 1, "link:server2-f5", analyzer.SYNDropped, nil, Wrong, "names no place"},
		{"a segment holds the true place and more", 1, "link:f5-server2", analyzer.SYNDropped, []string{feth11, feth10}, Wider, ""},
		{"a segment that need not be so wide is wide all the same", 2, "link:f5-server2", analyzer.SYNDropped, nil, Wider, ""},
		{"a segment with one face of the firewall in it", 1, "link:f5-server2", analyzer.SYNDropped, []string{feth10}, Wider, ""},
		{"the firewall is named with one face captured: luck", 1, "firewall", analyzer.SYNDropped, []string{feth10}, Wrong, "not to be known"},
		{"a link is named whose near face was not captured: luck", 2, "link:firewall-server2", analyzer.SYNDropped, []string{feth10}, Wrong, "not to be known"},
		{"a server is named that nobody captured", 3, "server2", analyzer.NoAnswer, []string{server2}, Wrong, "not to be known"},
		{"a server is innocent of what never reached it", 2, "server2", analyzer.NoAnswer, nil, Wrong, "the cause is another"},
		{"nothing is named", 1, "", analyzer.Inconclusive, []string{feth10}, Inconclusive, ""},
		{"a place without a cause is named", 1, "firewall", analyzer.Inconclusive, nil, Wrong, "the cause is another"},
		{"nothing is named of a request that did not fail", 0, "", analyzer.Inconclusive, nil, Doubt, ""},
		{"something is named of a request that did not fail", 0, "server2", analyzer.AppTruncated, []string{client}, FalseAlarm, ""},
	} {
		t.Run(row.says, func(t *testing.T) {
			run, before := inhabited(t)
			after := before.Clone()
			observe.RemovePoints{Points: row.without}.Apply(after)
			v := analyzer.Verdict{Hop: row.hop, Cause: row.cause}
			v.Request.ID = run.Truths[row.request].ID
			got := Judge(run, before, after, &analyzer.Report{Verdicts: []analyzer.Verdict{v}})[0]
			if got.Grade != row.want || !strings.Contains(got.Why, row.why) {
				t.Errorf("got %s", &got)
			}
		})
	}
}

func TestPointsOfUnlabelledCapturesAreKnownByTheirFiles(t *testing.T) {
	for _, row := range []struct {
		says    string
		request int
		hop     string
		cause   analyzer.Cause
		without []string
		want    Grade
	}{
		{"two faces of one hop are the hop", 1, "link:p3-p4", analyzer.SYNDropped, nil, Right},
		{"faces of two hops are the link between them", 2, "link:p4-p6", analyzer.SYNDropped, nil, Right},
		{"faces further apart are wider", 2, "link:p3-p6", analyzer.SYNDropped, nil, Wider},
		{"a face beyond the loss is wrong", 1, "link:p4-p6", analyzer.SYNDropped, nil, Wrong},
		{"a point at a host is the host", 3, "p6", analyzer.NoAnswer, nil, Right},
		{"a point at another host is wrong", 3, "p5", analyzer.NoAnswer, nil, Wrong},
		{"one face of the firewall is not the firewall", 1, "p3", analyzer.SYNDropped, []string{"firewall/feth10"}, Wrong},
	} {
		t.Run(row.says, func(t *testing.T) {
			run, before := inhabited(t)
			after := before.Clone()
			observe.RemovePoints{Points: row.without}.Apply(after)
			report := &analyzer.Report{}
			for i, p := range after.Points {
				report.Points = append(report.Points, analyzer.PointReport{Name: "p" + string(rune('1'+i)), File: p.Point.Hop + p.Point.Face})
				after.Files = append(after.Files, p.Point.Hop+p.Point.Face)
			}
			v := analyzer.Verdict{Hop: row.hop, Cause: row.cause}
			v.Request.ID = run.Truths[row.request].ID
			report.Verdicts = []analyzer.Verdict{v}
			if got := Judge(run, before, after, report)[0]; got.Grade != row.want {
				t.Errorf("got %s, want %s", &got, row.want)
			}
		})
	}
}

func TestAVerdictFindsItsRequest(t *testing.T) {
	at := func(seconds int) time.Time { return time.Unix(1_800_000_000+int64(seconds), 0) }
	for _, row := range []struct {
		says   string
		client string
		start  time.Time
		alter  observe.Fault
		want   int // -1: none
	}{
		{"by address", "198.18.50.88:1002", at(0), nil, 2},
		{"by address and time", "198.18.50.88:1001", at(59), nil, 4},
		{"by the proxy's address, where the client was not captured", "198.18.60.247:2001", at(0), nil, 1},
		{"by a clock that is wrong", "198.18.50.88:1001", at(60), observe.Shift{Point: "client/eth0", By: time.Minute}, 1},
		{"by the first that fails in a row on a connection", "198.18.50.88:1009", at(0), nil, 6},
		{"not by one on a later connection from there", "198.18.50.88:1010", at(0), nil, 7},
		{"by an address that nobody used", "198.18.50.88:77", at(0), nil, -1},
		{"by what is no address", "the client", at(0), nil, -1},
	} {
		t.Run(row.says, func(t *testing.T) {
			run, before := inhabited(t)
			for i, tr := range []scenarios.Truth{{Client: port(1009), Start: at(0), Outcome: client.OK}, {Client: port(1009), Start: at(1), Outcome: client.Reset},
				{Client: port(1010), Start: at(0), Outcome: client.OK}, {Client: port(1010), Start: at(3), Outcome: client.Reset}} {
				tr.Ordinal, tr.Duration = 5+i, 1
				run.Truths = append(run.Truths, tr)
				run.use(tr.Client, tr.Ordinal, tr.Start)
			}
			after := before.Clone()
			if row.alter != nil {
				row.alter.Apply(after)
			}
			v := analyzer.Verdict{Hop: "firewall", Cause: analyzer.SYNDropped}
			v.Request.Client, v.Request.Start, v.Request.StartPoint = row.client, row.start, "client/eth0"
			got := Judge(run, before, after, &analyzer.Report{Verdicts: []analyzer.Verdict{v}})[0]
			if got.Truth == nil != (row.want < 0) || got.Truth != nil && got.Truth.Ordinal != row.want {
				t.Errorf("got %s, want request %d", &got, row.want)
			}
			if row.want < 0 && got.Grade != FalseAlarm {
				t.Errorf("a verdict of no request is %s", got.Grade)
			}
		})
	}
	t.Run("by an address that was renumbered", func(t *testing.T) {
		run, before := inhabited(t)
		after := before.Clone()
		after.Addresses = map[netip.Addr]netip.Addr{port(1).Addr(): netip.MustParseAddr("198.19.7.7")}
		v := analyzer.Verdict{Hop: "firewall", Cause: analyzer.SYNDropped}
		v.Request.Client = "198.19.7.7:1001"
		if got := Judge(run, before, after, &analyzer.Report{Verdicts: []analyzer.Verdict{v}})[0]; got.Grade != Right {
			t.Errorf("got %s", &got)
		}
	})
}

func TestASecondVerdictOnARequestIsAFalseAlarm(t *testing.T) {
	run, before := inhabited(t)
	v := analyzer.Verdict{Hop: "firewall", Cause: analyzer.SYNDropped}
	v.Request.ID = "1"
	got := Judge(run, before, before, &analyzer.Report{Verdicts: []analyzer.Verdict{v, v}})
	if got[0].Grade != Right || got[1].Grade != FalseAlarm {
		t.Errorf("got %s and %s", &got[0], &got[1])
	}
}

func TestAMissingVerdictIsMissedOnlyIfTheRequestIsToBeSeen(t *testing.T) {
	before := sample(t)
	run, _ := inhabited(t)
	// The failed requests of the sample are those whose client got a RST.
	run.Truths, run.ends = nil, map[netip.AddrPort][]to{}
	for _, f := range before.Point("client/eth0").Frames {
		if s, ok := observe.TCP(f.Data); ok && s.Flags&observe.RST != 0 && s.Src.Port() == 8165 {
			n := len(run.Truths)
			run.Truths = append(run.Truths, scenarios.Truth{Ordinal: n, Client: s.Dst, Start: time.Unix(0, f.Time).Add(-time.Second), Duration: 1, Outcome: client.Reset})
			run.use(s.Dst, n, run.Truths[n].Start)
		}
	}
	if len(run.Truths) == 0 {
		t.Fatal("no request of the sample failed")
	}
	for _, row := range []struct {
		says string
		a    []observe.Fault
		want Grade
	}{
		{"nothing was taken away", nil, Missed},
		{"the client's clock is wrong", []observe.Fault{observe.Step{Point: "client/eth0", At: 0.2, By: -30 * time.Second}}, Missed},
		{"addresses are others", []observe.Fault{observe.Renumber{Seed: 1}}, Missed},
		{"the proxy has it still", []observe.Fault{observe.RemovePoints{Points: []string{"client/eth0"}}}, Missed},
		{"nobody on the client's side captured", []observe.Fault{observe.RemovePoints{Points: []string{"client/eth0", "f5/0.0"}}}, Unseen},
		{"the end of both captures is missing", []observe.Fault{observe.CutEnd{Point: "client/eth0", Share: 0.99}, observe.CutEnd{Point: "f5/0.0", Share: 0.99}}, Unseen},
	} {
		t.Run(row.says, func(t *testing.T) {
			after := before.Clone()
			for _, a := range row.a {
				a.Apply(after)
			}
			got := Judge(run, before, after, &analyzer.Report{})
			if len(got) != len(run.Truths) || slices.ContainsFunc(got, func(j Judgement) bool { return j.Grade != row.want }) {
				t.Errorf("got %s, want %s", &got[0], row.want)
			}
		})
	}
}

func TestTheTableTellsWhatAnAnalyzerOwes(t *testing.T) {
	verdict := func(g Grade, confidence float64) Judgement {
		return Judgement{Grade: g, Verdict: &analyzer.Verdict{Confidence: confidence}}
	}
	many := func(n int, j Judgement) []Judgement { return slices.Repeat([]Judgement{j}, n) }
	for _, row := range []struct {
		says   string
		skewed bool
		judged []Judgement
		want   []string
	}{
		{"all right", false, many(9, verdict(Right, 0.99)), nil},
		{"wider and inconclusive is no fault", false, append(many(9, verdict(Wider, 0.99)), many(9, verdict(Inconclusive, 0))...), nil},
		{"one wrong, however unsure", false, append(many(500, verdict(Right, 0.99)), verdict(Wrong, 0.2)), []string{"1 wrong"}},
		{"one false alarm in two hundred", false, append(many(200, verdict(Right, 0.99)), verdict(FalseAlarm, 0.99)), []string{"1 false alarms"}},
		{"sure, and two in a hundred are not so", false, append(many(98, verdict(Right, 0.96)), many(2, verdict(Wrong, 0.96))...), []string{"2 wrong", "98.00 % are true"}},
		{"sure of knowing nothing", false, append(many(9, verdict(Right, 0.96)), verdict(Inconclusive, 0.96)), []string{"90.00 % are true"}},
		{"too timid where it must not be", true, append(many(9, verdict(Right, 0.96)), verdict(Inconclusive, 0)), []string{"90.0 % right, want 95 %"}},
		{"timid enough", true, append(many(19, verdict(Right, 0.96)), verdict(Inconclusive, 0)), nil},
	} {
		t.Run(row.says, func(t *testing.T) {
			table := newTable()
			c := &Case{ID: "7", Run: "r", Judged: row.judged}
			if row.skewed {
				c.ID = "skewed/r/0"
			}
			table.add(c)
			table.sort()
			got := table.Check()
			if len(got) != len(row.want) {
				t.Errorf("got %q, want %q\n%s", got, row.want, table)
			}
			for i := range row.want {
				if i < len(got) && !strings.Contains(strings.Join(got, "\n"), row.want[i]) {
					t.Errorf("got %q, want %q", got, row.want)
				}
			}
		})
	}
}
