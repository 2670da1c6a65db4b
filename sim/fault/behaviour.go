package fault

import (
	"maps"
	"slices"
	"time"

	"github.com/hopblame/hopblame/topology"
)

// What a server can do instead of its part. Each but the last has read the whole request
// before.
const (
	Reset        Do = "reset"         // RST, without a word
	Die          Do = "die"           // half of the response, then RST: as a process that is killed
	CutResponse  Do = "cut-response"  // half of the response, then FIN
	StaySilent   Do = "stay-silent"   // no response; the connection stays open until the other side ends it
	AnswerSlowly Do = "answer-slowly" // the whole response, but late: see [Fault.After]
	AnswerError  Do = "answer-error"  // 503
	NeverRead    Do = "never-read"    // not a byte of a request too large for its receive window, which shuts
)

// behaviour says who can do something and how it shows.
type behaviour struct {
	actors []string  // the nodes whose actors can do it
	way    Direction // of what it does
	ends   bool      // nothing of a later stage comes from the actor any more
	breaks bool      // the request cannot succeed
	resets bool      // it shows as one RST with ACK at the actor's own face
	slow   bool      // it is done after a time, or takes one
	port   bool      // it is done to a port
}

// behaviours is the table of what actors do.
var behaviours = map[Do]behaviour{
	Reset:        {actors: servers, way: ToClient, ends: true, breaks: true, resets: true},
	Die:          {actors: servers, way: ToClient, breaks: true, resets: true},
	CutResponse:  {actors: servers, way: ToClient, breaks: true},
	StaySilent:   {actors: servers, way: ToClient, ends: true, breaks: true},
	AnswerSlowly: {actors: servers, way: ToClient, slow: true},
	AnswerError:  {actors: servers, way: ToClient, breaks: true},
	NeverRead:    {actors: servers, way: ToClient, ends: true, breaks: true},

	SendMalformedRequest: {actors: clients, way: ToServer, ends: true, breaks: true},
	SendLargeHeader:      {actors: clients, way: ToServer, ends: true, breaks: true},
	SendManyHeaders:      {actors: clients, way: ToServer, ends: true, breaks: true},
	Abort:                {actors: clients, way: ToServer, breaks: true, resets: true},
	StopReading:          {actors: clients, way: ToServer, breaks: true},
	Pause:                {actors: clients, way: ToServer, slow: true},
	GiveUp:               {actors: clients, way: ToServer, breaks: true, slow: true},
	SpeakPlain:           {actors: clients, way: ToServer, ends: true, breaks: true},
	OfferOldCiphers:      {actors: clients, way: ToServer, ends: true, breaks: true},
	OfferTLS11:           {actors: clients, way: ToServer, ends: true, breaks: true},
	DistrustCertificate:  {actors: clients, way: ToServer, ends: true, breaks: true},
	Dawdle:               {actors: clients, way: ToServer, ends: true, breaks: true},
	ConnectElsewhere:     {actors: clients, way: ToServer, ends: true, breaks: true, port: true},
}

var (
	clients = []string{topology.Client}
	servers = []string{topology.Server1, topology.Server2}
)

// Behaviours lists what a node's actor can do, by name; nothing for one that has none.
func Behaviours(node string) (all []Do) {
	for _, do := range slices.Sorted(maps.Keys(behaviours)) {
		if slices.Contains(behaviours[do].actors, node) {
			all = append(all, do)
		}
	}
	return all
}

// maxAfter keeps a run finite.
const maxAfter = time.Minute

func (f *Fault) validateActor(bad complaint) {
	b := behaviours[f.Do]
	if f.Match != "" {
		bad("match %q: an actor's %s has no match; leave it out", f.Match, f.Do)
	}
	if f.Direction != "" {
		bad("direction %q: an actor's %s has no direction; leave it out", f.Direction, f.Do)
	}
	switch {
	case b.slow && (f.After <= 0 || f.After > maxAfter):
		bad("after %v: %s needs a time of up to %v, such as 3s", f.After, f.Do, maxAfter)
	case !b.slow && f.After != 0:
		bad("after %v: only %s, %s and %s have it", f.After, AnswerSlowly, Pause, GiveUp)
	}
	if f.Jitter != 0 {
		bad("jitter %v: only %s has it", f.Jitter, Delay)
	}
	switch {
	case b.port && f.Port == 0:
		bad("port %d: %s needs one, such as 8166", f.Port, f.Do)
	case !b.port && f.Port != 0:
		bad("port %d: only %s has it", f.Port, ConnectElsewhere)
	}
	f.validateAnswer(bad)
	f.validateRate(bad)
	f.validateTime(bad)
	if f.LargerThan != 0 {
		bad("larger-than %d: only %s has it", f.LargerThan, LargeData)
	}
	f.validateRewrite(bad)
	f.validateForgery(bad)
	if f.Per != PerConnection {
		bad("per %q: an actor's %s is per connection", f.Per, f.Do)
	}
	if !slices.Contains(b.actors, f.At) {
		bad("at %q: %s is what %s can do", f.At, f.Do, words(b.actors))
	}
}
