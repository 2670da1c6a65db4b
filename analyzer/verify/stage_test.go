package verify

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/analyzer/f5trailer"
	"github.com/hopblame/hopblame/internal/pcapng"
)

// stage is a set of captures and one verdict on them, both made by hand.
type stage struct {
	t      testing.TB
	points []string
	frames map[string][]taken
	v      analyzer.Verdict
}

type taken struct {
	at   time.Time
	data []byte
}

const (
	theClient = "198.18.50.88:54373"
	theVIP    = "198.18.50.67:8165"
	theSNAT   = "198.18.60.247:43166"
	theServer = "198.18.160.81:8000"
)

var up, down = [2]string{theSNAT, theServer}, [2]string{theServer, theSNAT} // serverside

// newStage begins with a client's request: SYN, SYN-ACK and a POST, which the proxy
// takes, amid the traffic of others.
func newStage(t testing.TB) *stage {
	s := &stage{t: t, points: []string{"client/eth0", "f5/0.0", "firewall/feth11", "firewall/feth10", "server1/eth0"}, frames: map[string][]taken{}}
	for i, p := range s.points {
		for k := range 3 {
			s.put(p, time.Duration(k)*100*time.Millisecond, segment{src: "198.18.1.1:1000", dst: "198.18.1.2:2000", flags: flagACK, seq: uint32(k + i)})
		}
	}
	s.v = analyzer.Verdict{Outcome: analyzer.Reset, Between: []string{}, Eliminated: []analyzer.Hypothesis{}, Confidence: 0.9999,
		Request: analyzer.RequestRef{Client: theClient, Server: theVIP, Start: storyStart.Add(time.Second), StartPoint: "client/eth0", Method: "POST", Target: "/batch", ID: "17"}}
	return s
}

// begin cites the client's SYN and request at the start point.
func (s *stage) begin() {
	s.see("client/eth0", time.Second, segment{src: theClient, dst: theVIP, flags: flagSYN, seq: 500})
	s.see("client/eth0", 1010*time.Millisecond, segment{src: theClient, dst: theVIP, flags: flagACK, seq: 501, ack: 901,
		payload: "POST /batch HTTP/1.1\r\nX-Request-ID: 17\r\nContent-Length: 0\r\n\r\n"})
}

// put puts a packet into a capture without citing it.
func (s *stage) put(point string, at time.Duration, p segment) []byte {
	data := p.frame(s.t)
	s.putFrame(point, at, data)
	return data
}

func (s *stage) putFrame(point string, at time.Duration, data []byte) {
	s.frames[point] = append(s.frames[point], taken{storyStart.Add(at), data})
}

// see puts a packet into a capture and cites it.
func (s *stage) see(point string, at time.Duration, p segment) {
	s.cite(point, at, s.put(point, at, p), filterOf(p))
}

func (s *stage) cite(point string, at time.Duration, data []byte, filter string) {
	s.v.Evidence = append(s.v.Evidence, analyzer.Evidence{Kind: analyzer.KindFrame, Point: point, File: fileOf(point), Time: storyStart.Add(at),
		What: "seen", Filter: filter, Digest: digest(data)})
}

// miss cites an absence over the whole of a capture.
func (s *stage) miss(point, filter string) {
	s.v.Evidence = append(s.v.Evidence, analyzer.Evidence{Kind: analyzer.KindAbsence, Point: point, File: fileOf(point), What: "missed", Filter: filter, FromFrame: 1})
}

func fileOf(point string) string {
	return "captures/" + strings.ReplaceAll(point, "/", "-") + ".pcapng"
}

func flowFilter(src, dst string) string {
	a, b := netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)
	return fmt.Sprintf("ip.src==%s && tcp.srcport==%d && ip.dst==%s && tcp.dstport==%d", a.Addr(), a.Port(), b.Addr(), b.Port())
}

func filterOf(p segment) string {
	out := flowFilter(p.src, p.dst)
	for name, bit := range map[string]byte{"syn": flagSYN, "ack": flagACK, "fin": flagFIN, "reset": flagRST} {
		set := 0
		if p.flags&bit != 0 {
			set = 1
		}
		out += fmt.Sprintf(" && tcp.flags.%s==%d", name, set)
	}
	return out + fmt.Sprintf(" && tcp.seq_raw==%d && tcp.ack_raw==%d && tcp.len==%d", p.seq, p.ack, len(p.payload))
}

// rst is the proxy's RST to the client; peer names the serverside connection.
func rst(text string, peer bool) segment {
	t := &f5trailer.Trailer{HasLow: true, HasMedium: true, HasHigh: true}
	t.Medium.HasRSTCause, t.Medium.RSTCause = true, f5trailer.RSTCause{Text: text, Peer: peer, Line: 1234}
	if peer {
		t.High = f5trailer.High{Protocol: 6, VLAN: 4093, Remote: netip.MustParseAddrPort(theServer), Local: netip.MustParseAddrPort(theSNAT)}
	}
	return segment{src: theVIP, dst: theClient, flags: flagRST | flagACK, seq: 901, ack: 560, trailer: t}
}

// reset ends the request as the incident does.
func (s *stage) reset(text string, peer bool) {
	p := rst(text, peer)
	s.see("f5/0.0", 5*time.Second, p)
	p.trailer = nil
	s.see("client/eth0", 5*time.Second, p)
	s.v.RST = &analyzer.RST{By: "f5", Cause: text, Peer: peer}
}

func (s *stage) verdict(hop string, cause analyzer.Cause, direction string, between ...string) {
	s.v.Hop, s.v.Cause, s.v.Direction, s.v.Between = hop, cause, direction, between
}

// write puts captures and verdicts into a folder, with the frames' numbers, which
// are known only now.
func (s *stage) write() (dir string, report *analyzer.Report) {
	dir = s.t.TempDir()
	check(s.t, os.Mkdir(filepath.Join(dir, "captures"), 0o755))
	report = &analyzer.Report{SchemaVersion: analyzer.SchemaVersion, Requests: analyzer.RequestCounts{Seen: 10, OK: 9, Failed: 1}, Warnings: []string{}, Findings: []analyzer.Finding{}}
	for i, point := range s.points {
		s.put(point, 9*time.Second, segment{src: "198.18.1.1:1000", dst: "198.18.1.2:2000", flags: flagACK, seq: uint32(77 + i)})
		fs := s.frames[point]
		slices.SortStableFunc(fs, func(a, b taken) int { return a.at.Compare(b.at) })
		var out bytes.Buffer
		w, err := pcapng.NewWriter(&out, pcapng.Section{})
		check(s.t, err)
		id, err := w.AddInterface(pcapng.Interface{Name: "eth0"})
		check(s.t, err)
		for n, f := range fs {
			check(s.t, w.WritePacket(id, f.at.UnixNano(), 0, f.data))
			for e := range s.v.Evidence {
				if x := &s.v.Evidence[e]; x.Kind == analyzer.KindFrame && x.Point == point && x.Time.Equal(f.at) && x.Digest == digest(f.data) {
					x.Frame = uint64(n + 1)
				}
			}
		}
		check(s.t, w.Flush())
		for e := range s.v.Evidence {
			if x := &s.v.Evidence[e]; x.Kind == analyzer.KindAbsence && x.Point == point {
				x.ToFrame = uint64(len(fs))
			}
		}
		check(s.t, os.WriteFile(filepath.Join(dir, fileOf(point)), out.Bytes(), 0o600))
		report.Points = append(report.Points, analyzer.PointReport{Name: point, File: fileOf(point), Packets: uint64(len(fs)),
			First: fs[0].at, Last: fs[len(fs)-1].at, ClockOffset: &[2]int64{0, 0}})
	}
	report.Verdicts = []analyzer.Verdict{s.v}
	return dir, report
}

var synFilter = flowFilter(up[0], up[1]) + " && tcp.flags.syn==1 && tcp.flags.ack==0 && tcp.seq_raw==100"

// stages has a verdict for each cause, with the least that proves it.
var stages = map[analyzer.Cause]func(*stage){
	analyzer.SYNDropped: func(s *stage) {
		s.begin()
		for i := range 2 {
			s.see("firewall/feth11", time.Duration(2+i)*time.Second, segment{src: up[0], dst: up[1], flags: flagSYN, seq: 100})
		}
		s.miss("firewall/feth10", synFilter)
		s.reset("TCP retransmit timeout", true)
		s.verdict("firewall", analyzer.SYNDropped, analyzer.ToServer, "firewall/feth11", "firewall/feth10")
	},
	analyzer.SYNAckDropped: func(s *stage) {
		s.begin()
		s.see("server1/eth0", 2*time.Second, segment{src: down[0], dst: down[1], flags: flagSYN | flagACK, seq: 700, ack: 101})
		s.miss("firewall/feth10", flowFilter(down[0], down[1])+" && tcp.flags.syn==1 && tcp.flags.ack==1 && tcp.ack_raw==101")
		s.reset("TCP retransmit timeout", true)
		s.verdict("link:firewall-server1", analyzer.SYNAckDropped, analyzer.ToClient, "server1/eth0", "firewall/feth10")
	},
	analyzer.AsymmetricPath: func(s *stage) {
		s.begin()
		syn := segment{src: up[0], dst: up[1], flags: flagSYN, seq: 100}
		s.see("f5/0.0", 2*time.Second, syn)
		s.see("server1/eth0", 2001*time.Millisecond, syn)
		s.miss("firewall/feth11", synFilter)
		s.miss("firewall/feth10", synFilter)
		s.see("firewall/feth10", 2100*time.Millisecond, segment{src: down[0], dst: down[1], flags: flagSYN | flagACK, seq: 700, ack: 101})
		s.miss("firewall/feth11", flowFilter(down[0], down[1])+" && tcp.flags.syn==1 && tcp.flags.ack==1 && tcp.ack_raw==101")
		s.reset("TCP retransmit timeout", true)
		s.verdict("firewall", analyzer.AsymmetricPath, analyzer.ToClient, "firewall/feth10", "firewall/feth11")
	},
	analyzer.AckDropped: func(s *stage) {
		s.begin()
		s.see("firewall/feth11", 2*time.Second, segment{src: up[0], dst: up[1], flags: flagACK, seq: 101, ack: 701})
		s.miss("firewall/feth10", flowFilter(up[0], up[1])+" && tcp.flags.syn==0 && tcp.ack_raw==701")
		s.reset("TCP retransmit timeout", true)
		s.verdict("firewall", analyzer.AckDropped, analyzer.ToServer, "firewall/feth11", "firewall/feth10")
	},
	analyzer.DataDropped: func(s *stage) {
		s.begin()
		for i := range 2 {
			s.see("firewall/feth11", time.Duration(2+i)*time.Second, segment{src: up[0], dst: up[1], flags: flagACK, seq: 101, ack: 701, payload: "POST"})
		}
		s.miss("firewall/feth10", flowFilter(up[0], up[1])+" && tcp.seq_raw==101 && tcp.len>0")
		s.reset("TCP retransmit timeout", true)
		s.verdict("firewall", analyzer.DataDropped, analyzer.ToServer, "firewall/feth11", "firewall/feth10")
	},
	analyzer.ResponseDropped: func(s *stage) {
		s.begin()
		s.see("firewall/feth10", 2*time.Second, segment{src: down[0], dst: down[1], flags: flagACK, seq: 701, ack: 105, payload: "HTTP/1.1 200 OK\r\n\r\n"})
		s.miss("firewall/feth11", flowFilter(down[0], down[1])+" && tcp.seq_raw==701 && tcp.len>0")
		s.reset("TCP RST from remote system", true)
		s.verdict("firewall", analyzer.ResponseDropped, analyzer.ToClient, "firewall/feth10", "firewall/feth11")
	},
	analyzer.MTUBlackhole: func(s *stage) {
		s.begin()
		s.see("firewall/feth11", 2*time.Second, segment{src: up[0], dst: up[1], flags: flagACK, seq: 101, ack: 701, payload: strings.Repeat("x", 1400)})
		s.miss("firewall/feth10", flowFilter(up[0], up[1])+" && tcp.seq_raw==101 && tcp.len>0")
		s.reset("TCP retransmit timeout", true)
		s.verdict("firewall", analyzer.MTUBlackhole, analyzer.ToServer, "firewall/feth11", "firewall/feth10")
	},
	analyzer.SessionExpired: func(s *stage) {
		s.begin()
		s.see("firewall/feth10", 1500*time.Millisecond, segment{src: up[0], dst: up[1], flags: flagACK, seq: 101, ack: 701})
		s.see("firewall/feth11", 3*time.Second, segment{src: up[0], dst: up[1], flags: flagACK, seq: 101, ack: 701, payload: "POST"})
		s.miss("firewall/feth10", flowFilter(up[0], up[1])+" && tcp.seq_raw==101 && tcp.len>0")
		s.reset("TCP retransmit timeout", true)
		s.verdict("firewall", analyzer.SessionExpired, analyzer.ToServer, "firewall/feth11", "firewall/feth10")
	},
	analyzer.Corrupted: func(s *stage) {
		s.begin()
		syn := segment{src: up[0], dst: up[1], flags: flagSYN, seq: 100}
		s.see("firewall/feth11", 2*time.Second, syn)
		spoilt := syn.frame(s.t)
		spoilt[14+20+15] ^= 1 // of the window
		s.putFrame("firewall/feth10", 2001*time.Millisecond, spoilt)
		s.cite("firewall/feth10", 2001*time.Millisecond, spoilt, filterOf(syn))
		s.reset("TCP retransmit timeout", true)
		s.verdict("firewall", analyzer.Corrupted, analyzer.ToServer, "firewall/feth11", "firewall/feth10")
	},
	analyzer.Rewritten: func(s *stage) {
		s.begin()
		syn := segment{src: up[0], dst: up[1], flags: flagSYN, seq: 100}
		s.see("firewall/feth11", 2*time.Second, syn)
		syn.seq = 1100
		s.see("firewall/feth10", 2001*time.Millisecond, syn)
		s.reset("TCP retransmit timeout", true)
		s.verdict("firewall", analyzer.Rewritten, analyzer.ToServer, "firewall/feth11", "firewall/feth10")
	},
	analyzer.Delayed: func(s *stage) {
		s.begin()
		syn := segment{src: up[0], dst: up[1], flags: flagSYN, seq: 100}
		s.see("firewall/feth11", 2*time.Second, syn)
		s.see("firewall/feth10", 8*time.Second, syn)
		s.reset("TCP retransmit timeout", true)
		s.verdict("firewall", analyzer.Delayed, analyzer.ToServer, "firewall/feth11", "firewall/feth10")
	},
	analyzer.ResetInjected: func(s *stage) {
		s.begin()
		s.see("firewall/feth11", 2*time.Second, segment{src: down[0], dst: down[1], flags: flagRST, seq: 701})
		s.miss("firewall/feth10", flowFilter(down[0], down[1])+" && tcp.flags.reset==1")
		s.reset("TCP RST from remote system", true)
		s.verdict("firewall", analyzer.ResetInjected, analyzer.ToClient, "firewall/feth11", "firewall/feth10")
	},
	analyzer.Rejected: func(s *stage) {
		s.begin()
		syn := segment{src: up[0], dst: up[1], flags: flagSYN, seq: 100}
		s.see("firewall/feth11", 2*time.Second, syn)
		icmp := syn.quoting(s.t, "198.18.60.1", 3, 13, 28)
		s.putFrame("firewall/feth11", 2100*time.Millisecond, icmp)
		s.cite("firewall/feth11", 2100*time.Millisecond, icmp, "icmp.type==3 && icmp.code==13 && "+flowFilter(up[0], up[1])+" && tcp.seq==100")
		s.miss("firewall/feth10", synFilter)
		s.reset("No route to host", true)
		s.verdict("firewall", analyzer.Rejected, analyzer.ToServer, "firewall/feth11", "firewall/feth10")
	},
	analyzer.PortClosed: func(s *stage) {
		s.begin()
		s.see("server1/eth0", 2*time.Second, segment{src: up[0], dst: up[1], flags: flagSYN, seq: 100})
		s.see("server1/eth0", 2100*time.Millisecond, segment{src: down[0], dst: down[1], flags: flagRST | flagACK, ack: 101})
		s.reset("TCP RST from remote system", true)
		s.verdict("server1", analyzer.PortClosed, analyzer.ToServer, "server1/eth0")
	},
	analyzer.ListenQueueFull: func(s *stage) {
		s.begin()
		s.see("server1/eth0", 2*time.Second, segment{src: down[0], dst: down[1], flags: flagSYN | flagACK, seq: 700, ack: 101})
		s.see("server1/eth0", 2100*time.Millisecond, segment{src: up[0], dst: up[1], flags: flagACK, seq: 101, ack: 701})
		s.see("server1/eth0", 3*time.Second, segment{src: down[0], dst: down[1], flags: flagSYN | flagACK, seq: 700, ack: 101})
		s.reset("TCP retransmit timeout", true)
		s.verdict("server1", analyzer.ListenQueueFull, analyzer.ToServer, "server1/eth0")
	},
	analyzer.NoAnswer: func(s *stage) {
		s.begin()
		s.see("server1/eth0", 2*time.Second, segment{src: up[0], dst: up[1], flags: flagSYN, seq: 100})
		s.miss("server1/eth0", flowFilter(down[0], down[1])+" && tcp.ack_raw==101")
		s.reset("TCP retransmit timeout", true)
		s.verdict("server1", analyzer.NoAnswer, analyzer.ToServer, "server1/eth0")
	},
	analyzer.NeighbourUnresolved: func(s *stage) {
		s.begin()
		s.see("firewall/feth11", 2*time.Second, segment{src: up[0], dst: up[1], flags: flagSYN, seq: 100})
		s.miss("firewall/feth10", synFilter)
		whoHas := question("198.18.160.1", "198.18.160.81")
		for i, point := range []string{"firewall/feth10", "server1/eth0"} {
			at := 2*time.Second + time.Duration(i)*time.Millisecond
			s.putFrame(point, at, whoHas)
			s.cite(point, at, whoHas, "arp.opcode==1 && arp.dst.proto_ipv4==198.18.160.81")
		}
		s.miss("server1/eth0", "arp.opcode==2 && arp.src.proto_ipv4==198.18.160.81")
		s.reset("TCP retransmit timeout", true)
		s.verdict("server1", analyzer.NeighbourUnresolved, analyzer.ToServer, "server1/eth0")
	},
	analyzer.TupleReused: func(s *stage) {
		s.begin()
		s.see("server1/eth0", 2*time.Second, segment{src: up[0], dst: up[1], flags: flagSYN, seq: 100})
		s.see("server1/eth0", 2100*time.Millisecond, segment{src: down[0], dst: down[1], flags: flagACK, seq: 77, ack: 88})
		s.reset("TCP retransmit timeout", true)
		s.verdict("server1", analyzer.TupleReused, analyzer.ToServer, "server1/eth0")
	},
	analyzer.AppSilent: func(s *stage) {
		s.begin()
		s.see("server1/eth0", 2*time.Second, segment{src: up[0], dst: up[1], flags: flagACK, seq: 101, ack: 701, payload: "POST"})
		s.miss("server1/eth0", flowFilter(down[0], down[1])+" && tcp.len>0")
		s.reset("TCP RST from remote system", true)
		s.verdict("server1", analyzer.AppSilent, analyzer.ToClient, "server1/eth0")
	},
	analyzer.AppReset: func(s *stage) { s.answering(analyzer.AppReset, flagRST|flagACK, "") },
	analyzer.AppTruncated: func(s *stage) {
		s.answering(analyzer.AppTruncated, flagFIN|flagACK, "")
		s.v.Outcome, s.v.RST = analyzer.Truncated, nil
		s.see("client/eth0", 4*time.Second, segment{src: theVIP, dst: theClient, flags: flagFIN | flagACK, seq: 901, ack: 560, payload: "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"})
	},
	analyzer.AppError: func(s *stage) {
		busy := "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
		s.answering(analyzer.AppError, flagACK, busy)
		s.v.Outcome, s.v.RST = analyzer.Error, nil
		s.see("client/eth0", 4*time.Second, segment{src: theVIP, dst: theClient, flags: flagACK, seq: 901, ack: 560, payload: busy})
	},
	analyzer.NoPoolMember:      func(s *stage) { s.told(analyzer.NoPoolMember, "No pool member available") },
	analyzer.SNATExhausted:     func(s *stage) { s.told(analyzer.SNATExhausted, "Unable to obtain local port") },
	analyzer.ConnectionLimit:   func(s *stage) { s.told(analyzer.ConnectionLimit, "Connection limit exceeded") },
	analyzer.IdleTimeout:       func(s *stage) { s.told(analyzer.IdleTimeout, "Flow expired (sweeper)") },
	analyzer.ProtocolViolation: func(s *stage) { s.told(analyzer.ProtocolViolation, "HTTP header (32768) exceeded") },
	analyzer.TLSFailure:        func(s *stage) { s.told(analyzer.TLSFailure, "SSL handshake timeout exceeded") },
	analyzer.NoRoute:           func(s *stage) { s.told(analyzer.NoRoute, "No route to host") },
	analyzer.ZeroWindow: func(s *stage) {
		s.begin()
		s.reset("TCP zero window timeout", false)
		s.verdict("client", analyzer.ZeroWindow, analyzer.ToClient, "client/eth0")
	},
	analyzer.NoListener: func(s *stage) {
		s.see("client/eth0", time.Second, segment{src: theClient, dst: theVIP, flags: flagSYN, seq: 500})
		p := rst("No local listener", false)
		p.seq, p.ack = 0, 501
		s.see("f5/0.0", 1100*time.Millisecond, p)
		p.trailer = nil
		s.see("client/eth0", 1100*time.Millisecond, p)
		s.v.Outcome, s.v.RST = analyzer.Refused, &analyzer.RST{By: "f5", Cause: "No local listener"}
		s.v.Request.Method, s.v.Request.Target, s.v.Request.ID = "", "", ""
		s.verdict("f5", analyzer.NoListener, analyzer.ToServer, "f5/0.0")
	},
	analyzer.ClientAbort: func(s *stage) {
		s.begin()
		s.see("client/eth0", 4*time.Second, segment{src: theClient, dst: theVIP, flags: flagFIN | flagACK, seq: 560, ack: 901})
		s.v.Outcome = analyzer.Timeout
		s.verdict("client", analyzer.ClientAbort, analyzer.ToServer, "client/eth0")
	},
	analyzer.Inconclusive: func(s *stage) {
		s.begin()
		s.see("firewall/feth11", 2*time.Second, segment{src: up[0], dst: up[1], flags: flagSYN, seq: 100})
		s.reset("TCP retransmit timeout", true)
		s.verdict("", analyzer.Inconclusive, analyzer.ToServer, "firewall/feth11", "server1/eth0")
		s.v.Confidence, s.v.WouldSettle = 0, "a capture on firewall's server-facing interface"
	},
}

// answering: the server gets the request and then says something.
func (s *stage) answering(cause analyzer.Cause, flags byte, payload string) {
	s.begin()
	s.see("server1/eth0", 2*time.Second, segment{src: up[0], dst: up[1], flags: flagACK, seq: 101, ack: 701, payload: "POST /batch HTTP/1.1\r\nX-Request-ID: 17\r\n\r\n"})
	s.see("server1/eth0", 3*time.Second, segment{src: down[0], dst: down[1], flags: flags, seq: 701, ack: 150, payload: payload})
	if cause == analyzer.AppReset {
		s.reset("TCP RST from remote system", true)
	}
	s.verdict("server1", cause, analyzer.ToClient, "server1/eth0")
}

// told: the proxy's own trailer says why.
func (s *stage) told(cause analyzer.Cause, text string) {
	s.begin()
	s.reset(text, false)
	s.verdict("f5", cause, analyzer.ToServer, "f5/0.0")
}

// refuted sees that something is not confirmed once the stage of a cause has a spin.
func refuted(t *testing.T, cause analyzer.Cause, name string, spin func(*stage)) {
	t.Helper()
	s := newStage(t)
	stages[cause](s)
	spin(s)
	dir, report := s.write()
	r, err := Run(t.Context(), report, dir)
	check(t, err)
	if len(r.Failures) == 0 {
		t.Errorf("%s: all is confirmed", name)
	}
}
