package bigip

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"
)

// client is an HTTP client in the client's namespace that trusts any certificate.
func (b *bench) client(h2 bool) *http.Client {
	t := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: h2, DialContext: b.Host(topology.Client).Dial}
	b.t.Cleanup(t.CloseIdleConnections)
	return &http.Client{Transport: t}
}

func TestHTTPSAndHTTP2ReachAPlainMember(t *testing.T) {
	for _, row := range []struct {
		name     string
		profiles []Profile
		h2       bool
		proto    string
	}{
		{"https", []Profile{ProfileTCP, ProfileHTTP, ProfileClientSSL}, false, "HTTP/1.1"},
		{"h2", []Profile{ProfileTCP, ProfileHTTP, ProfileClientSSL, ProfileHTTP2}, true, "HTTP/2.0"},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := build(t, topology.IPv4)
			b.member(func(c *net.TCPConn) {
				r, err := http.ReadRequest(bufio.NewReader(c))
				if err != nil {
					t.Error(err)
					return
				}
				n, _ := io.Copy(io.Discard, r.Body)
				body := fmt.Sprintf("%s %s %d", r.Proto, r.Header.Get("X-Request-ID"), n)
				fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
			})
			b.startWith(Config{Serverside: Fast, VirtualServer: VirtualServer{Profiles: row.profiles}})
			c := b.client(row.h2)
			for i := range 3 {
				r, _ := http.NewRequestWithContext(t.Context(), "POST", "https://"+b.a.VIP.String()+"/batch", bytes.NewReader(megabytes(1, byte(i))))
				r.Header.Set("X-Request-ID", "17")
				answer, err := c.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(answer.Body)
				if err != nil || string(body) != "HTTP/1.1 17 1048576" || answer.Proto != row.proto {
					t.Errorf("got %q by %s, %v", body, answer.Proto, err)
				}
				answer.Body.Close()
			}
			for _, f := range b.close() {
				if f.Ordinal != 17 || f.Reset != "" || f.Connected.IsZero() {
					t.Errorf("the flow is %+v", f)
				}
			}
		})
	}
}

func TestTheTrailersTellTheTLSSecretsWhereTheCaptureAsksForThem(t *testing.T) {
	for _, row := range []struct {
		name    string
		tcpdump Tcpdump
		version TLSVersion
		label   string // of the key log's line
		want    bool
	}{
		{"TLS 1.3", "0.0:nnn --f5 ssl", TLS13, "CLIENT_TRAFFIC_SECRET_0 ", true},
		{"TLS 1.2", "0.0:nnn --f5 ssl", TLS12, "CLIENT_RANDOM ", true},
		{"not asked for", "0.0:nnn", TLS13, "", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := build(t, topology.IPv4)
			b.member(func(c *net.TCPConn) { take(c); respond(c, 2) })
			var keys bytes.Buffer // written to by the one connection's goroutine only
			b.startWith(Config{KeyLog: &keys, Tcpdump: row.tcpdump, ClientSSL: ClientSSL{MaxVersion: row.version},
				VirtualServer: VirtualServer{Profiles: []Profile{ProfileTCP, ProfileHTTP, ProfileClientSSL}}})
			stop := b.capture()
			r, _ := http.NewRequestWithContext(t.Context(), "GET", "https://"+b.a.VIP.String()+"/", nil)
			answer, err := b.client(false).Do(r)
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			b.close()
			told := 0
			for _, f := range stop() {
				for _, record := range f.trailer.TLS {
					s, ok := record.TLSSecrets()
					if !ok || f.vlan != ClientsideVLAN {
						t.Fatalf("the record on VLAN %d is not understood", f.vlan)
					}
					told++
					secret := s.ClientTraffic
					if row.version == TLS12 {
						secret = s.MasterSecret[:]
					}
					if line := fmt.Sprintf("%s%x %x", row.label, s.ClientRandom, secret); !strings.Contains(keys.String(), line) {
						t.Errorf("the key log has no line %q:\n%s", line, keys.String())
					}
				}
			}
			if told != 1 && row.want || told != 0 && !row.want {
				t.Errorf("%d frames tell the secrets", told)
			}
		})
	}
}

// echo is a member that answers every request on a connection with what format makes of it.
func (b *bench) echo(format func(r *http.Request) string) {
	b.member(func(c *net.TCPConn) {
		in := bufio.NewReader(c)
		for {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, r.Body)
			body := format(r)
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		}
	})
}

// get asks for a path and returns status and body.
func (b *bench) get(c *http.Client, url, id string) (int, string, error) {
	r, _ := http.NewRequestWithContext(b.t.Context(), "GET", url, nil)
	r.Header.Set("X-Request-ID", id)
	answer, err := c.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(body), err
}

func TestTheMemberIsToldTheClientsAddressWhereTheProfileSaysSo(t *testing.T) {
	for _, inserted := range []bool{true, false} {
		b := build(t, topology.IPv4)
		b.echo(func(r *http.Request) string { return strings.Join(r.Header["X-Forwarded-For"], " ") })
		b.startWith(Config{HTTP: HTTPProfile{InsertXForwardedFor: inserted}})
		want := ""
		if inserted {
			want = b.a.Client.String()
		}
		if status, got, err := b.get(b.client(false), "http://"+b.a.VIP.String()+"/", "1"); status != 200 || got != want || err != nil {
			t.Errorf("the member is told %q, want %q; %d, %v", got, want, status, err)
		}
		b.close()
	}
}

func TestWithOneConnectClientsShareAMembersConnection(t *testing.T) {
	for _, row := range []struct {
		profiles []Profile
		flows    int
	}{
		{[]Profile{ProfileTCP, ProfileHTTP, ProfileOneConnect}, 1},
		{[]Profile{ProfileTCP, ProfileHTTP}, 3},
	} {
		b := build(t, topology.IPv4)
		b.echo(func(r *http.Request) string { return r.Header.Get("X-Request-ID") })
		b.startWith(Config{VirtualServer: VirtualServer{Profiles: row.profiles}})
		for i := range 3 {
			id := fmt.Sprint(i)
			if _, got, err := b.get(b.client(false), "http://"+b.a.VIP.String()+"/", id); got != id || err != nil {
				t.Errorf("got %q, %v", got, err)
			}
		}
		if flows := b.close(); len(flows) != row.flows {
			t.Errorf("with %v there are %d flows, want %d", row.profiles, len(flows), row.flows)
		}
	}
}

func TestAStreamThatNoMemberAnswersFailsAloneAsConfigured(t *testing.T) {
	for _, row := range []struct {
		name   string
		failed LBFailed
		status int // 0: the stream is reset
	}{
		{"reset by default", "", 0},
		{"503", LBFailed503, http.StatusServiceUnavailable},
		{"502", LBFailed502, http.StatusBadGateway},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := build(t, topology.IPv4)
			b.echo(func(r *http.Request) string { return "well" })
			b.startWith(Config{Serverside: Fast, HTTP: HTTPProfile{LBFailed: row.failed},
				VirtualServer: VirtualServer{Profiles: []Profile{ProfileTCP, ProfileHTTP, ProfileClientSSL, ProfileHTTP2}}})
			i := b.inject(fault.PerConnection)
			b.hooks.Dialing = func(d Dial) {
				switch d.Ordinal {
				case 1:
					i.Arm(d.Ordinal, d.Attempt, d.SNAT, d.Member)
				case 2: // which has the same source port again
					i.Arm(-1, d.Attempt, d.SNAT, d.Member)
				}
			}
			stop := b.capture()
			c := b.client(true)
			for id, want := range []int{200, row.status, 200} {
				status, _, err := b.get(c, "https://"+b.a.VIP.String()+"/", fmt.Sprint(id))
				if status != want || want == 0 && (err == nil || !strings.Contains(err.Error(), "INTERNAL_ERROR")) {
					t.Errorf("request %d: got %d, %v; want %d", id, status, err, want)
				}
			}
			c.CloseIdleConnections()
			b.awaitNobody()
			flows := b.close()
			if len(flows) != 3 || flows[1].Reset != RetransmitTimeout.Text || !flows[1].Peer || flows[1].Tries != Fast.Tries() {
				t.Errorf("the flows are %+v", flows)
			}
			connections := map[uint16]bool{}
			for _, f := range stop() {
				if f.vlan == ClientsideVLAN && f.trailer.Low.Ingress {
					connections[f.src.Port()] = true
				}
				if f.has(flagRST) && !f.trailer.Low.Ingress {
					t.Errorf("the f5 sent a RST on VLAN %d", f.vlan)
				}
			}
			if len(connections) != 1 {
				t.Errorf("the client needed %d connections, want 1", len(connections))
			}
		})
	}
}
