package analyzer

import (
	"github.com/hopblame/hopblame/analyzer/f5trailer"
	"github.com/hopblame/hopblame/internal/tlstap"
)

// trailerNote is what this package wants of an F5 Ethernet trailer. All uses
// of package f5trailer are in this file.
type trailerNote struct {
	hasPeer, hasCause bool
	peer              tuple  // the flow on the other side, as remote → local; see peerOf
	cause             string // RST cause
	causePeer         bool   // the cause lies on the other side
	ingress           bool   // the box received this frame
}

// decodeTrailer reads a frame's trailer. A damaged one counts as none.
func decodeTrailer(frame []byte, wireLength int, n *trailerNote) bool {
	var t f5trailer.Trailer
	*n = trailerNote{}
	if _, ok, err := f5trailer.DecodeFrame(frame, wireLength, &t); !ok || err != nil {
		return false
	}
	n.ingress = t.HasLow && t.Low.Ingress
	if t.HasMedium && t.Medium.HasRSTCause {
		n.hasCause, n.cause, n.causePeer = true, t.Medium.RSTCause.Text, t.Medium.RSTCause.Peer
	}
	if t.HasHigh && t.High.Remote.IsValid() && t.High.Local.IsValid() && t.High.Remote.Port() != 0 {
		n.hasPeer, n.peer = true, tuple{t.High.Remote, t.High.Local}
	}
	return true
}

// addSecrets puts the TLS secrets of a frame's trailer into a ring; nil if there are
// none. It tells whether they are all that is needed.
func addSecrets(to *tlstap.KeyRing, frame []byte, wireLength int) (_ *tlstap.KeyRing, complete bool) {
	for _, s := range f5trailer.TLSOfFrame(frame, wireLength) {
		if to == nil {
			to = &tlstap.KeyRing{}
		}
		k := tlstap.Secrets{ClientHandshake: s.ClientHandshake, ServerHandshake: s.ServerHandshake, ClientTraffic: s.ClientTraffic, ServerTraffic: s.ServerTraffic}
		if s.MasterSecret != [48]byte{} {
			k.Master = s.MasterSecret[:]
		}
		to.Add(s.ClientRandom, k)
		complete = to.Of(s.ClientRandom).Opens()
	}
	return to, complete
}

// serverside reads the peer block of a clientside frame: remote is the pool
// member, local the address the box connects from.
func (n *trailerNote) serverside() tuple { return tuple{client: n.peer.server, server: n.peer.client} }

// fileInfo tells whether a file's first frame is F5's description of the
// capture, which is no packet.
func fileInfo(frame []byte) bool {
	_, ok := f5trailer.ParseFileInfo(frame)
	return ok
}
