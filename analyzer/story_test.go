package analyzer

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/hopblame/hopblame/analyzer/f5trailer"
	"github.com/hopblame/hopblame/internal/pcapng"
)

// story tells what happened in a lab, packet by packet, and writes what the
// captures would show.
type story struct {
	sideless bool // nobody says which side a point is on
	tb       testing.TB
	v6       bool
	trailers bool
	isb      bool
	noAddrs  bool
	skip     []string                                          // points without a capture
	cut      map[string]time.Duration                          // captures that end early
	clock    map[string]time.Duration                          // clocks that are off
	wrong    map[string]func(at time.Duration) time.Duration   // clocks that drift or are set
	blind    func(point string, at time.Duration, p told) bool // packets a capture misses
	events   map[string][]shown
	isn      uint32
	start    time.Time
	end      time.Duration
	snat     func(port int) int // the proxy's source port for a client's
	// box is what a hop makes of a packet before a point sees it; nil: nothing.
	box    func(point string, p told) told
	quiet  bool   // no good requests
	twice  string // a point that captures every packet twice
	bridge bool   // the firewall forwards without touching the TTL
	glued  bool   // no time passes between the firewall's faces
	// Requests have no id, and look all the same.
	anonymous bool
	single    bool   // there is one server
	strangers string // a point whose packets all have other addresses
	scrubs    bool   // the firewall sends with a TTL of its own
	rewrites  bool   // the firewall adds to the client's sequence numbers
	// secrets are what the f5's trailers tell of a client's TLS, in the frames that carry
	// the client's data.
	secrets map[*telling]f5trailer.TLV
	written []Point        // once they are
	opens   func(*telling) // called with a connection that gets TLS, before anything of it is told
	deaths  []death        // of packets
	merge   bool           // the firewall's faces were captured in one file, feth11's
	// past tells which of the f5's connections go past the firewall, by source port. Their
	// answers come through it. nil: none.
	past func(port uint16) bool
}

type shown struct {
	at   time.Duration // true time
	says time.Duration // what the capture's clock says
	data []byte
	wire int
}

// told is a packet of the story.
type told struct {
	flow     *telling
	toServer bool
	flags    byte
	seq, ack uint32
	payload  string
	rst      *f5trailer.RSTCause
	dies     string // the last point that sees it; "" for none: it arrives
	spoils   string // the last point that sees it whole; "" for none: it arrives so
	stays    string // the last point before it is held up; "" for none: nobody does
	by       time.Duration
	turns    string // the last point before a box changes it; "" for none: nobody does
	ttl      byte   // … to this TTL, of IPv4
	shift    uint32 // … or by so much
	stamp    uint32 // time stamp; 0: none
	shut     bool   // its window is zero
}

// telling is a connection of the story.
type telling struct {
	client, server netip.AddrPort
	points         []string
	up             []string // to the server, if that is another way
	isn, answer    uint32
	vlan           uint16
	peer           *telling
}

var (
	clientPoints = []string{"client/eth0", "f5/0.0"}
	storyStart   = time.Date(2026, 11, 22, 20, 57, 0, 0, time.UTC)
)

func newStory(tb testing.TB) *story {
	return &story{tb: tb, trailers: true, isb: true, events: map[string][]shown{}, cut: map[string]time.Duration{},
		clock: map[string]time.Duration{}, wrong: map[string]func(time.Duration) time.Duration{}, start: storyStart, isn: 1000,
		snat: func(port int) int { return port + 10000 }}
}

func (s *story) addr(v4 string) netip.Addr {
	a := netip.MustParseAddr(v4)
	if !s.v6 {
		return a
	}
	b := a.As4()
	return netip.MustParseAddr(fmt.Sprintf("2001:db8::%d:%d:%d", b[1], b[2], b[3]))
}

func (s *story) port(v4 string, port int) netip.AddrPort {
	return netip.AddrPortFrom(s.addr(v4), uint16(port))
}

func (s *story) clientFlow(port int) *telling {
	s.isn += 100_000
	return &telling{client: s.port("198.18.50.88", port), server: s.port("198.18.50.67", 8165), points: clientPoints,
		isn: s.isn, answer: s.isn * 7, vlan: 4094}
}

func (s *story) serverFlow(port, server int) *telling {
	s.isn += 100_000
	end := fmt.Sprintf("server%d/eth0", server)
	b := &telling{client: s.port("198.18.60.247", port), server: s.port(fmt.Sprintf("198.18.160.%d", 80+server), 8000),
		points: []string{"f5/0.0", "firewall/feth11", "firewall/feth10", end},
		isn:    s.isn, answer: s.isn * 7, vlan: 4093}
	if s.past != nil && s.past(b.client.Port()) {
		b.up = []string{"f5/0.0", end}
	}
	return b
}

const hopDelay = 50 * time.Microsecond

// fills is a request of which the server's receive window has room for a part: how much.
func (s *story) fills(at time.Duration, b *telling) (n uint32) {
	at = s.handshake(at, b)
	part := post(17)[:40]
	s.tell(at, told{flow: b, toServer: true, flags: flagACK, seq: b.isn + 1, ack: b.answer + 1, payload: part})
	return uint32(len(part))
}

// tell lets a packet travel.
func (s *story) tell(at time.Duration, p told) {
	path := slices.Clone(p.flow.points)
	switch {
	case !p.toServer:
		slices.Reverse(path)
	case p.flow.up != nil:
		path = p.flow.up
	}
	data := s.serialize(p)
	for i, point := range path {
		if i > 0 && strings.HasPrefix(point, "firewall/") && strings.HasPrefix(path[i-1], "firewall/") {
			if !s.bridge {
				data = routed(data)
				if s.scrubs {
					data[14+8] = 255
				}
			}
			if s.glued {
				at -= hopDelay
			}
		}
		frame := data
		if s.box != nil {
			if frame = s.serialize(s.box(point, p)); beyondFirewall(point) == p.toServer {
				frame = routed(frame)
			}
		}
		if s.rewrites && (point == "firewall/feth10" || strings.HasPrefix(point, "server")) {
			frame = resequenced(data, p.toServer)
		}
		s.capture(at, point, p, frame)
		if point == p.dies {
			s.deaths = append(s.deaths, death{Conn{p.flow.client, p.flow.server}, p.toServer, p.flags, point})
			return
		}
		if point == p.spoils {
			data = bytes.Clone(data)
			data[14+20+15] ^= 1 // of the TCP window
		}
		if point == p.turns {
			data = turned(data, p)
		}
		if point == p.stays {
			at += p.by
		}
		at += hopDelay
	}
}

// turned is an IPv4 frame as a box leaves it that changes its TTL or number. Its checksum
// is right, or left to a card.
func turned(data []byte, p told) []byte {
	data = bytes.Clone(data)
	if p.ttl != 0 {
		data[14+8] = p.ttl
	}
	tcp := data[14+20:]
	binary.BigEndian.PutUint32(tcp[4:], binary.BigEndian.Uint32(tcp[4:])+p.shift)
	tcp[16], tcp[17] = 0, 0
	return data
}

// resequenced is an IPv4 frame as it is behind a firewall that moves the
// client's sequence numbers.
func resequenced(data []byte, toServer bool) []byte {
	data = bytes.Clone(data)
	at := 14 + 20 + 4 // the sequence number
	if !toServer {
		at += 4 // its acknowledgment
	}
	binary.BigEndian.PutUint32(data[at:], binary.BigEndian.Uint32(data[at:])+777_777)
	return data
}

// routed is what a router makes of a frame: TTL or hop limit are one less.
func routed(data []byte) []byte {
	data = bytes.Clone(data)
	if ip := data[14:]; ip[0]>>4 == 6 {
		ip[7]--
	} else {
		ip[8]--
		sum := uint32(ip[10])<<8 + uint32(ip[11]) + 0x100 // RFC 1141
		sum += sum >> 16
		ip[10], ip[11] = byte(sum>>8), byte(sum)
	}
	return data
}

func (s *story) capture(at time.Duration, point string, p told, data []byte) {
	s.end = max(s.end, at)
	if s.merge && point == "firewall/feth10" {
		point = "firewall/feth11"
	}
	if s.strangers == point {
		data = bytes.Replace(data, []byte("X-Request-ID"), []byte("X-Strange-ID"), 1)
		data[14+13]++ // 198.18 becomes 198.19
		data[14+17]++
	}
	if end, ok := s.cut[point]; ok && at > end || s.blind != nil && s.blind(point, at, p) {
		return
	}
	if point == "f5/0.0" {
		vlan := p.flow.vlan
		if p.toServer && p.flow.up != nil {
			vlan--
		}
		tagged := append(slices.Clone(data[:12]), 0x81, 0, byte(vlan>>8), byte(vlan))
		data = append(tagged, data[12:]...)
		if s.trailers {
			data = s.trailer(p, data)
		}
	}
	says := at + s.clock[point]
	if wrong := s.wrong[point]; wrong != nil {
		says += wrong(at)
	}
	s.events[point] = append(s.events[point], shown{at, says, data, len(data)})
	if point == s.twice {
		s.events[point] = append(s.events[point], shown{at + 2000, says + 2000, data, len(data)})
	}
}

func (s *story) trailer(p told, data []byte) []byte {
	// Clientside packets come in when to the server, serverside ones go out.
	t := f5trailer.Trailer{HasLow: true, HasMedium: true, HasHigh: true}
	t.Low.Ingress = p.toServer == (p.flow.vlan == 4094)
	if q := p.flow.peer; q != nil {
		t.Medium.FlowID, t.Medium.PeerID = uint64(p.flow.isn)<<8, uint64(q.isn)<<8
		t.High.Protocol, t.High.VLAN = 6, q.vlan
		if p.flow.vlan == 4094 {
			t.High.Remote, t.High.Local = q.server, q.client
		} else {
			t.High.Remote, t.High.Local = q.client, q.server
		}
	}
	if p.rst != nil {
		t.Medium.RSTCause, t.Medium.HasRSTCause = *p.rst, true
	}
	if v, ok := s.secrets[p.flow]; ok && p.toServer && p.payload != "" {
		t.TLS = append(t.TLS, v)
	}
	out, err := t.AppendTo(data)
	if err != nil {
		s.tb.Fatal(err)
	}
	return out
}

func (s *story) serialize(p told) []byte {
	src, dst := p.flow.client, p.flow.server
	if !p.toServer {
		src, dst = dst, src
	}
	eth := &layers.Ethernet{SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, DstMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2}, EthernetType: layers.EthernetTypeIPv4}
	tcp := &layers.TCP{SrcPort: layers.TCPPort(src.Port()), DstPort: layers.TCPPort(dst.Port()), Seq: p.seq, Ack: p.ack, Window: 65535,
		SYN: p.flags&flagSYN != 0, ACK: p.flags&flagACK != 0, FIN: p.flags&flagFIN != 0, RST: p.flags&flagRST != 0, PSH: len(p.payload) > 0}
	if p.shut {
		tcp.Window = 0
	}
	if p.stamp != 0 {
		tcp.Options = []layers.TCPOption{{OptionType: layers.TCPOptionKindTimestamps, OptionLength: 10, OptionData: binary.BigEndian.AppendUint64(nil, uint64(p.stamp)<<32)}}
	}
	var ip gopacket.SerializableLayer
	if src.Addr().Is6() {
		eth.EthernetType = layers.EthernetTypeIPv6
		v6 := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolTCP, SrcIP: src.Addr().AsSlice(), DstIP: dst.Addr().AsSlice()}
		ip = v6
		_ = tcp.SetNetworkLayerForChecksum(v6)
	} else {
		v4 := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: src.Addr().AsSlice(), DstIP: dst.Addr().AsSlice()}
		ip = v4
		_ = tcp.SetNetworkLayerForChecksum(v4)
	}
	buf := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, eth, ip, tcp, gopacket.Payload(p.payload))
	if err != nil {
		s.tb.Fatal(err)
	}
	return bytes.Clone(buf.Bytes())
}

// handshake opens a connection and returns when it is open.
func (s *story) handshake(at time.Duration, f *telling) time.Duration {
	way := time.Duration(len(f.points)) * hopDelay
	s.tell(at, told{flow: f, toServer: true, flags: flagSYN, seq: f.isn})
	s.tell(at+way, told{flow: f, flags: flagSYN | flagACK, seq: f.answer, ack: f.isn + 1})
	s.tell(at+2*way, told{flow: f, toServer: true, flags: flagACK, seq: f.isn + 1, ack: f.answer + 1})
	return at + 3*way
}

// post is the request that a story's client sends.
func (s *story) post(id int) string {
	if s.anonymous {
		return "POST /batch HTTP/1.1\r\nHost: vip\r\nContent-Length: 5\r\n\r\nhello"
	}
	return post(id)
}

func post(id int) string {
	return fmt.Sprintf("POST /batch HTTP/1.1\r\nHost: vip\r\nX-Request-ID: %d\r\nContent-Length: 5\r\n\r\nhello", id)
}

const answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// exchange sends a request and its answer, and closes.
func (s *story) exchange(at time.Duration, f *telling, req, resp string, between func(at time.Duration) time.Duration) {
	way := time.Duration(len(f.points)) * hopDelay
	s.tell(at, told{flow: f, toServer: true, flags: flagACK, seq: f.isn + 1, ack: f.answer + 1, payload: req})
	up := f.isn + 1 + uint32(len(req))
	s.tell(at+way, told{flow: f, flags: flagACK, seq: f.answer + 1, ack: up})
	at += 2 * way
	if between != nil {
		at = between(at)
	}
	down := f.answer + 1 + uint32(len(resp))
	s.tell(at, told{flow: f, flags: flagACK, seq: f.answer + 1, ack: up, payload: resp})
	s.tell(at+way, told{flow: f, toServer: true, flags: flagACK | flagFIN, seq: up, ack: down})
	s.tell(at+2*way, told{flow: f, flags: flagACK | flagFIN, seq: down, ack: up + 1})
	s.tell(at+3*way, told{flow: f, toServer: true, flags: flagACK, seq: up + 1, ack: down + 1})
}

// good is a request that succeeds.
func (s *story) good(at time.Duration, id, port, server int) {
	c, b := s.clientFlow(port), s.serverFlow(s.snat(port), server)
	open := s.handshake(at, c)
	c.peer = b
	b.peer = c
	s.exchange(open, c, s.post(id), answer, func(at time.Duration) time.Duration {
		up := s.handshake(at, b)
		s.exchange(up, b, s.post(id), answer, nil)
		return up + 20*hopDelay
	})
}

// late is a request that succeeds although some serverside SYNs die after the given
// point: they are sent again.
func (s *story) late(at time.Duration, id, port, server, lost int, dies string) {
	c, b := s.clientFlow(port), s.serverFlow(s.snat(port), server)
	open := s.handshake(at, c)
	c.peer, b.peer = b, c
	s.exchange(open, c, s.post(id), answer, func(at time.Duration) time.Duration {
		for _, r := range retries[:lost] {
			s.tell(at+r, told{flow: b, toServer: true, flags: flagSYN, seq: b.isn, dies: dies})
		}
		up := s.handshake(at+retries[lost], b)
		s.exchange(up, b, s.post(id), answer, nil)
		return up + 20*hopDelay
	})
}

// served is a request that reaches the server, which says up and then ends the
// connection with a flag, or keeps silent; the proxy says down and passes that on.
func (s *story) served(at time.Duration, id, port, server int, up, down string, end byte) {
	c, b := s.clientFlow(port), s.serverFlow(s.snat(port), server)
	req := s.post(id)
	n := uint32(len(req))
	open := s.handshake(at, c)
	s.tell(open, told{flow: c, toServer: true, flags: flagACK, seq: c.isn + 1, ack: c.answer + 1, payload: req})
	c.peer, b.peer = b, c
	open = s.handshake(open+4*hopDelay, b)
	s.tell(open, told{flow: b, toServer: true, flags: flagACK, seq: b.isn + 1, ack: b.answer + 1, payload: req})
	s.tell(open+4*hopDelay, told{flow: b, flags: flagACK, seq: b.answer + 1, ack: b.isn + 1 + n})
	open += 8 * hopDelay
	if up != "" {
		s.tell(open, told{flow: b, flags: flagACK, seq: b.answer + 1, ack: b.isn + 1 + n, payload: up})
		s.tell(open+4*hopDelay, told{flow: c, flags: flagACK, seq: c.answer + 1, ack: c.isn + 1 + n, payload: down})
	}
	if end != 0 {
		s.tell(open+8*hopDelay, told{flow: b, flags: end | flagACK, seq: b.answer + 1 + uint32(len(up)), ack: b.isn + 1 + n})
	} else {
		end = flagRST
		open += 5 * time.Second
		s.tell(open+8*hopDelay, told{flow: b, toServer: true, flags: flagRST | flagACK, seq: b.isn + 1 + n, ack: b.answer + 1})
	}
	s.tell(open+12*hopDelay, told{flow: c, flags: end | flagACK, seq: c.answer + 1 + uint32(len(down)), ack: c.isn + 1 + n})
}

// retries is the incident's schedule of SYNs.
var retries = []time.Duration{0, time.Second, 2 * time.Second, 3 * time.Second}

// failing is a request whose serverside SYNs, or the answers to them, die
// after the given point.
func (s *story) failing(at time.Duration, id, port, server int, synDies string, synAckDies string) {
	s.failingWith(at, id, port, server, func(at time.Duration, b *telling) {
		s.tell(at, told{flow: b, toServer: true, flags: flagSYN, seq: b.isn, dies: synDies})
		if synAckDies != "" {
			s.tell(at+4*hopDelay, told{flow: b, flags: flagSYN | flagACK, seq: b.answer, ack: b.isn + 1, dies: synAckDies})
		}
	})
}

func (s *story) failingWith(at time.Duration, id, port, server int, try func(at time.Duration, b *telling)) {
	c, b := s.clientFlow(port), s.serverFlow(s.snat(port), server)
	open := s.handshake(at, c)
	req := s.post(id)
	s.tell(open, told{flow: c, toServer: true, flags: flagACK, seq: c.isn + 1, ack: c.answer + 1, payload: req})
	s.tell(open+2*hopDelay, told{flow: c, flags: flagACK, seq: c.answer + 1, ack: c.isn + 1 + uint32(len(req))})
	b.peer = c
	for _, r := range retries {
		try(open+4*hopDelay+r, b)
	}
	c.peer = b
	s.tell(open+4*time.Second, told{flow: c, flags: flagRST | flagACK, seq: c.answer + 1, ack: c.isn + 1 + uint32(len(req)),
		rst: &f5trailer.RSTCause{Peer: true, Text: "TCP retransmit timeout", Line: 1234}})
}

// background is n good requests from at on, a few milliseconds apart.
func (s *story) background(at time.Duration, n int) {
	for i := range n {
		server := 1 + i%2
		if s.single {
			server = 1
		}
		s.good(at+time.Duration(i)*20*time.Millisecond, 1000+i, 20000+i, server)
	}
}

var standardPoints = []struct{ name, hop, face, side, addr string }{
	{"client/eth0", "client", "eth0", Clientside, "198.18.50.88"},
	{"f5/0.0", "f5", "0.0", Both, "198.18.50.67"},
	{"firewall/feth11", "firewall", "feth11", Serverside, "198.18.60.1"},
	{"firewall/feth10", "firewall", "feth10", Serverside, "198.18.160.1"},
	{"server1/eth0", "server1", "eth0", Serverside, "198.18.160.81"},
	{"server2/eth0", "server2", "eth0", Serverside, "198.18.160.82"},
}

// write puts the captures and points.json into a folder.
func (s *story) write() []Point {
	dir := s.tb.TempDir()
	var points []Point
	defer func() { s.written = points }()
	for _, p := range standardPoints {
		if slices.Contains(s.skip, p.name) {
			continue
		}
		file := filepath.Join(dir, p.hop+"-"+p.face+".pcapng")
		s.writeFile(file, p.name, p.face, p.addr)
		side := p.side
		if s.sideless {
			side = ""
		}
		points = append(points, Point{Name: p.name, Hop: p.hop, Face: p.face, Side: side, File: filepath.Base(file), Path: file})
	}
	return points
}

func (s *story) writeFile(file, point, face, addr string) {
	out, err := os.Create(file)
	s.check(err)
	defer out.Close()
	w, err := pcapng.NewWriter(out, pcapng.Section{})
	s.check(err)
	in := pcapng.Interface{Name: face}
	if !s.noAddrs {
		bits := 24
		if s.v6 {
			bits = 112
		}
		in.Addresses = []netip.Prefix{netip.PrefixFrom(s.addr(addr), bits)}
	}
	id, err := w.AddInterface(in)
	s.check(err)
	if point == "f5/0.0" {
		s.check(w.WritePacket(id, s.start.UnixNano(), 0, f5trailer.FileInfo{Command: "tcpdump", Platform: "Z100"}.Frame()))
	}
	es := s.events[point]
	slices.SortStableFunc(es, func(a, b shown) int { return int(a.at - b.at) })
	for _, e := range es {
		s.check(w.WritePacket(id, s.start.Add(e.says).UnixNano(), e.wire, e.data))
	}
	if s.isb {
		end := s.end + time.Second
		if cut, ok := s.cut[point]; ok {
			end = cut
		}
		off := s.clock[point]
		if wrong := s.wrong[point]; wrong != nil {
			off += wrong(end)
		}
		s.check(w.WriteStatistics(id, pcapng.Statistics{Start: s.start.Add(off - time.Second), End: s.start.Add(end + off), Received: uint64(len(es))}))
	}
	s.check(w.Flush())
}

func (s *story) check(err error) {
	s.tb.Helper()
	if err != nil {
		s.tb.Fatal(err)
	}
}

func (s *story) analyze() *Report {
	s.tb.Helper()
	r, err := Analyze(context.Background(), s.write(), Options{})
	s.check(err)
	return r
}

func prefixes(addr string) []netip.Prefix {
	return []netip.Prefix{netip.PrefixFrom(netip.MustParseAddr(addr), 24)}
}
