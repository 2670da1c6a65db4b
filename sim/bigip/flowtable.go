package bigip

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hopblame/hopblame/analyzer/f5trailer"
)

// side is one half of the proxy.
type side uint8

const (
	clientside side = iota
	serverside
)

// VLAN ids of the two sides, as a BIG-IP numbers untagged VLANs internally; and of its leg
// in the servers' own network, where it has one.
const (
	ClientsideVLAN = 4094
	ServersideVLAN = 4093
	ServersVLAN    = 4092
)

// FlowTable knows, for every frame the f5's capture sees, what TMM knew when the
// frame passed. The capture lags behind the proxy, and addresses and ports come
// round again, so the table is kept by time: the proxy posts what it does as
// events, each before the system call that makes it visible, and the table
// applies them as the frames' own time passes.
type FlowTable struct {
	config  Config
	tcpdump command     // of the capture
	unread  atomic.Bool // there is no capture: nothing need be posted

	mu     sync.Mutex
	posted []event // by the proxy, in order of time

	// The rest belongs to the capture's thread.
	pending queue[event]
	halves  map[tuple]*flowHalf
	leaving queue[departure] // closed flows, in order of time
	freeIDs [tmms][]uint64
	nextID  [tmms]uint64
	trailer f5trailer.Trailer
	refusal Cause // what a SYN to the virtual server is answered with; zero: it listens
	rsts    RSTs
}

// tuple names a flow: the address that is not the BIG-IP's, and the one that is.
type tuple struct{ remote, local netip.AddrPort }

// flowHalf is one entry: TMM calls it a flow.
type flowHalf struct {
	id       uint64
	tmm      uint8
	vlan     uint16
	ends     tuple
	peer     *flowHalf
	carrying bool // bytes have passed
	closed   bool
	reset    *f5trailer.RSTCause
	wasReset bool            // its RST has been seen
	fins     [2]bool         // seen from the other end, and to it
	tls      []f5trailer.TLV // for the next frame
	matched  bool            // the capture's filter, by one of its packets
	followed bool            // captured because its peer did
	rejected bool            // no flow: what a packet without one is answered with
}

type eventKind uint8

const (
	flowConnect  eventKind = iota // the serverside half is opened
	flowReset                     // a half is about to be reset
	flowClosed                    // both halves are about to be closed
	flowRefusal                   // from now on SYNs are refused, or no longer
	flowSecrets                   // the client's TLS can be read
	flowRejected                  // a packet without a flow is about to be answered
)

type event struct {
	kind           eventKind
	at             int64 // ns since the epoch
	client, server tuple
	cause          Cause
	side           side
	peer           bool
	tls            []f5trailer.TLV
}

type departure struct {
	at   int64
	half *flowHalf
}

// linger is how long a closed flow's last packets may still pass.
const linger = int64(2 * time.Second)

// tmms is the number of TMM instances; a flow and its peer are on the same one.
const tmms = 2

// Flow ids look like pointers: an upper half for each TMM, multiples of 0x100.
const flowIDStep = 0x100

func newFlowTable(c Config) *FlowTable {
	tcpdump, _ := c.Tcpdump.parse() // Validate refuses what cannot be
	return &FlowTable{config: c, tcpdump: tcpdump, halves: map[tuple]*flowHalf{},
		rsts:   RSTs{ByCause: map[Reset]int{}},
		nextID: [tmms]uint64{0x2b8adf76b500, 0x5600df76b500}}
}

// post is called by the proxy. It returns the event's time.
func (t *FlowTable) post(e event) time.Time {
	now := time.Now()
	if t.unread.Load() && e.kind != flowRefusal {
		return now
	}
	e.at = now.UnixNano()
	t.mu.Lock()
	t.posted = append(t.posted, e)
	t.mu.Unlock()
	return now
}

func (t *FlowTable) clientTuple(client netip.AddrPort) tuple {
	return tuple{remote: client, local: t.config.VirtualServer.Destination}
}

func (t *FlowTable) serverTuple(f *Flow) tuple {
	if f == nil {
		return tuple{}
	}
	return tuple{remote: f.Member, local: f.SNAT}
}

func (t *FlowTable) connect(f *Flow) {
	t.post(event{kind: flowConnect, client: t.clientTuple(f.Client), server: t.serverTuple(f)})
}

func (t *FlowTable) reset(s side, client netip.AddrPort, f *Flow, cause Cause, peer bool) time.Time {
	return t.post(event{kind: flowReset, client: t.clientTuple(client), server: t.serverTuple(f), cause: cause, side: s, peer: peer})
}

// closed is told of the halves that there are: the client's address is zero, or the
// flow nil, where a half ends in memory.
func (t *FlowTable) closed(client netip.AddrPort, f *Flow) time.Time {
	return t.post(event{kind: flowClosed, client: t.clientTuple(client), server: t.serverTuple(f)})
}

// refuse is told that the virtual server's port is closed from now on, and why; the
// zero Cause says that it is open again.
func (t *FlowTable) refuse(c Cause) { t.post(event{kind: flowRefusal, cause: c}) }

// advance applies everything the proxy did up to a frame's time.
func (t *FlowTable) advance(to int64) {
	if last := t.pending.last(); last == nil || last.at <= to {
		t.mu.Lock()
		t.pending.push(t.posted...)
		t.posted = t.posted[:0]
		t.mu.Unlock()
	}
	for e := t.pending.first(); e != nil && e.at <= to; e = t.pending.first() {
		t.apply(e)
		t.pending.pop()
	}
	for d := t.leaving.first(); d != nil && d.at <= to; d = t.leaving.first() {
		t.remove(d.half)
		t.leaving.pop()
	}
}

// queue is first in, first out. Thousands of flows wait in one to be removed, one
// at a time: what is popped is left in place until it is half of all.
type queue[T any] struct {
	all  []T
	head int
}

func (q *queue[T]) push(more ...T) {
	if q.head > len(q.all)/2 {
		q.all = append(q.all[:0], q.all[q.head:]...)
		q.head = 0
	}
	q.all = append(q.all, more...)
}

func (q *queue[T]) pop() { q.head++ }

// first and last are nil when there is none; they hold until the next push.
func (q *queue[T]) first() *T {
	if q.head == len(q.all) {
		return nil
	}
	return &q.all[q.head]
}

func (q *queue[T]) last() *T {
	if q.head == len(q.all) {
		return nil
	}
	return &q.all[len(q.all)-1]
}

func (t *FlowTable) apply(e *event) {
	client, server := t.halves[e.client], t.halves[e.server]
	switch e.kind {
	case flowConnect:
		if client == nil { // its SYN was not captured
			client = t.open(e.client, ClientsideVLAN, clientTMM(e.client))
		}
		// A SNAT port is chosen so that both halves meet on one TMM.
		server = t.open(e.server, ServersideVLAN, client.tmm)
		client.peer, server.peer = server, client
	case flowReset:
		half := client
		if e.side == serverside {
			half = server
		}
		if half != nil {
			cause := e.cause.record(e.peer)
			half.reset = &cause
		}
		if client != nil && server != nil {
			client.peer = server // of several serverside flows, the one that it is about
		}
	case flowRefusal:
		t.refusal = e.cause
	case flowSecrets:
		if client != nil {
			client.tls = e.tls
		}
	case flowRejected:
		t.applyRejected(e)
	case flowClosed:
		for _, h := range []*flowHalf{client, server} {
			if h != nil {
				h.closed = true
				t.leaving.push(departure{e.at + linger, h})
			}
		}
	}
}

// clientTMM is the TMM that a client's connection is given to.
func clientTMM(ends tuple) uint8 { return uint8(ends.remote.Port() % tmms) }

// open enters a new flow, in place of an old one of the same addresses.
func (t *FlowTable) open(ends tuple, vlan uint16, tmm uint8) *flowHalf {
	if old := t.halves[ends]; old != nil {
		t.remove(old)
	}
	h := &flowHalf{tmm: tmm, vlan: vlan, ends: ends}
	if free := t.freeIDs[h.tmm]; len(free) > 0 {
		// The last one freed is used again at once, as on the box.
		h.id, t.freeIDs[h.tmm] = free[len(free)-1], free[:len(free)-1]
	} else {
		t.nextID[h.tmm] += flowIDStep
		h.id = t.nextID[h.tmm]
	}
	t.halves[ends] = h
	return h
}

func (t *FlowTable) remove(h *flowHalf) {
	if t.halves[h.ends] != h {
		return // replaced before, and freed then
	}
	t.overtaken(h)
	delete(t.halves, h.ends)
	if h.peer != nil && h.peer.peer == h {
		h.peer.peer = nil
	}
	if !h.rejected {
		t.freeIDs[h.tmm] = append(t.freeIDs[h.tmm], h.id)
	}
}
