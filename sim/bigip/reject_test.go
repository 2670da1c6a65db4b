package bigip

import (
	"testing"

	"github.com/hopblame/hopblame/analyzer/f5trailer"
	"github.com/hopblame/hopblame/sim/capture"
)

func TestAPacketWithoutAFlowIsRejectedWithItsCause(t *testing.T) {
	for _, row := range []struct {
		name    string
		refusal Cause
		before  byte // of the packet that is answered
		answer  byte
		seq     byte // of the answer
		want    Cause
		virtual string
	}{
		{"a SYN to a port without a listener", Cause{}, flagSYN, flagRST | flagACK, 0, NoLocalListener, ""},
		{"a SYN to a virtual server that rejects", PolicyAction, flagSYN, flagRST | flagACK, 0, PolicyAction, "/Common/vs"},
		{"a SYN to one without a member", VIPDown, flagSYN, flagRST | flagACK, 0, VIPDown, "/Common/vs"},
		{"an ACK that belongs to nothing", Cause{}, flagACK, flagRST, 1, NoFlowForACK, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBox(t, DPT, false)
			if row.refusal != (Cause{}) {
				b.refuse(row.refusal)
				b.at(500)
			}
			b.see(1000, clientside, toServer, row.before, 0)
			f := frame(b.config.VirtualServer.Destination, b.client, row.answer, 0)
			f[etherSize+20+7] = row.seq
			tr := b.seeFrame(capture.Frame{Time: 1001, VLAN: ClientsideVLAN, Outgoing: true, Data: f})
			want := f5trailer.Medium{FlowID: rejectFlowID, FlowType: 0x46, CFFlags: 0x20, HAUnit: 1,
				RSTCause: row.want.record(false), HasRSTCause: true, Version: 4}
			if tr.Medium != want || tr.Low.VirtualServer != row.virtual || tr.High != (f5trailer.High{Version: 1}) {
				t.Errorf("the trailer is %+v", tr)
			}
			r := b.RSTs()
			if r.Sent != 1 || len(r.Rejected) != 1 || r.Rejected[0].Cause != row.want || r.Rejected[0].Client != b.client {
				t.Errorf("the ledger is %+v", r)
			}
			if tr := b.see(2000, clientside, toServer, flagSYN, 0); tr.Medium.FlowID != 0 {
				t.Errorf("the next SYN has the flow %#x", tr.Medium.FlowID)
			}
		})
	}
}

func TestWhatComesAfterTheResetBelongsToNoFlow(t *testing.T) {
	b := newBox(t, DPT, false)
	b.see(1000, clientside, toServer, flagSYN, 0)
	b.connectAt(2000)
	b.reset(clientside, b.client, b.flow, RetransmitTimeout, true)
	b.at(3000)
	b.closedAt(3001)
	if tr := b.see(3002, clientside, toClient, flagRST|flagACK, 0); tr.Medium.RSTCause != RetransmitTimeout.record(true) {
		t.Errorf("the RST says %v", tr.Medium.RSTCause)
	}
	if tr := b.see(3003, clientside, toClient, flagRST, 0); tr.Medium.RSTCause != NoFlowForACK.record(false) {
		t.Errorf("the answer to what the client had still sent says %v", tr.Medium.RSTCause)
	}
	r := b.RSTs()
	if r.Sent != 2 || len(r.Rejected) != 1 || r.ByCause[Reset{Cause: RetransmitTimeout, Peer: true}] != 1 {
		t.Errorf("the ledger is %+v", r)
	}
}

func TestAResetBehindBothFINsIsCountedAsOneThatNobodySent(t *testing.T) {
	for _, row := range []struct {
		name string
		fins []direction
		want int
	}{
		{"both FINs have passed", []direction{toServer, toClient}, 1},
		{"the member's has not", []direction{toServer}, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBox(t, DPT, false)
			b.see(1000, clientside, toServer, flagSYN, 0)
			b.connectAt(2000)
			for _, d := range row.fins {
				b.see(2500, serverside, d, flagFIN|flagACK, 0)
			}
			b.reset(serverside, b.client, b.flow, RemoteReset, true)
			b.at(3000)
			b.closedAt(3001)
			r := b.RSTs()
			made := []Reset{
				{Serverside: true, Cause: RemoteReset, Peer: true, From: b.flow.SNAT, To: mustAddrPort("198.18.160.99:8000")}, // another's
				{Serverside: true, Cause: RemoteReset, Peer: true, From: b.flow.SNAT, To: b.flow.Member},
			}
			if got := len(r.Of(made)); len(r.Overtaken) != row.want || got != len(made)-row.want {
				t.Errorf("%d of %d are said to be sent, and %+v not; want %d that are not", got, len(made), r.Overtaken, row.want)
			}
		})
	}
}
