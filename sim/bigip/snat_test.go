package bigip

import (
	"net/netip"
	"testing"

	"github.com/hopblame/hopblame/sim/ports"
)

func addresses(list ...string) (all []netip.Addr) {
	for _, s := range list {
		all = append(all, netip.MustParseAddr(s))
	}
	return all
}

// client returns where the batch's nth client comes from.
func clientAt(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr("198.18.50.88"), ports.At(n))
}

func translationOf(t *testing.T, snat SNAT, source SourcePort) translation {
	t.Helper()
	c := validConfig()
	snat.SelfIP = c.SNAT.SelfIP
	c.SNAT, c.VirtualServer.SourcePort = snat, source
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	return newTranslation(&c)
}

func TestTheSourceIsThatOfTheTranslation(t *testing.T) {
	client, member := mustAddrPort("198.18.50.88:54373"), mustAddrPort("198.18.160.81:8000")
	for _, row := range []struct {
		name    string
		snat    SNAT
		port    SourcePort
		want    string
		because Event
	}{
		{"automap: the self IP, and another port", SNAT{}, "", "198.18.60.247:43166", 0},
		{"source-port preserve: the client's port", SNAT{}, Preserve, "198.18.60.247:54373", 0},
		{"a snatpool: its address", SNAT{Type: SNATPool, Pool: addresses("198.18.60.5")}, "", "198.18.60.5:43166", 0},
		{"of a snatpool only an address that can talk to the member", SNAT{Type: SNATPool, Pool: addresses("2001:db8:60::5", "198.18.60.6")}, "", "198.18.60.6:43166", 0},
		{"a snatpool without such an address", SNAT{Type: SNATPool, Pool: addresses("2001:db8:60::5")}, "", "", NoTranslation},
		{"none: the client itself", SNAT{Type: NoSNAT}, "", "198.18.50.88:54373", 0},
		{"none, whatever source-port says", SNAT{Type: NoSNAT}, Preserve, "198.18.50.88:54373", 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			tr := translationOf(t, row.snat, row.port)
			got, because := tr.choose(client, member)
			if want := (netip.AddrPort{}); row.want == "" && (got != want || because != row.because) {
				t.Errorf("got %v, %v", got, because)
			} else if row.want != "" && got != mustAddrPort(row.want) {
				t.Errorf("got %v, want %s", got, row.want)
			}
			c := validConfig()
			c.SNAT = tr.SNAT
			c.VirtualServer.SourcePort = row.port
			if foreseen, known := c.Source(client); known && foreseen != got {
				t.Errorf("foreseen was %v, chosen is %v", foreseen, got)
			}
		})
	}
}

func TestTheAddressWithTheFewestConnectionsIsUsed(t *testing.T) {
	tr := translationOf(t, SNAT{Type: SNATPool, Pool: addresses("198.18.60.5", "198.18.60.6", "198.18.60.7")}, "")
	member := mustAddrPort("198.18.160.81:8000")
	var open []netip.AddrPort
	for n, want := range []string{"198.18.60.5", "198.18.60.6", "198.18.60.7", "198.18.60.5"} {
		s, _ := tr.choose(clientAt(n), member)
		if s.Addr().String() != want {
			t.Errorf("connection %d comes from %v, want %s", n, s, want)
		}
		open = append(open, s)
	}
	tr.release(open[2], member)
	tr.release(open[1], member)
	tr.release(open[0], member)
	tr.release(open[3], member)
	if _, again := tr.choose(clientAt(9), member); again != 0 || tr.count[0] != 1 {
		t.Errorf("after all have gone the counts are %v", tr.count)
	}
}

func TestPortsAreUsedUpTowardsAMember(t *testing.T) {
	one, other := mustAddrPort("198.18.160.81:8000"), mustAddrPort("198.18.160.82:8000")
	for _, row := range []struct {
		name string
		snat SNAT
		room int // connections to one member
	}{
		{"of one address", SNAT{Ports: 5}, 5},
		{"of each address of a snatpool", SNAT{Type: SNATPool, Pool: addresses("198.18.60.5", "198.18.60.6"), Ports: 5}, 10},
		{"not of one that cannot talk to the member", SNAT{Type: SNATPool, Pool: addresses("198.18.60.5", "2001:db8:60::6"), Ports: 5}, 5},
	} {
		t.Run(row.name, func(t *testing.T) {
			tr := translationOf(t, row.snat, "")
			used := map[netip.AddrPort]bool{}
			for n := range row.room {
				s, because := tr.choose(clientAt(1000*n), one)
				if because != 0 || used[s] {
					t.Fatalf("connection %d: %v, %v", n, s, because)
				}
				used[s] = true
			}
			if s, because := tr.choose(clientAt(3), one); because != PortsExhausted {
				t.Errorf("one more comes from %v, %v", s, because)
			}
			if s, because := tr.choose(clientAt(3), other); because != 0 {
				t.Errorf("to another member, from %v: %v", s, because)
			}
			for s := range used {
				tr.release(s, one)
				if again, because := tr.choose(clientAt(3), one); because != 0 || again != s {
					t.Errorf("when %v has gone the next comes from %v, %v", s, again, because)
				}
				break
			}
		})
	}
}

// An address whose own ports towards a member are used up is no reason to give up,
// though it has the fewest connections in all.
func TestABusyMemberDoesNotHideAnotherAddresssPorts(t *testing.T) {
	tr := translationOf(t, SNAT{Type: SNATPool, Pool: addresses("198.18.60.5", "198.18.60.6"), Ports: 1}, "")
	a, b, c := mustAddrPort("198.18.160.81:8000"), mustAddrPort("198.18.160.82:8000"), mustAddrPort("198.18.160.83:8000")
	toA, _ := tr.choose(clientAt(0), a) // from .5
	tr.choose(clientAt(1), a)           // from .6
	tr.choose(clientAt(2), b)           // from .5
	tr.choose(clientAt(3), c)           // from .6
	tr.choose(clientAt(4), c)           // from .5
	tr.release(toA, a)
	if s, because := tr.choose(clientAt(5), a); because != 0 || s != toA {
		t.Errorf("the port that is free is not used: %v, %v; the counts are %v", s, because, tr.count)
	}
}

func TestAPortInUseElsewhereIsReplacedByOneThatIsCounted(t *testing.T) {
	member := mustAddrPort("198.18.160.81:8000")
	tr := translationOf(t, SNAT{Ports: 2}, "")
	first, _ := tr.choose(clientAt(0), member)
	second := tr.another(first, member)
	if !second.IsValid() || second == first || tr.count[0] != 1 || len(tr.used) != 1 {
		t.Errorf("in place of %v: %v, %d counted, %v", first, second, tr.count[0], tr.used)
	}
	tr.release(second, member)
	if tr.count[0] != 0 || len(tr.used) != 0 {
		t.Errorf("in the end %d are counted, %v", tr.count[0], tr.used)
	}
	none := translationOf(t, SNAT{Type: NoSNAT}, "")
	if s := none.another(clientAt(0), member); s.IsValid() {
		t.Errorf("in place of the client's own address: %v", s)
	}
}
