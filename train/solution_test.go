package train

import (
	"errors"
	"testing"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/scenarios"
)

const (
	fromClient = "ip.src==198.18.50.88 && tcp.srcport==40000 && ip.dst==198.18.50.67 && tcp.dstport==8165"
	toClient   = "ip.src==198.18.50.67 && tcp.srcport==8165 && ip.dst==198.18.50.88 && tcp.dstport==40000"
	toServer   = "ip.src==198.18.60.247 && tcp.srcport==50000 && ip.dst==198.18.160.81 && tcp.dstport==8000"
	toF5       = "ip.src==198.18.160.81 && tcp.srcport==8000 && ip.dst==198.18.60.247 && tcp.dstport==50000"
	isRST      = " && tcp.flags.reset==1"
)

func frame(point, file string, number uint64, what, filter string) analyzer.Evidence {
	return analyzer.Evidence{Kind: analyzer.KindFrame, Point: point, File: "captures/" + file, Frame: number, What: what, Filter: filter}
}

// verdict is one of a firewall that has swallowed a SYN.
func verdict() analyzer.Verdict {
	return analyzer.Verdict{
		Request: analyzer.RequestRef{Client: "198.18.50.88:40000", Server: "198.18.50.67:8165", ID: "7"}, Outcome: analyzer.Reset,
		RST: &analyzer.RST{By: "f5", Cause: "TCP retransmit timeout", Peer: true},
		Hop: "firewall", Between: []string{"firewall/feth11", "firewall/feth10"}, Cause: analyzer.SYNDropped,
		Evidence: []analyzer.Evidence{
			frame("client/eth0", "client-eth0.pcapng", 3, "the client's SYN", fromClient),
			frame("f5/0.0", "f5-0.0.pcapng", 30, "RST to the client", toClient+isRST),
			frame("firewall/feth11", "firewall-feth11.pcapng", 5, "SYN, try 1 of 2", toServer),
			frame("firewall/feth11", "firewall-feth11.pcapng", 9, "SYN, try 2 of 2", toServer),
			{Kind: analyzer.KindAbsence, Point: "firewall/feth10", File: "captures/firewall-feth10.pcapng", FromFrame: 1, ToFrame: 20},
			frame("client/eth0", "client-eth0.pcapng", 31, "RST to the client", toClient+isRST),
		},
		Eliminated: []analyzer.Hypothesis{
			{Hypothesis: "f5 never sent the SYN", Why: "f5/0.0 saw it 2 times", Evidence: []analyzer.Evidence{
				frame("f5/0.0", "f5-0.0.pcapng", 6, "SYN, try 1 of 2", toServer), frame("f5/0.0", "f5-0.0.pcapng", 10, "SYN, try 2 of 2", toServer)}},
			{Hypothesis: "f5 sent the SYN, firewall never received it", Why: "the SYN was seen beyond it, at firewall/feth11", Evidence: []analyzer.Evidence{
				frame("firewall/feth11", "firewall-feth11.pcapng", 5, "SYN", toServer)}},
			{Hypothesis: "server1 received the SYN and did not answer", Why: "server1/eth0 saw no packet of this connection", Evidence: []analyzer.Evidence{
				{Kind: analyzer.KindAbsence, Point: "server1/eth0", File: "captures/server1-eth0.pcapng", FromFrame: 1, ToFrame: 10}}},
		},
	}
}

// result is a run in which one request of 200 met such a firewall.
func result() *scenarios.Result {
	r := &scenarios.Result{Scenario: "firewall-drops-syn", Seed: 4, Valid: true,
		Requests: scenarios.RequestCounts{Sent: 200, OK: 199, Failed: 1}, Score: scenarios.Score{Failures: 1, Correct: 1},
		Settings: scenarios.Settings{Concurrency: 64},
		Played: &scenarios.Scenario{Name: "firewall-drops-syn", Title: "The firewall swallows one connection in 150", Symptom: "Some POSTs hang.",
			Lesson: scenarios.Lesson{Questions: []string{"Who sends the RST?"}, Hints: []string{"Follow the SYN."},
				Answer: "The firewall. Who sends the RST is not who is at fault.", OnDevice: []string{"tcpdump -nni 0.0:nnnp"}}},
		Report: &analyzer.Report{Verdicts: []analyzer.Verdict{verdict()}},
	}
	for _, p := range [][2]string{{"client/eth0", "client-eth0"}, {"f5/0.0", "f5-0.0"}, {"firewall/feth11", "firewall-feth11"},
		{"firewall/feth10", "firewall-feth10"}, {"server1/eth0", "server1-eth0"}} {
		r.Report.Points = append(r.Report.Points, analyzer.PointReport{Name: p[0], File: "captures/" + p[1] + ".pcapng"})
	}
	return r
}

// sample is the solution of that run.
func sample() *solution {
	s, err := solve(result())
	if err != nil {
		panic(err)
	}
	s.Ladder = "(the ladder)\n"
	// The other frames: some of a request that succeeded, some of the one that failed, and ARP.
	all := make([]role, 20312)
	all[6], all[7] = healthy, idle
	s.Background = map[string][]role{"firewall-feth11.pcapng": all}
	return s
}

func TestALessonIsInTheLanguageOfTheExercise(t *testing.T) {
	r := result()
	if s := sample().in("zh-Hans"); s.Title != r.Played.Title || s.Lesson.Answer != r.Played.Lesson.Answer {
		t.Errorf("a lesson that nobody has translated is not as it was: %+v", s.Lesson)
	}
	r.Played = find(t, "firewall-drops-syn")
	s, err := solve(r)
	if err != nil {
		t.Fatal(err)
	}
	english, chinese := s.hints("en"), s.hints("zh-Hans")
	if len(chinese) != len(english) {
		t.Fatalf("%d hints, in English %d", len(chinese), len(english))
	}
	for i, h := range chinese {
		if same := h.Texts == nil || h.Texts[0] == english[i].Texts[0]; same != (h.Kind == "half" || h.Kind == "packet") {
			t.Errorf("hint %d: %q", i+1, h.Texts)
		}
	}
	if got := s.in("zh-Hans"); got.Title != "防火墙每 150 条连接吞掉一条" || s.Title != r.Played.Title {
		t.Errorf("the title is %s, and was %s", got.Title, s.Title)
	}
}

func TestWhatFramesAreToAFailure(t *testing.T) {
	s := sample()
	for _, row := range []struct {
		name, file string
		frame      uint64
		want       role
	}{
		{"the SYN where it was seen last", "firewall-feth11.pcapng", 5, proof},
		{"its retransmission there", "firewall-feth11.pcapng", 9, proof},
		{"the f5's RST to the client", "f5-0.0.pcapng", 30, symptom},
		{"the same at the client", "client-eth0.pcapng", 31, symptom},
		{"the client's own SYN", "client-eth0.pcapng", 3, bystander},
		{"the SYN at the f5, which clears the f5", "f5-0.0.pcapng", 6, bystander},
		{"a frame of a request that succeeded", "firewall-feth11.pcapng", 7, healthy},
		{"one of this request that decides nothing", "firewall-feth11.pcapng", 8, idle},
		{"a frame of no request", "firewall-feth11.pcapng", 6, unrelated},
		{"a frame that is not there", "server1-eth0.pcapng", 1 << 40, unrelated},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := s.roleOf(row.file, row.frame); got != row.want {
				t.Errorf("got %d, want %d", got, row.want)
			}
		})
	}
	if s.Proof.Frame != 5 {
		t.Errorf("the last hint is frame %d, want 5", s.Proof.Frame)
	}
}

func TestARSTProvesTheFaultOfWhoMadeIt(t *testing.T) {
	for _, row := range []struct {
		name    string
		hop, by string
		between []string
		e       analyzer.Evidence
		want    role
	}{
		{"the f5 is at fault and says so", "f5", "f5", nil, frame("f5/0.0", "f5-0.0.pcapng", 1, "", toClient+isRST), proof},
		{"the same RST at the client", "f5", "f5", nil, frame("client/eth0", "client-eth0.pcapng", 1, "", toClient+isRST), symptom},
		{"the server resets", "server1", "f5", []string{"server1/eth0"}, frame("server1/eth0", "server1-eth0.pcapng", 1, "", toF5+isRST), proof},
		{"what it sent, at the f5", "server1", "f5", []string{"server1/eth0"}, frame("f5/0.0", "f5-0.0.pcapng", 1, "", toF5+isRST), bystander},
		{"a box before the firewall makes it", "link:f5-firewall", "f5", []string{"f5/0.0", "firewall/feth11"}, frame("f5/0.0", "f5-0.0.pcapng", 1, "", toF5+isRST), proof},
		{"the f5 passes it on", "link:f5-firewall", "f5", []string{"f5/0.0", "firewall/feth11"}, frame("f5/0.0", "f5-0.0.pcapng", 1, "", toClient+isRST), symptom},
		{"a box before the client makes it", "link:client-f5", "", []string{"client/eth0", "f5/0.0"}, frame("client/eth0", "client-eth0.pcapng", 1, "", toClient+isRST), proof},
	} {
		t.Run(row.name, func(t *testing.T) {
			v := verdict()
			v.Hop, v.RST.By, v.Between = row.hop, row.by, row.between
			if got := roleIn(&v, &row.e); got != row.want {
				t.Errorf("got %d, want %d", got, row.want)
			}
		})
	}
}

func TestARunThatProvesNothingIsNoExercise(t *testing.T) {
	for _, row := range []struct {
		name  string
		spoil func(*scenarios.Result)
		want  error
	}{
		{"invalid", func(r *scenarios.Result) { r.Valid = false }, errInvalid},
		{"nothing failed", func(r *scenarios.Result) { r.Score = scenarios.Score{}; r.Report.Verdicts = nil }, errNoFailure},
		{"a wrong verdict", func(r *scenarios.Result) { r.Score = scenarios.Score{Failures: 2, Correct: 1, Wrong: 1} }, errUncertain},
		{"one that is merely accepted", func(r *scenarios.Result) { r.Score = scenarios.Score{Failures: 1, Acceptable: 1} }, errUncertain},
		{"a false alarm", func(r *scenarios.Result) { r.Score.FalseAlarms = 1 }, errUncertain},
		{"no frame that proves it", func(r *scenarios.Result) { r.Report.Verdicts[0].Between = []string{"firewall/feth10"} }, errUncertain},
		{"two causes", func(r *scenarios.Result) {
			v := verdict()
			v.Cause = analyzer.SYNAckDropped
			r.Report.Verdicts = append(r.Report.Verdicts, v)
		}, errUncertain},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := result()
			row.spoil(r)
			if _, err := solve(r); !errors.Is(err, row.want) {
				t.Errorf("got %v, want %v", err, row.want)
			}
		})
	}
}

func TestWhichHalf(t *testing.T) {
	for hop, want := range map[string]string{"client": "clientside", "link:client-f5": "clientside", "f5": "f5",
		"link:f5-firewall": "serverside", "firewall": "serverside", "link:firewall-server2": "serverside", "server1": "serverside"} {
		s := solution{Answers: []scenarios.Pair{{Hop: hop}}}
		if got := s.half(); got != want {
			t.Errorf("%s: got %s, want %s", hop, got, want)
		}
	}
}
