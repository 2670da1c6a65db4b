package train

import (
	"fmt"
	"strings"
	"time"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/topology"
)

// mostComplaints is how many failed requests a customer lists.
const mostComplaints = 3

// complaint is a failed request, as the client's own log has it.
type complaint struct {
	Start   string // UTC, to the millisecond
	Client  string
	Request string
	Outcome string
	Status  int    // of HTTP; 0: there was none
	After   string // how long it took
}

// captureNote says where a capture was taken.
type captureNote struct{ File, Hop, Face string }

// writeTicket says what a customer says: nothing of it comes from any place but the client.
func writeTicket(r *scenarios.Result, points []analyzer.Point, hops []string, o Options, keys bool) (string, error) {
	played, _ := r.Played.In(o.Language) // or in English
	data := struct {
		Symptom, Dir   string
		Day            string
		Sent, Failed   int
		Addresses      topology.Addresses
		Complaints     []complaint
		Captures       []captureNote
		Keys, Log      bool
		Full, Hint     int
		Miss           int
		CapturesFolder string
		Hops           []string
		Bare           bool
	}{Hops: hops, Symptom: played.Symptom, Dir: o.Dir, Bare: o.Bare, Sent: r.Requests.Sent, Failed: r.Requests.Failed,
		Addresses: topology.StandardAddresses(r.Played.Lab.Family), Full: full, Hint: hintCosts, Miss: missCosts, CapturesFolder: capturesDir,
		Keys: keys, Log: r.Played.F5.RSTCause.Log}
	for i := range r.Truths {
		t := &r.Truths[i]
		if !t.Failed() || len(data.Complaints) == mostComplaints {
			continue
		}
		c := complaint{Start: t.Start.UTC().Format("15:04:05.000"), Client: t.Client.String(), Outcome: string(t.Outcome), Status: t.Status,
			After: fmt.Sprint(time.Duration(t.Duration * float64(time.Second)).Round(time.Millisecond))}
		data.Day = t.Start.UTC().Format(time.DateOnly)
		data.Complaints = append(data.Complaints, c)
	}
	for _, p := range points {
		data.Captures = append(data.Captures, captureNote{strings.TrimPrefix(p.File, capturesDir+"/"), p.Hop, p.Face})
	}
	return say(o.Language, "ticket", data)
}
