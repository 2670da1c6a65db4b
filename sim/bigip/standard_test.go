package bigip

import (
	"io"
	"net"
	"slices"
	"testing"

	"github.com/hopblame/hopblame/topology"
)

// Without an http profile the serverside is opened after the client's handshake, and
// without waiting for data (K8082): the member may speak first.
func TestWithoutAnHTTPProfileTheMemberIsCalledOnceTheClientsHandshakeIsOver(t *testing.T) {
	for _, family := range []topology.Family{topology.IPv4, topology.IPv6} {
		t.Run(string(family), func(t *testing.T) {
			b := build(t, family)
			b.member(func(c *net.TCPConn) {
				_, _ = io.WriteString(c, "220 ready\r\n")
				echo(c)
			})
			b.startWith(Config{VirtualServer: VirtualServer{Profiles: []Profile{ProfileTCP}}, Serverside: Fast})
			stop := b.witnesses()
			c := b.dial()
			greeting := make([]byte, 11)
			if _, err := io.ReadFull(c, greeting); string(greeting) != "220 ready\r\n" || err != nil {
				t.Fatalf("got %q, %v", greeting, err)
			}
			b.write(c, "hello")
			_ = c.CloseWrite()
			if got, err := io.ReadAll(c); string(got) != "hello" || err != nil {
				t.Errorf("got %q, %v", got, err)
			}
			w := stop()
			f := b.flow()
			if f.Ordinal != -1 || f.Tries != 1 || f.Reset != "" || f.Connected.Before(f.Opened) {
				t.Errorf("the flow is %+v", f)
			}
			over := slices.IndexFunc(w.f5, func(h heard) bool { return !h.serverside && !h.outgoing && h.flags&(flagSYN|flagACK) == flagACK })
			opened := slices.IndexFunc(w.f5, func(h heard) bool { return h.serverside })
			if over < 0 || opened < over || !w.f5[opened].opens() {
				t.Errorf("the client's ACK is frame %d of its connection, %v the first of the member's, frame %d", over, w.f5[opened], opened)
			}
			if near, far := with(w.client, flagSYN)[0], with(w.server, flagSYN)[0]; near.seq == far.seq {
				t.Errorf("%v and %v are one connection", near, far)
			}
		})
	}
}
