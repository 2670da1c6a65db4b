package analyzer

import "time"

// fragments remembers the first fragments of IP packets whose rest is still to
// come. Only the first has the ports, so that without it the rest belongs to
// nobody: it is counted, and never taken for loss.
type fragments struct {
	firsts [maxFragments]firstFragment
	next   int
}

const (
	// maxFragments bounds how many packets in pieces are followed at a time. The
	// pieces of a packet leave their sender in one go.
	maxFragments = 64
	// fragmentAge is how long a receiver waits for the rest: RFC 8200 §4.5 says
	// 60 s, Linux 30 s (net.ipv4.ipfrag_time). After it the number means another
	// packet.
	fragmentAge = int64(30 * time.Second)
)

type firstFragment struct {
	used         bool
	n            int // length of the addresses
	src, dst     [16]byte
	id           uint32
	time         int64
	sport, dport uint16
	seq, ack     uint32
	window       uint16
	flags        byte
	head         int // of TCP
	due          int // offset of the fragment that must be next
}

// piece decodes an IP fragment of TCP whose addresses are set. The first is a
// segment that is shorter than its sender meant; the others, if they follow in
// order, are further payload of the same connection.
func (p *packet) piece(b []byte, length int, id uint32, offset int, more bool) bool {
	p.unsummed = true
	if offset == 0 {
		if !decodeTCP(b, length, p, false) {
			return false
		}
		p.remember(id, length)
		return true
	}
	f := p.first(id)
	if f == nil || f.due != offset || offset < f.head {
		p.unmatched = true
		return false
	}
	p.fragment, p.tcpOptions = true, tcpOptions{wscale: noScale}
	p.sport, p.dport, p.ack, p.window = f.sport, f.dport, f.ack, f.window
	p.seq = f.seq + uint32(offset-f.head)
	if f.flags&flagSYN != 0 {
		p.seq++
	}
	p.flags = f.flags &^ (flagSYN | flagFIN | flagRST)
	p.length, p.payload = length, b
	f.due += length
	f.used = more
	return true
}

// remember keeps the packet as the first fragment of an IP packet.
func (p *packet) remember(id uint32, length int) {
	if p.fragments == nil {
		p.fragments = &fragments{}
	}
	f := p.first(id)
	if f == nil {
		t := p.fragments
		f = &t.firsts[t.next]
		t.next = (t.next + 1) % maxFragments
	}
	*f = firstFragment{used: true, n: len(p.src), id: id, time: p.time, sport: p.sport, dport: p.dport, seq: p.seq, ack: p.ack,
		window: p.window, flags: p.flags, head: length - p.length, due: length}
	copy(f.src[:], p.src)
	copy(f.dst[:], p.dst)
}

func (p *packet) first(id uint32) *firstFragment {
	if p.fragments == nil {
		return nil
	}
	for i := range p.fragments.firsts {
		f := &p.fragments.firsts[i]
		if f.used && f.id == id && f.n == len(p.src) && p.time-f.time < fragmentAge &&
			string(f.src[:f.n]) == string(p.src) && string(f.dst[:f.n]) == string(p.dst) {
			return f
		}
	}
	return nil
}
