package pcapfilter

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// TestWhatAFilterTakes names frames of the lab by what they are; see frames_test.go.
func TestWhatAFilterTakes(t *testing.T) {
	for _, row := range []struct {
		name, filter string
		want         []string
	}{
		{"no filter takes everything", "", namesOf(lab)},
		{"spaces are none", " \t\n", namesOf(lab)},
		{"a host, wherever it stands", "host 198.18.50.88", []string{"client SYN", "SYN-ACK to client", "POST", "RST to client", "ARP for client"}},
		{"a host as source", "src host 198.18.50.88", []string{"client SYN", "POST", "ARP for client"}},
		{"host may be left out behind a direction", "src 198.18.50.88", []string{"client SYN", "POST", "ARP for client"}},
		{"IP leaves ARP out", "ip host 198.18.50.88", []string{"client SYN", "SYN-ACK to client", "POST", "RST to client"}},
		{"both ends at once", "src and dst net 198.18.0.0/15 and ip", []string{"client SYN", "SYN-ACK to client", "POST", "RST to client", "server SYN", "ping", "DNS"}},
		{"a network by its first bytes", "net 198.18.50 and tcp", []string{"client SYN", "SYN-ACK to client", "POST", "RST to client"}},
		{"either of two words", "src host 198.18.60.247 or dst port 8165", []string{"client SYN", "POST", "server SYN", "ping", "DNS", "POST in IPv6"}},
		{"the listener but not a member", "tcp port 8165 and not host 198.18.50.88", []string{"POST in IPv6"}},
		{"a second port borrows the first one's words", "tcp dst port 8165 or 8000", []string{"client SYN", "POST", "server SYN", "POST in IPv6"}},
		{"a list in parentheses", "tcp dst port (8165 or 8000)", []string{"client SYN", "POST", "server SYN", "POST in IPv6"}},
		{"a range", "portrange 8000-8100", []string{"server SYN"}},
		{"and and or bind equally, from the left", "udp or tcp and host 198.18.60.247", []string{"server SYN", "DNS"}},
		{"parentheses bind first", "arp or (tcp and host 198.18.60.247)", []string{"server SYN", "ARP for client"}},
		{"SYN or RST, in IPv4", "tcp[tcpflags] & (tcp-syn|tcp-rst) != 0", []string{"client SYN", "SYN-ACK to client", "RST to client", "server SYN"}},
		{"a lone SYN, by number", "tcp[13] = 2", []string{"client SYN", "server SYN"}},
		{"segments with data", "tcp and ip[2:2] - ((ip[0]&0xf)<<2) - ((tcp[12]&0xf0)>>2) != 0", []string{"POST"}},
		{"the data itself", "tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x504f5354", []string{"POST"}},
		{"an echo request", "icmp[icmptype] == icmp-echo", []string{"ping"}},
		{"IPv6", "ip6", []string{"POST in IPv6", "neighbour solicitation"}},
		{"a host in IPv6", "dst host 2001:db8:60::67", []string{"POST in IPv6"}},
		{"a network in IPv6", "net 2001:db8::/32 and not icmp6", []string{"POST in IPv6"}},
		{"symbols for words", "!(arp||ip6)&&!udp&&port 8000", []string{"server SYN"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			f, err := Parse(row.filter)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, x := range lab {
				if f.Match(x.data) {
					got = append(got, x.name)
				}
			}
			if !slices.Equal(got, row.want) {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}

func TestWhatIsNoFilterIsRefusedAndSaysWhere(t *testing.T) {
	for _, row := range []struct{ name, filter, want string }{
		{"a word there is not", "hots 198.18.50.88", `at character 1: "hots" is unknown; there are host, net,`},
		{"nothing behind a word", "tcp port", `at character 9: the filter ends, want a port`},
		{"nothing behind and", "tcp and", `at character 8: the filter ends, want a condition`},
		{"and at the beginning", "and tcp", `at character 1: got "and", want a condition before it`},
		{"two conditions and nothing between", "tcp udp", `at character 5: got "udp", want and or or`},
		{"an address alone", "198.18.50.88", `at character 1: 198.18.50.88 stands alone; say host, net or port before it`},
		{"a number that borrows from nobody", "tcp or 80", `at character 8: 80 stands alone`},
		{"nothing is borrowed from parentheses", "(port 80) or 81", `at character 14: 81 stands alone`},
		{"a name for a host", "host server1", `at character 6: got "server1", want a host's address; no names are looked up`},
		{"a name for a port", "port http", `at character 6: got "http", want a port's number, 0 to 65535`},
		{"a port too large", "port 70000", `at character 6: got "70000", want a port's number`},
		{"a range that ends before it begins", "portrange 9-1", `at character 11: the range 9-1 ends before it begins`},
		{"a network that is a host in one", "net 198.18.0.1/15", `at character 5: 198.18.0.1/15 has bits beyond its /15; the network is 198.18.0.0/15`},
		{"a network too long", "net 198.18.0.0/33", `at character 5: got "198.18.0.0/33", want a network`},
		{"a protocol that has no address", "tcp src 198.18.50.88", `at character 9: tcp goes with no address; write tcp and host 198.18.50.88`},
		{"a protocol that has no ports", "ip port 80", `at character 9: ip has no ports`},
		{"an address of the other family", "ip6 host 198.18.50.88", `at character 10: ip6 has no such address`},
		{"a parenthesis too few", "(tcp or udp", `at character 1: the parenthesis is not closed`},
		{"a parenthesis too many", "tcp)", `at character 4: closes no parenthesis`},
		{"an empty parenthesis", "tcp and ()", `at character 10: got ")", want a condition`},
		{"bytes and no comparison", "tcp[13]", `at character 8: the filter ends, want a comparison`},
		{"flags and no comparison", "tcp[tcpflags] & tcp-syn", `at character 24: the filter ends, want a comparison`},
		{"a bracket too few", "tcp[13 = 2", `at character 8: got "=", want ]`},
		{"three bytes", "tcp[0:3] = 1", `at character 7: got "3", want a size of 1, 2 or 4 bytes`},
		{"a division by zero", "tcp[0] / 0 = 1", `at character 8: divides by zero`},
		{"a number too large", "tcp[4294967296] = 1", `at character 5: got "4294967296", want a number`},
		{"a tag", "vlan 4094 and tcp", `at character 1: vlan is not needed: a filter sees what is behind the tag`},
		{"what no filter has", "tcp; rm", `at character 4: ';' means nothing in a filter`},
		{"a letter of another alphabet", "tcp ü", `at character 5: 'ü' means nothing in a filter`},
		{"more words than a list may have", "port 80 or (81 or host 1.2.3.4)", `at character 19: got "host", want a port's number`},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := Parse(row.filter)
			var where *SyntaxError
			if !errors.As(err, &where) || !strings.HasPrefix(err.Error(), row.want) || where.Offset > len(row.filter) {
				t.Errorf("got %v, want %s", err, row.want)
			}
		})
	}
}

func TestAFrameThatEndsBeforeWhatIsAskedForIsNotTaken(t *testing.T) {
	syn := lab[0].data
	for _, filter := range []string{"tcp[200] = 1", "not tcp[200] = 1", "tcp[200] = 1 or tcp", "tcp[0] / tcp[7] = 1 or tcp"} {
		f, err := Parse(filter)
		if err != nil {
			t.Fatal(err)
		}
		if f.Match(syn) {
			t.Errorf("%s takes a frame of %d bytes", filter, len(syn))
		}
	}
	if f, _ := Parse("tcp or tcp[200] = 1"); !f.Match(syn) {
		t.Error("what is decided before is not asked for")
	}
}

func FuzzFilter(f *testing.F) {
	for _, x := range expressions {
		f.Add(x, lab[0].data)
	}
	f.Add("port 80 or (not 81) and tcp[-1:4] / ip[0] <= 0x10", lab[9].data)
	f.Add("net 1/8", []byte{})
	f.Fuzz(func(t *testing.T, expression string, frame []byte) {
		filter, err := Parse(expression)
		var where *SyntaxError
		if err != nil {
			if !errors.As(err, &where) || where.Offset < 0 || where.Offset > len(expression) {
				t.Fatalf("%q: %v", expression, err)
			}
			return
		}
		taken := filter.Match(frame)
		if strings.TrimSpace(expression) == "" {
			return
		}
		// Of a frame and its negation one is taken at most, and one at least where
		// nothing was missing.
		negated, err := Parse("not (" + expression + ")")
		if err != nil {
			return // arithmetic has no negation by not (
		}
		if negated.Match(frame) && taken {
			t.Fatalf("%q and its contrary both take the frame", expression)
		}
	})
}
