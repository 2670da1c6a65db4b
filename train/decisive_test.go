package train

import (
	"testing"

	"github.com/hopblame/hopblame/analyzer"
)

func TestEveryCauseHasADecisiveFrame(t *testing.T) {
	for c := range analyzer.Causes {
		if by, ok := deciding[c]; ok == (c == analyzer.Inconclusive) || ok && by.of == 0 {
			t.Errorf("%s: %v", c, by)
		}
	}
	for c := range deciding {
		if !c.Valid() {
			t.Errorf("%s is no cause", c)
		}
	}
}

func TestTheDecisiveFrameIsWhatTheCauseSpeaksOf(t *testing.T) {
	const (
		isSYN, isSYNAck = " && tcp.flags.syn==1 && tcp.flags.ack==0 && tcp.len==0", " && tcp.flags.syn==1 && tcp.flags.ack==1 && tcp.len==0"
		isACK, isFIN    = " && tcp.flags.syn==0 && tcp.flags.ack==1 && tcp.len==0", " && tcp.flags.syn==0 && tcp.flags.ack==1 && tcp.flags.fin==1 && tcp.len==0"
		isData          = " && tcp.flags.syn==0 && tcp.flags.ack==1 && tcp.len==208"
		ask, tell       = "arp.opcode==1 && arp.dst.proto_ipv4==198.18.160.82", "arp.opcode==2 && arp.src.proto_ipv4==198.18.160.82"
		unreachable     = "icmp.type==3 && icmp.code==13 && " + toServer + " && tcp.seq==1"
	)
	at := func(point string, number uint64, filter string) analyzer.Evidence {
		return frame(point, "x.pcapng", number, "", filter)
	}
	for _, row := range []struct {
		name     string
		cause    analyzer.Cause
		hop      string
		between  []string
		evidence []analyzer.Evidence
		want     uint64
	}{
		{"the client gives up: its FIN, not its SYN", analyzer.ClientAbort, "client", []string{"client/eth0"}, []analyzer.Evidence{
			at("client/eth0", 1, fromClient+isSYN), at("client/eth0", 2, fromClient+isData), at("client/eth0", 3, fromClient+isFIN), at("client/eth0", 4, fromClient+isRST)}, 3},
		{"the server resets: its RST, not the request", analyzer.AppReset, "server2", []string{"server2/eth0"}, []analyzer.Evidence{
			at("server2/eth0", 1, toServer+isData), at("server2/eth0", 2, toF5+isRST), at("f5/0.0", 3, toClient+isRST)}, 2},
		{"the listen queue is full: the SYN-ACK that comes again", analyzer.ListenQueueFull, "server2", []string{"server2/eth0"}, []analyzer.Evidence{
			at("server2/eth0", 1, toF5+isSYNAck), at("server2/eth0", 2, toServer+isACK), at("server2/eth0", 3, toF5+isSYNAck)}, 3},
		{"a SYN-ACK is lost: the SYN-ACK, not the SYN", analyzer.SYNAckDropped, "link:firewall-server1", []string{"server1/eth0", "firewall/feth10"}, []analyzer.Evidence{
			at("server1/eth0", 1, toServer+isSYN), at("server1/eth0", 2, toF5+isSYNAck), at("server1/eth0", 3, toF5+isSYNAck)}, 2},
		{"a response is lost before the client: the response at the f5, not the request at the client", analyzer.ResponseDropped, "link:client-f5", []string{"f5/0.0", "client/eth0"}, []analyzer.Evidence{
			at("client/eth0", 1, fromClient+isData), at("f5/0.0", 2, toClient+isData), at("f5/0.0", 3, toClient+isData)}, 2},
		{"a time stamp is rewritten: the data where it came out, not the SYN there", analyzer.Rewritten, "firewall", []string{"firewall/feth11", "firewall/feth10"}, []analyzer.Evidence{
			at("firewall/feth11", 1, toServer+isData), at("firewall/feth10", 2, toServer+isData), at("firewall/feth10", 3, toServer+isSYN)}, 2},
		{"it came late: the packet where it was late", analyzer.Delayed, "link:f5-firewall", []string{"f5/0.0", "firewall/feth11"}, []analyzer.Evidence{
			at("f5/0.0", 1, toServer+isSYN), at("firewall/feth11", 2, toServer+isSYN)}, 2},
		{"nobody answers the question", analyzer.NeighbourUnresolved, "server2", []string{"server2/eth0"}, []analyzer.Evidence{
			at("firewall/feth10", 1, ask), at("server2/eth0", 2, ask)}, 2},
		{"the answer to the question is lost", analyzer.NeighbourUnresolved, "link:firewall-server2", []string{"server2/eth0", "firewall/feth10"}, []analyzer.Evidence{
			at("firewall/feth10", 1, ask), at("server2/eth0", 2, ask), at("server2/eth0", 3, tell)}, 3},
		{"the firewall rejects by ICMP", analyzer.Rejected, "firewall", []string{"firewall/feth11", "firewall/feth10"}, []analyzer.Evidence{
			at("firewall/feth11", 1, toServer+isSYN), at("firewall/feth11", 2, unreachable)}, 2},
		{"the server answers 5xx: its response, not the request", analyzer.AppError, "server2", []string{"server2/eth0"}, []analyzer.Evidence{
			at("server2/eth0", 1, toServer+isData), at("server2/eth0", 2, toF5+isData)}, 2},
		{"none of the kind: the first that proves it", analyzer.PortClosed, "server2", []string{"server2/eth0"}, []analyzer.Evidence{
			at("client/eth0", 1, fromClient+isSYN), at("server2/eth0", 2, toServer+isSYN)}, 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			v := verdict()
			v.Cause, v.Hop, v.Between, v.Evidence = row.cause, row.hop, row.between, row.evidence
			if got := decisive(&v); got == nil || got.Frame != row.want {
				t.Errorf("got %+v, want frame %d", got, row.want)
			}
		})
	}
}
