package scenarios

import (
	"fmt"
	"maps"
	"time"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/sim"
	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/sim/client"
)

// SchemaVersion is the version of the files in a run directory.
const SchemaVersion = 1

// Result is a run and its score: result.json, and the output of run --json.
type Result struct {
	SchemaVersion  int             `json:"schema_version"`
	Scenario       string          `json:"scenario"`
	Seed           uint64          `json:"seed"`
	Valid          bool            `json:"valid"`
	InvalidBecause []string        `json:"invalid_because"`
	Requests       RequestCounts   `json:"requests"`
	Score          Score           `json:"score"`
	Captures       []CaptureResult `json:"captures"`
	// Observers are the faults of the observer, by point. What the run's own check rests
	// on they do not touch.
	Observers []ObserverResult `json:"observers,omitempty"`
	Ledger    LedgerResult     `json:"ledger"`
	Balances  []BalanceResult  `json:"balances"`
	RSTCauses bigip.Counts     `json:"rst_causes"` // RSTs the f5 sent, as "tmsh show net rst-cause" counts them
	Timing    Timing           `json:"timing_s"`
	Settings  Settings         `json:"settings"`

	// Scenario and verdicts, for who wants to print them.
	Played *Scenario        `json:"-"`
	Report *analyzer.Report `json:"-"`
	Truths []Truth          `json:"-"`
	Hits   []Hit            `json:"-"` // in order, each once
}

// RequestCounts are the client's own counts.
type RequestCounts struct {
	Sent   int `json:"sent"`
	OK     int `json:"ok"`
	Failed int `json:"failed"`
}

// CaptureResult is what was captured at a point: all that was on the wire. Where an
// observer's fault took something away, File is the whole one, and lies with the truth.
type CaptureResult struct {
	Point   string `json:"point"`
	File    string `json:"file"`
	Packets uint64 `json:"packets"`
	Dropped uint64 `json:"dropped"`
}

// LedgerResult sums up what the faults did.
type LedgerResult struct {
	Packets     int    `json:"packets"`         // in the ledger
	Counter     uint64 `json:"counter"`         // by the kernel's count
	Deeds       int    `json:"deeds,omitempty"` // of actors, in the ledger
	Connections int    `json:"connections"`     // hit, by either
	Planned     *int   `json:"planned"`         // to be hit; null where it cannot be known
	// Digest sums up which attempts of which requests were hit by what: SHA-256 over the
	// lines "ORDINAL ATTEMPT FAULT\n", sorted by number, each once. Where Planned is known
	// it is the same in every run of the scenario with this seed and as many requests.
	Digest string `json:"digest"`
}

// BalanceResult is what the captures say went in and came out of a stretch.
type BalanceResult struct {
	Where     string `json:"where"`
	Direction string `json:"direction"`
	Of        string `json:"of,omitempty"` // "ICMP errors"; left out, TCP segments
	In        uint64 `json:"in"`
	Out       uint64 `json:"out"`
	Ledger    uint64 `json:"ledger"`
	Made      uint64 `json:"made,omitempty"` // what faults added there: RSTs, copies
}

// Taken is what is missing from what came out.
func (b *BalanceResult) Taken() uint64 { return b.In + b.Made - b.Out }

// Holds says whether faults account for what is missing.
func (b *BalanceResult) Holds() bool { return b.Taken() == b.Ledger }

// Timing is how long the parts took, in seconds.
type Timing struct {
	Build    float64 `json:"build"`
	Traffic  float64 `json:"traffic"`
	Analyze  float64 `json:"analyze"`
	Teardown float64 `json:"teardown"`
}

// Settings are what shaped the run.
type Settings struct {
	Kernel        string  `json:"kernel"`
	Family        string  `json:"family"`
	Concurrency   int     `json:"concurrency"`
	SYNMaxRetrans int     `json:"syn_max_retrans"`
	SYNRTOBase    float64 `json:"syn_rto_base_s"`
	SYNBackoff    string  `json:"syn_backoff"`
	// Captures and SnapLen are what of the captures was kept, and analyzed; left out, all.
	Captures Kept                         `json:"captures,omitempty"`
	SnapLen  int                          `json:"snaplen,omitempty"`
	Sysctls  map[string]map[string]string `json:"sysctls"` // by node
}

// newResult sums up a run; score and verdicts come later.
func newResult(s *Scenario, facts *sim.Facts, files map[string]string) *Result {
	profile := facts.Config.F5.Serverside.WithDefaults()
	r := &Result{SchemaVersion: SchemaVersion, Scenario: s.Name, Seed: facts.Config.Seed, Played: s,
		InvalidBecause: facts.Check(),
		Settings: Settings{Kernel: facts.Kernel, Family: string(facts.Config.Family), Concurrency: facts.Config.Concurrency,
			SYNMaxRetrans: *profile.SYNMaxRetrans, SYNRTOBase: profile.SYNRTOBase.Seconds(), SYNBackoff: string(profile.SYNBackoff),
			Sysctls: maps.Clone(facts.Settings)},
		RSTCauses: bigip.Count(facts.Resets),
		Timing:    Timing{Build: seconds(facts.Timing.Build), Traffic: seconds(facts.Timing.Traffic), Teardown: seconds(facts.Timing.Teardown)},
	}
	if r.Settings.Family == "" {
		r.Settings.Family = "ipv4"
	}
	if r.InvalidBecause == nil {
		r.InvalidBecause = []string{}
	}
	r.Valid = len(r.InvalidBecause) == 0
	for _, c := range facts.Captures {
		r.Captures = append(r.Captures, CaptureResult{c.Point.Name(), files[c.Point.Name()], c.Packets, c.Dropped})
	}
	for _, b := range facts.Balances {
		r.Balances = append(r.Balances, BalanceResult{b.Where, string(b.Direction), b.Of, b.In, b.Out, b.Ledger, b.Made})
	}
	r.Hits = hitsOf(facts.Ledger)
	connections := map[[2]int]bool{}
	for _, h := range facts.Ledger {
		connections[[2]int{h.Ordinal, h.Attempt}] = true
	}
	r.Ledger = LedgerResult{Connections: len(connections), Digest: digestOf(r.Hits)}
	for _, rep := range facts.Reports {
		if rep.Fault.Acts() {
			r.Ledger.Deeds += len(rep.Entries)
			continue
		}
		r.Ledger.Packets += len(rep.Entries)
		r.Ledger.Counter += rep.Counter
	}
	if facts.Predictable {
		planned := map[[2]int]bool{}
		for _, p := range facts.Planned {
			planned[[2]int{p.Ordinal, p.Attempt}] = true
		}
		n := len(planned)
		r.Ledger.Planned = &n
	}
	for _, q := range facts.Requests {
		switch {
		case q.Outcome == client.NotSent:
			continue
		case q.Outcome.Failed():
			r.Requests.Failed++
		default:
			r.Requests.OK++
		}
		r.Requests.Sent++
	}
	return r
}

// Repeat is the command that plays the run again; called is what the scenario is called
// there, its name or its file's.
func (r *Result) Repeat(called string) string {
	// Of those that the scenario has, not all may have been sent.
	command := fmt.Sprintf("hopblame run %s --seed %d --requests %d --concurrency %d", called, r.Seed, max(r.Requests.Sent, len(r.Truths)), r.Settings.Concurrency)
	if what := r.Settings.Captures; what != "" {
		command += " --captures " + string(what)
	}
	if n := r.Settings.SnapLen; n != 0 {
		command += fmt.Sprintf(" --snaplen %d", n)
	}
	return command
}

func seconds(d time.Duration) float64 {
	return float64(d.Round(time.Millisecond)) / float64(time.Second)
}
