package bigip

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"

	"github.com/hopblame/hopblame/analyzer/f5trailer"
	"github.com/hopblame/hopblame/sim/capture"
	"github.com/hopblame/hopblame/topology"
)

// box is a flow table played by hand: events and frames at chosen times.
type box struct {
	*FlowTable
	t      *testing.T
	client netip.AddrPort
	flow   *Flow
}

func newBox(t *testing.T, format TrailerFormat, ipv6 bool) *box {
	c := validConfig()
	client, member := "198.18.50.88:54373", "198.18.160.81:8000"
	if ipv6 {
		c.VirtualServer.Destination = netip.MustParseAddrPort("[2001:db8:50::67]:8165")
		c.SNAT.SelfIP = netip.MustParseAddr("2001:db8:60::247")
		client, member = "[2001:db8:50::88]:54373", "[2001:db8:160::81]:8000"
		c.Pool.Members[0].Address = netip.MustParseAddrPort(member)
	}
	c.Format = format
	b := &box{FlowTable: newFlowTable(c), t: t, client: netip.MustParseAddrPort(client)}
	b.flow = &Flow{Client: b.client, Dial: Dial{SNAT: netip.AddrPortFrom(c.SNAT.SelfIP, SNATPort(b.client.Port())),
		Member: netip.MustParseAddrPort(member)}}
	return b
}

// at gives the last posted event its time.
func (b *box) at(ns int64) { b.posted[len(b.posted)-1].at = ns }

func (b *box) connectAt(ns int64) { b.connect(b.flow); b.at(ns) }
func (b *box) closedAt(ns int64)  { b.closed(b.client, b.flow); b.at(ns) }

// frame builds an untagged frame as a tap of the lab hands it over.
func frame(src, dst netip.AddrPort, flags byte, payload int) []byte {
	b := make([]byte, etherSize, 128)
	tcp := make([]byte, 20+payload)
	binary.BigEndian.PutUint16(tcp, src.Port())
	binary.BigEndian.PutUint16(tcp[2:], dst.Port())
	tcp[7], tcp[12], tcp[13] = 1, 5<<4, flags
	if src.Addr().Is4() {
		binary.BigEndian.PutUint16(b[12:], typeIPv4)
		ip := make([]byte, 20)
		ip[0], ip[8], ip[9] = 0x45, 64, protoTCP
		binary.BigEndian.PutUint16(ip[2:], uint16(20+len(tcp)))
		copy(ip[12:], src.Addr().AsSlice())
		copy(ip[16:], dst.Addr().AsSlice())
		return append(append(b, ip...), tcp...)
	}
	binary.BigEndian.PutUint16(b[12:], typeIPv6)
	ip := make([]byte, 40)
	ip[0], ip[6], ip[7] = 0x60, protoTCP, 64
	binary.BigEndian.PutUint16(ip[4:], uint16(len(tcp)))
	copy(ip[8:], src.Addr().AsSlice())
	copy(ip[24:], dst.Addr().AsSlice())
	return append(append(b, ip...), tcp...)
}

// direction of a frame, seen from the client of the whole chain.
type direction bool

const (
	toServer direction = true
	toClient direction = false
)

// see hands the table a frame of a side and decodes the trailer it gets.
func (b *box) see(ns int64, s side, d direction, flags byte, payload int) f5trailer.Trailer {
	b.t.Helper()
	return b.seeFrame(b.frameOf(ns, s, d, flags, payload))
}

// frameOf is a frame of a side.
func (b *box) frameOf(ns int64, s side, d direction, flags byte, payload int) capture.Frame {
	outer, inner, vlan := b.client, b.config.VirtualServer.Destination, uint16(ClientsideVLAN)
	if s == serverside {
		outer, inner, vlan = b.flow.SNAT, b.flow.Member, ServersideVLAN
	}
	src, dst := outer, inner
	if d == toClient {
		src, dst = inner, outer
	}
	outgoing := (s == serverside) == (d == toServer)
	return capture.Frame{Time: ns, VLAN: vlan, Outgoing: outgoing, Data: frame(src, dst, flags, payload)}
}

// seeFrame decodes the trailer out of the whole frame, as an analyzer would, and
// checks what every trailer must have.
func (b *box) seeFrame(f capture.Frame) (tr f5trailer.Trailer) {
	b.t.Helper()
	whole := append(append(bytes.Clone(f.Data[:12]), 0x81, 0, byte(f.VLAN>>8), byte(f.VLAN)), f.Data[12:]...)
	end := len(whole)
	whole = b.AppendTrailer(whole, f)
	at, ok, err := f5trailer.DecodeFrame(whole, len(whole), &tr)
	if err != nil || !ok || at != end {
		b.t.Fatalf("the trailer is found: %v, at %d, want %d; %v", ok, at, end, err)
	}
	if tr.Low.Ingress == f.Outgoing {
		b.t.Errorf("ingress %v on a frame with outgoing %v", tr.Low.Ingress, f.Outgoing)
	}
	if !tr.Medium.HasRSTCause && tr.Medium.RSTCause != (f5trailer.RSTCause{}) {
		b.t.Errorf("a cause without being there: %v", tr.Medium.RSTCause)
	}
	return tr
}

const ack = flagACK

// bothFamilies runs a test with each format in IPv4 and IPv6.
func bothFamilies(t *testing.T, f func(t *testing.T, b *box)) {
	for _, row := range []struct {
		name   string
		format TrailerFormat
		ipv6   bool
	}{{"DPT, IPv4", DPT, false}, {"DPT, IPv6", DPT, true}, {"legacy, IPv4", Legacy, false}, {"legacy, IPv6", Legacy, true}} {
		t.Run(row.name, func(t *testing.T) { f(t, newBox(t, row.format, row.ipv6)) })
	}
}

func TestTheClientsSYNAloneCarriesNoFlowAndThePeerIsKnownFromConnectOn(t *testing.T) {
	bothFamilies(t, func(t *testing.T, b *box) {
		if m := b.see(100, clientside, toServer, flagSYN, 0).Medium; m.FlowID != 0 || m.PeerID != 0 {
			t.Errorf("the SYN carries flow %#x, peer %#x", m.FlowID, m.PeerID)
		}
		synACK := b.see(110, clientside, toClient, flagSYN|ack, 0)
		flow := synACK.Medium.FlowID
		if flow == 0 || synACK.Medium.PeerID != 0 {
			t.Errorf("the SYN-ACK carries flow %#x, peer %#x; want a flow and no peer", flow, synACK.Medium.PeerID)
		}
		if synACK.Low.VirtualServer != "/Common/vs" {
			t.Errorf("virtual server %q", synACK.Low.VirtualServer)
		}
		request := b.see(120, clientside, toServer, ack, 100)
		if request.Medium.FlowID != flow || request.Medium.PeerID != 0 {
			t.Errorf("the request carries flow %#x, peer %#x; want %#x and none", request.Medium.FlowID, request.Medium.PeerID, flow)
		}
		b.connectAt(130)
		// Before the event's time, although it is posted: no peer yet.
		if m := b.see(129, clientside, toClient, ack, 0).Medium; m.PeerID != 0 {
			t.Errorf("a frame from before the connect carries peer %#x", m.PeerID)
		}
		syn := b.see(131, serverside, toServer, flagSYN, 0)
		if syn.Medium.FlowID == 0 || syn.Medium.FlowID == flow || syn.Medium.PeerID != flow {
			t.Errorf("our own SYN carries flow %#x, peer %#x; want one of its own, and %#x", syn.Medium.FlowID, syn.Medium.PeerID, flow)
		}
		late := b.see(132, clientside, toClient, ack, 0)
		if late.Medium.FlowID != flow || late.Medium.PeerID != syn.Medium.FlowID {
			t.Errorf("from the connect on the clientside carries flow %#x, peer %#x; want %#x, %#x",
				late.Medium.FlowID, late.Medium.PeerID, flow, syn.Medium.FlowID)
		}
		if late.Low.TMM != syn.Low.TMM {
			t.Errorf("the halves are on TMM %d and %d", late.Low.TMM, syn.Low.TMM)
		}
		want := f5trailer.High{Protocol: protoTCP, VLAN: ServersideVLAN, Remote: b.flow.Member, Local: b.flow.SNAT}
		if got := late.High; got.Protocol != want.Protocol || got.VLAN != want.VLAN || got.Remote != want.Remote || got.Local != want.Local {
			t.Errorf("the clientside's peer is %+v, want %+v", got, want)
		}
		want = f5trailer.High{Protocol: protoTCP, VLAN: ClientsideVLAN, Remote: b.client, Local: b.config.VirtualServer.Destination}
		if got := syn.High; got.VLAN != want.VLAN || got.Remote != want.Remote || got.Local != want.Local {
			t.Errorf("the serverside's peer is %+v, want %+v", got, want)
		}
	})
}

func TestAFlowIsOfTheVLANThatItsFramesLeaveIn(t *testing.T) {
	bothFamilies(t, func(t *testing.T, b *box) {
		b.see(100, clientside, toServer, flagSYN, 0)
		b.connectAt(110)
		usual := b.see(111, serverside, toServer, flagSYN, 0)
		f := b.frameOf(120, serverside, toServer, flagSYN, 0)
		f.VLAN = ServersVLAN
		past := b.seeFrame(f)
		if past.Medium.FlowID != usual.Medium.FlowID || past.High.VLAN != ClientsideVLAN {
			t.Errorf("in another VLAN the SYN carries flow %#x, and VLAN %d of its peer; want %#x, %d", past.Medium.FlowID, past.High.VLAN, usual.Medium.FlowID, ClientsideVLAN)
		}
		if got := b.see(130, clientside, toClient, ack, 0).High.VLAN; got != ServersVLAN {
			t.Errorf("to the clientside its peer is in VLAN %d, want %d", got, ServersVLAN)
		}
	})
}

func TestARetransmittedSYNStillCarriesNoFlowAndOpensNoSecondOne(t *testing.T) {
	b := newBox(t, DPT, false)
	b.see(100, clientside, toServer, flagSYN, 0)
	first := b.see(110, clientside, toClient, flagSYN|ack, 0).Medium.FlowID
	if m := b.see(120, clientside, toServer, flagSYN, 0).Medium; m.FlowID != 0 {
		t.Errorf("the repeated SYN carries flow %#x", m.FlowID)
	}
	if again := b.see(130, clientside, toClient, flagSYN|ack, 0).Medium.FlowID; again != first {
		t.Errorf("after the repeated SYN the flow is %#x, was %#x", again, first)
	}
}

func TestARSTCarriesItsCauseOnTheHalfItIsFor(t *testing.T) {
	for _, row := range []struct {
		name  string
		on    side
		cause Cause
		peer  bool
	}{
		{"the member never answered: the clientside is reset, the cause is the peer's", clientside, RetransmitTimeout, true},
		{"the header is too large: the clientside is reset, the cause is its own", clientside, HeaderTooLarge, false},
		{"the client reset: the serverside is reset, the cause is the peer's", serverside, RemoteReset, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			bothFamilies(t, func(t *testing.T, b *box) {
				b.see(100, clientside, toServer, flagSYN, 0)
				b.see(110, clientside, toClient, flagSYN|ack, 0)
				b.connectAt(120)
				b.FlowTable.reset(row.on, b.client, b.flow, row.cause, row.peer)
				b.at(130)
				b.closedAt(131)
				out := map[side]direction{clientside: toClient, serverside: toServer}
				for s, outward := range out {
					// What the box received, and what is no RST, has no cause.
					for _, x := range []f5trailer.Trailer{
						b.see(140, s, !outward, flagRST, 0), b.see(141, s, outward, ack, 10), b.see(142, s, outward, ack|flagFIN, 0)} {
						if x.Medium.HasRSTCause {
							t.Errorf("side %d: a packet that is no RST of the box carries %v", s, x.Medium.RSTCause)
						}
					}
					m := b.see(143, s, outward, flagRST|ack, 0).Medium
					if s != row.on {
						if m.HasRSTCause {
							t.Errorf("side %d: a RST that is for the other half carries %v", s, m.RSTCause)
						}
						continue
					}
					if !m.HasRSTCause || m.RSTCause.Text != row.cause.Text || m.RSTCause.Peer != row.peer || m.RSTCause.Line != row.cause.line {
						t.Errorf("got %v %v, want %q with peer %v", m.HasRSTCause, m.RSTCause, row.cause.Text, row.peer)
					}
				}
			})
		})
	}
}

func TestARSTFromBeforeTheResetHasNoCauseYet(t *testing.T) {
	b := newBox(t, DPT, false)
	b.see(100, clientside, toServer, flagSYN, 0)
	b.FlowTable.reset(clientside, b.client, nil, HeaderTooLarge, false)
	b.at(200)
	if m := b.see(199, clientside, toClient, flagRST, 0).Medium; m.HasRSTCause {
		t.Errorf("a RST at 199 carries the cause of one at 200: %v", m.RSTCause)
	}
	if m := b.see(200, clientside, toClient, flagRST, 0).Medium; !m.HasRSTCause || m.RSTCause.Text != HeaderTooLarge.Text {
		t.Errorf("the RST carries %v", m.RSTCause)
	}
}

func TestAClosedFlowIsKnownForAWhileAndThenItsIDIsUsedAgainLastFreedFirst(t *testing.T) {
	b := newBox(t, DPT, false)
	ids := map[uint16]uint64{}
	// Ports of one parity: ids belong to a TMM.
	connection := func(port uint16, opened int64) uint64 {
		b.client = netip.AddrPortFrom(b.client.Addr(), port)
		b.see(opened, clientside, toServer, flagSYN, 0)
		return b.see(opened+1, clientside, toClient, flagSYN|ack, 0).Medium.FlowID
	}
	b.flow = nil // the serverside stays shut
	for i, port := range []uint16{40000, 40002, 40004} {
		ids[port] = connection(port, int64(100+10*i))
	}
	if ids[40000] == ids[40002] || ids[40002] == ids[40004] || ids[40000] == ids[40004] {
		t.Fatalf("open flows share ids: %#x", ids)
	}
	for i, port := range []uint16{40004, 40000} {
		b.client = netip.AddrPortFrom(b.client.Addr(), port)
		b.closedAt(int64(1000 + i))
	}
	b.client = netip.AddrPortFrom(b.client.Addr(), 40000)
	if m := b.see(1001+linger-1, clientside, toClient, ack|flagFIN, 0).Medium; m.FlowID != ids[40000] {
		t.Errorf("just after it was closed the flow is %#x, was %#x", m.FlowID, ids[40000])
	}
	if m := b.see(1001+linger, clientside, toServer, ack, 0).Medium; m.FlowID != 0 {
		t.Errorf("long after it was closed a packet carries flow %#x", m.FlowID)
	}
	for _, row := range []struct {
		name string
		port uint16
		want uint64
	}{
		{"the id freed last comes first", 40006, ids[40000]},
		{"then the one freed before it", 40008, ids[40004]},
	} {
		if got := connection(row.port, 2000+linger+int64(row.port)); got != row.want {
			t.Errorf("%s: got %#x, want %#x", row.name, got, row.want)
		}
	}
	if got := connection(40010, 90000+linger); got == ids[40000] || got == ids[40002] || got == ids[40004] {
		t.Errorf("with all ids in use a flow got %#x, which is taken", got)
	}
}

func TestATupleThatComesRoundIsANewFlowEvenWithinTheOldOnesLinger(t *testing.T) {
	b := newBox(t, DPT, false)
	b.see(100, clientside, toServer, flagSYN, 0)
	b.see(110, clientside, toClient, flagSYN|ack, 0)
	b.connectAt(120)
	b.see(121, serverside, toServer, flagSYN, 0)
	b.see(130, clientside, toServer, ack, 100)
	b.FlowTable.reset(clientside, b.client, b.flow, RetransmitTimeout, true)
	b.at(140)
	b.closedAt(140)
	if m := b.see(141, clientside, toClient, flagRST, 0).Medium; !m.HasRSTCause || m.PeerID == 0 {
		t.Fatalf("the first flow's RST: %+v", m)
	}
	// The same addresses, while the old flow lingers.
	if m := b.see(150, clientside, toServer, flagSYN, 0).Medium; m.FlowID != 0 {
		t.Errorf("the new SYN carries flow %#x", m.FlowID)
	}
	if m := b.see(151, clientside, toClient, flagSYN|ack, 0).Medium; m.FlowID == 0 || m.PeerID != 0 {
		t.Errorf("the new flow is %#x with peer %#x, want no peer", m.FlowID, m.PeerID)
	}
	if m := b.see(152, clientside, toClient, flagRST, 0).Medium; m.HasRSTCause {
		t.Errorf("the new flow has the old one's cause: %v", m.RSTCause)
	}
	b.connectAt(160)
	peer := b.see(161, serverside, toServer, flagSYN, 0).Medium
	// The old flow's departure must not take the new one along.
	after := b.see(141+2*linger, clientside, toClient, ack, 5).Medium
	if after.FlowID == 0 || after.FlowID != peer.PeerID || after.PeerID != peer.FlowID {
		t.Errorf("after the old flow's end: flow %#x, peer %#x; want %#x, %#x", after.FlowID, after.PeerID, peer.PeerID, peer.FlowID)
	}
}

func TestAnEventCountsByItsOwnTimeNotByWhenTheFrameIsRead(t *testing.T) {
	b := newBox(t, DPT, false)
	// All posted before the first frame is read, as when the capture lags.
	b.connectAt(120)
	b.closedAt(300)
	b.connectAt(120 + 2*linger)
	if m := b.see(100, clientside, toServer, flagSYN, 0).Medium; m.FlowID != 0 {
		t.Errorf("the SYN carries flow %#x", m.FlowID)
	}
	if m := b.see(119, clientside, toClient, flagSYN|ack, 0).Medium; m.FlowID == 0 || m.PeerID != 0 {
		t.Errorf("before the connect: %+v", m)
	}
	if m := b.see(120, serverside, toServer, flagSYN, 0).Medium; m.FlowID == 0 || m.PeerID == 0 {
		t.Errorf("at the connect: %+v", m)
	}
	if m := b.see(301+linger, serverside, toClient, ack, 0).Medium; m.FlowID != 0 {
		t.Errorf("after the close: %+v", m)
	}
	// The second connection's SYN from the client was not captured: it is
	// entered all the same.
	if m := b.see(121+2*linger, serverside, toServer, flagSYN, 0).Medium; m.FlowID == 0 || m.PeerID == 0 {
		t.Errorf("a connect without a captured SYN: %+v", m)
	}
}

func TestWhatBelongsToNoFlowHasATrailerWithoutOne(t *testing.T) {
	b := newBox(t, DPT, false)
	arp := make([]byte, 42)
	binary.BigEndian.PutUint16(arp[12:], 0x0806)
	arp[18], arp[19] = 6, 4 // lengths of its addresses (RFC 826)
	udp := frame(b.client, b.config.VirtualServer.Destination, 0, 0)
	udp[etherSize+9] = 17
	for _, row := range []struct {
		name string
		data []byte
	}{
		{"ARP", arp},
		{"UDP", udp},
		{"a stranger's segment", frame(netip.MustParseAddrPort("198.18.50.99:1"), b.config.VirtualServer.Destination, ack, 9)},
	} {
		tr := b.seeFrame(capture.Frame{Time: 10, VLAN: ClientsideVLAN, Data: row.data})
		if tr.Medium.FlowID != 0 || tr.Medium.PeerID != 0 || tr.Low.VirtualServer != "" {
			t.Errorf("%s: %+v", row.name, tr.Medium)
		}
	}
}

func TestTheCaptureBeginsWithAFileInfoOfItsVersion(t *testing.T) {
	for format, version := range map[TrailerFormat]string{DPT: dptVersion, Legacy: legacyVersion, "": dptVersion} {
		info, ok := f5trailer.ParseFileInfo(newBox(t, format, false).FileInfo())
		if !ok || info.Version != version || info.Product != "BIG-IP" {
			t.Errorf("format %q: %v %+v", format, ok, info)
		}
	}
}

func TestTheFlowTableIsKeptFromWhenSomebodyWantsIt(t *testing.T) {
	b := build(t, topology.IPv4)
	b.member(func(c *net.TCPConn) { answer(c) })
	b.start(Fast)
	posted := func() int {
		c := b.dial()
		b.write(c, request(0, 0))
		if _, err := io.ReadAll(c); err != nil {
			t.Fatal(err)
		}
		c.Close()
		b.awaitNobody()
		b.proxy.table.mu.Lock()
		defer b.proxy.table.mu.Unlock()
		return len(b.proxy.table.posted)
	}
	if n := posted(); n != 0 {
		t.Errorf("%d events are kept for a capture that there is not", n)
	}
	b.proxy.Table()
	if n := posted(); n != 2 {
		t.Errorf("%d events of a connection, want 2: it was opened and closed", n)
	}
}

func TestTheNoiseLevelDecidesWhatATrailerTells(t *testing.T) {
	for _, row := range []struct {
		level             Tcpdump
		argument          string
		low, medium, high bool
	}{
		{NoiseNone, "0.0", false, false, false},
		{NoiseLow, "0.0:n", true, false, false},
		{NoiseMedium, "0.0:nn", true, true, false},
		{NoiseHigh, "0.0:nnn", true, true, true},
		{"", "0.0:nnn", true, true, true},
		{"0.0:nnp", "0.0:nnp", true, true, false},
	} {
		for _, format := range []TrailerFormat{DPT, Legacy} {
			t.Run(fmt.Sprintf("%s %q", format, row.level), func(t *testing.T) {
				c := validConfig()
				c.Format, c.Tcpdump = format, row.level
				table := newFlowTable(c)
				client := netip.MustParseAddrPort("198.18.50.88:40000")
				out := table.AppendTrailer(nil, capture.Frame{Time: 1, VLAN: ClientsideVLAN, Data: frame(client, c.VirtualServer.Destination, flagSYN, 0)})
				var tr f5trailer.Trailer
				if len(out) > 0 {
					if err := f5trailer.Decode(out, &tr); err != nil {
						t.Fatal(err)
					}
				}
				if tr.HasLow != row.low || tr.HasMedium != row.medium || tr.HasHigh != row.high {
					t.Errorf("low %v, medium %v, high %v; want %v, %v, %v", tr.HasLow, tr.HasMedium, tr.HasHigh, row.low, row.medium, row.high)
				}
				want := "tcpdump -ni " + row.argument + " -s0 -w /var/tmp/f5.pcap"
				if info, ok := f5trailer.ParseFileInfo(table.FileInfo()); !ok || info.Command != want {
					t.Errorf("the file says %q, want %q", info.Command, want)
				}
			})
		}
	}
}

func FuzzAFrameThatIsNoneNeverHurts(f *testing.F) {
	v4, v6 := netip.MustParseAddrPort("198.18.50.88:1"), netip.MustParseAddrPort("[2001:db8::1]:1")
	f.Add(frame(v4, v4, flagSYN, 3), true)
	f.Add(frame(v6, v6, ack, 0), false)
	f.Add([]byte{}, true)
	f.Fuzz(func(t *testing.T, data []byte, outgoing bool) {
		table := newFlowTable(validConfig())
		for i, vlan := range []uint16{ClientsideVLAN, ServersideVLAN} {
			out := table.AppendTrailer(nil, capture.Frame{Time: int64(i), VLAN: vlan, Outgoing: outgoing, Data: data})
			var tr f5trailer.Trailer
			if err := f5trailer.Decode(out, &tr); err != nil {
				t.Fatal(err)
			}
		}
		if s, ok := parseSegment(data); ok && (!s.src.IsValid() || !s.dst.IsValid() || s.payload > len(data)) {
			t.Fatalf("%+v", s)
		}
	})
}
