package fault

import "github.com/hopblame/hopblame/topology"

// ClientLink is the one place clientside of the f5. The connections there are the
// client's, and it is the client's dialler that arms the faults.
const ClientLink = linkPrefix + topology.Client + "-" + topology.F5

// Clientside says whether what f hits are packets of the client's connections to the f5,
// and not of those that the f5 opens.
func (f *Fault) Clientside() bool { return f.At == ClientLink }

// A full proxy has the client's handshake and its request before it connects to a server,
// and gives the response on when it has it. So the stages of a request's life are those of
// the two halves in this order, each with the stages of its classes.
const (
	opening    = 0  // the clientside handshake
	asking     = 10 // the request on its way to the f5
	serverside = 20
	answering  = 30 // the response on its way to the client
)

// half is what the stages of a class begin with.
func (f *Fault) half() int {
	switch {
	case !f.Clientside():
		return serverside
	case f.Match == Response:
		return answering
	case f.Match == Data, f.Match == LargeData:
		return asking
	}
	return opening
}

// acceptors are the nodes that the connections at a fault's place are opened to.
func (f *Fault) acceptors() []string {
	if f.Clientside() {
		return []string{topology.F5}
	}
	return servers
}
