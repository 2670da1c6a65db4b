package fault

import (
	"maps"
	"slices"
	"time"

	"github.com/hopblame/hopblame/topology"
)

// What an actor can do instead of its part. Each has read the whole request before.
const (
	Reset        Do = "reset"         // RST, without a word
	Die          Do = "die"           // half of the response, then RST: as a process that is killed
	CutResponse  Do = "cut-response"  // half of the response, then FIN
	StaySilent   Do = "stay-silent"   // no response; the connection stays open until the other side ends it
	AnswerSlowly Do = "answer-slowly" // the whole response, but late: see [Fault.After]
	AnswerError  Do = "answer-error"  // 503
)

// behaviour says who can do something and how it shows.
type behaviour struct {
	actors []string  // the nodes whose actors can do it
	way    Direction // of what it does
	ends   bool      // nothing of a later stage comes from the actor any more
	breaks bool      // the request cannot succeed
	resets bool      // it shows as one RST with ACK at the actor's own face
	slow   bool      // it is done after a time
}

// behaviours is the table of what actors do.
var behaviours = map[Do]behaviour{
	Reset:        {actors: servers, way: ToClient, ends: true, breaks: true, resets: true},
	Die:          {actors: servers, way: ToClient, breaks: true, resets: true},
	CutResponse:  {actors: servers, way: ToClient, breaks: true},
	StaySilent:   {actors: servers, way: ToClient, ends: true, breaks: true},
	AnswerSlowly: {actors: servers, way: ToClient, slow: true},
	AnswerError:  {actors: servers, way: ToClient, breaks: true},
}

var servers = []string{topology.Server1, topology.Server2}

// Behaviours lists what actors can do, by name.
func Behaviours() []Do { return slices.Sorted(maps.Keys(behaviours)) }

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
		bad("after %v: only %s has it", f.After, AnswerSlowly)
	}
	if f.Per != PerConnection {
		bad("per %q: an actor's %s is per connection", f.Per, f.Do)
	}
	if !slices.Contains(b.actors, f.At) {
		bad("at %q: %s is what %s can do", f.At, f.Do, words(b.actors))
	}
}
