package serve

import (
	"strings"
	"testing"

	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/sim"
)

func TestEveryStepIsListedFromTheStart(t *testing.T) {
	s := idle(t, pretend)
	x := s.named("link-drops-syn-before-firewall").With(scenarios.Options{Requests: 200})
	j := s.newJob(aRun, x, 7)
	shape := func() string {
		marks := ""
		for _, step := range s.view(j).Steps {
			marks += step.Mark
		}
		return marks
	}
	tell := func(state state, do func()) string {
		j.state = state
		if do != nil {
			do()
		}
		return shape()
	}
	report := func(p scenarios.Progress) func() { return func() { j.watch.report(p) } }
	for _, row := range []struct {
		name  string
		state state
		do    func()
		want  string
	}{
		{"it waits", waiting, nil, "▶○○○○"},
		{"its lab is built", running, func() { j.watch.begin(); report(scenarios.Progress{Phase: "build", Total: 200})() }, "✓▶○○○"},
		{"requests are sent", running, report(scenarios.Progress{Phase: "traffic", Done: 70, Total: 200, Failed: 3}), "✓✓▶○○"},
		{"a report comes late", running, report(scenarios.Progress{Phase: "traffic", Done: 60, Total: 200}), "✓✓▶○○"},
		{"the lab comes to rest", running, report(scenarios.Progress{Phase: "teardown", Done: 200, Total: 200}), "✓✓✓▶○"},
		{"one comes very late", running, report(scenarios.Progress{Phase: "traffic", Done: 200, Total: 200}), "✓✓✓▶○"},
		{"the captures are read", running, report(scenarios.Progress{Phase: "analyze", Bytes: 1 << 20, TotalBytes: 4 << 20}), "✓✓✓✓▶"},
		{"further", running, report(scenarios.Progress{Phase: "analyze", Bytes: 2 << 20, TotalBytes: 4 << 20}), "✓✓✓✓▶"},
		{"it broke there", failed, func() { j.watch.end(false) }, "✓✓✓✓✗"},
		{"all is done", done, func() { j.watch.end(true) }, "✓✓✓✓✓"},
	} {
		if got := tell(row.state, row.do); got != row.want {
			t.Errorf("%s: got %s, want %s", row.name, got, row.want)
		}
		if row.name == "a report comes late" {
			if got := s.view(j).Steps[2].Detail; got != "70 of 200 requests, 3 failed" {
				t.Errorf("got %q", got)
			}
		}
	}
	if got := s.view(j); !strings.HasPrefix(got.Steps[2].Detail, "200 of 200 requests, 3 failed, ") || got.Steps[2].Share != 100 {
		t.Errorf("got %+v", got)
	}
}

func TestThePictureShowsWhatWasCounted(t *testing.T) {
	s := idle(t, pretend)
	x := s.named("link-drops-syn-before-firewall")
	c := sim.Counts{Points: []sim.PointCount{{Point: "firewall/feth11", Packets: 12345}, {Point: "server2/eth0", Packets: 7}}}
	none := string(s.draw(x, &c))
	for _, f := range x.Faults {
		c.Faults = append(c.Faults, sim.FaultCount{Fault: f, Hits: 496})
	}
	onLink := string(s.draw(x, &c))
	y := s.named("firewall-drops-syn")
	c.Faults[0].Fault = y.Faults[0]
	inHop := string(s.draw(y, &c))
	for _, row := range []struct {
		name, svg string
		has, not  []string
	}{
		{"nothing was hit", none, []string{"feth11  12,345", "eth0  7", ">switch<", ">server2<"}, []string{"✗", "guilty", "cross"}},
		{"a fault on a cable", onLink, []string{"✗ 496<", "class=cross"}, []string{"guilty"}},
		{"a fault in a hop", inHop, []string{"✗ 496 dropped<", "guilty"}, []string{"cross"}},
	} {
		for _, want := range row.has {
			if !strings.Contains(row.svg, want) {
				t.Errorf("%s: no %q in\n%s", row.name, want, row.svg)
			}
		}
		for _, bad := range row.not {
			if strings.Contains(row.svg, bad) {
				t.Errorf("%s: %q in\n%s", row.name, bad, row.svg)
			}
		}
	}
}

func TestAnExerciseIsNotCountedHopByHopAndHasNoName(t *testing.T) {
	s := idle(t, pretend)
	at := submit(t, s, "/exercises", map[string][]string{"name": {"f5-no-pool"}})
	j := s.jobs[0]
	j.state = running
	j.watch.begin()
	j.watch.count(sim.Counts{Points: []sim.PointCount{{Point: "f5/0.0", Packets: 4711}}})
	for _, path := range []string{at, at + "/live", "/"} {
		_, body := get(t, s, path)
		for _, secret := range []string{"4711", "4,711", j.scenario.Title, j.scenario.Name} {
			if path == "/" && secret != "4711" && secret != "4,711" { // where all scenarios are listed
				continue
			}
			if strings.Contains(body, secret) {
				t.Errorf("%s tells %q", path, secret)
			}
		}
		if path == "/" && strings.Contains(body, "Run 1") {
			t.Error("an exercise is listed as a run")
		}
	}
}
