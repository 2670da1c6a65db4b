package analyzer

import (
	"net/netip"
	"time"

	"github.com/hopblame/hopblame/internal/pcapng"
	"github.com/hopblame/hopblame/internal/tlstap"
)

// survey is what the first pass learns at one point.
type survey struct {
	point      Point
	index      int
	packets    uint64 // of this point's interface
	lastFrame  uint64
	undecoded  uint64
	duplicates uint64   // frames that are copies of another
	unmatched  uint64   // IP fragments of TCP without their first one
	sources    []source // the point's files
	copies     copies
	timeIndex
	now       int64 // time of the latest frame
	stats     pcapng.Statistics
	hasISB    bool
	addrs     []netip.Prefix // of the interface, if the file tells
	damage    *pcapng.TruncatedError
	names     interner
	recent    [recentFlows]recentFlow // those of the latest packets, which saves most look-ups
	conns     connTable
	lone      connection // of the one being finished that has only its first SYN
	odd       []oddConn
	oddities  int         // connections that should be in odd, beyond what is remembered
	resets    []resetNote // RSTs whose trailer tells about the peer flow
	samples   sampler
	anchors   anchorage
	listeners listenerLog
	reuse     reuseCount
	servers   map[endpoint]*serverSeen
	// Connections that succeeded only after a SYN retry.
	slowSYNs    int
	slowExample tuple
	slowISN     uint32
	log         *requestLog     // nil: requests are not followed here
	secrets     *tlstap.KeyRing // what trailers tell of TLS; nil: nothing
	clues       *clues          // nil: nothing is to be inferred
	neighbours  neighbourLog
	forwarders  [][6]byte // who sent to servers over connections that came about
	sums        [2]sums   // of SYN-ACKs and SYNs, by direction
	routed      int       // SYNs and SYN-ACKs that came again at once with another TTL: copies from both sides of a router
}

// serverSeen is a destination of SYNs.
type serverSeen struct {
	endpoint
	counts RequestCounts
	reuse  reuseCount
	vlan   uint16
	order  int
	// Size of the largest IP packet to it and from it.
	largestUp, largestDown int
	side                   side      // what was inferred about it
	nextHops               []nextHop // of connections that came about
}

// conn is one connection of a flow, the latest. It is small, and the rest of it
// comes with its second packet: a flood of SYNs has a million of them, of one packet each.
type conn struct {
	key         flowKey
	isn         uint32
	flags       connFlags
	syns        uint8
	synAcks     uint8
	ttl         ttls
	synEpoch    uint16 // of started
	started     int64  // first SYN, or first packet
	gap         int64  // since the tuple's previous use; -1: none seen. See unused
	frame       uint64
	server      *serverSeen
	*connection // nil: one SYN is all that was seen
}

// connection is what there is to know of more than a first SYN.
type connection struct {
	serverISN    uint32
	exchange     int32 // index, -1 none
	synAckAt     int64
	last         int64 // last packet
	lastSYN      int64
	anchor       *anchor // its first request, if sampled
	up, down     bytesSeen
	ends         [2]ending // by way
	answerEpoch  uint16    // of synAckAt
	lastEpoch    uint16    // of last
	lastSYNEpoch uint16    // of lastSYN
	firstACK     bool      // the client sent what follows its SYN, and not only bytes that may be another connection's
}

// afterSYN is the connection as its first SYN left it.
func (c *conn) afterSYN() connection {
	return connection{exchange: -1, last: c.started, lastEpoch: c.synEpoch, lastSYN: c.started, lastSYNEpoch: c.synEpoch,
		up: bytesSeen{end: c.isn + 1, fresh: 1, known: true}}
}

// lastPacket is the time of it.
func (c *conn) lastPacket() int64 {
	if c.connection == nil {
		return c.started
	}
	return c.last
}

type connFlags uint16

const (
	initiatorIsB connFlags = 1 << iota // of the flow key
	sawSYN
	knowsISN
	completed // the handshake, with evidence of its last ACK
	clientFIN
	serverFIN
	wasReset
	clientFirst // the client said FIN before the server did
	triedAnchor // its first request was looked at
	served      // the server sent data
	endBeyond   // the server's FIN or RST came behind bytes that were not captured
	alerted     // a fatal TLS alert passed in the clear
	followed    // its requests are, and it is not decided yet
	speaksTLS   // its first bytes are TLS
	hasSecrets  // the trailers told all secrets of its TLS
	hadAnswered // the server's RST has a sequence number of its own, so a SYN-ACK went before
)

// oddConn is a connection that did not live and end in health.
type oddConn struct {
	tuple
	isn           uint32
	flags         connFlags
	syns, synAcks uint8
	started, last int64 // its first and last SYN, or 0
	gap           int64
	frame         uint64
	epochs        [2]uint16 // of started and last
}

// resetNote is a RST whose trailer names the flow on the proxy's other side.
type resetNote struct {
	tuple // of the connection that was reset
	time  int64
	frame uint64
	epoch uint16
	note  trailerNote
}

// ttls are the TTLs, or hop limits, of a connection's first SYN and first
// SYN-ACK; 0 for one that was not seen.
type ttls struct{ syn, synAck uint8 }

func newSurvey(p Point, index int, follow bool) *survey {
	s := &survey{point: p, index: index, servers: map[endpoint]*serverSeen{}}
	s.samples.limit, s.anchors.limit = 1<<64-1, 1<<64-1
	if follow {
		s.log = &requestLog{good: rhythm{}}
	}
	return s
}

// newSurvey begins the survey of a point.
func (a *analysis) newSurvey(i int, follow bool) *survey {
	s := newSurvey(a.points[i], i, follow)
	if follow {
		s.log.keys, s.log.opensWith = a.keys, a.keys.Len()
	}
	return s
}

// latest is the latest time that is one: in the year 2116. Beyond it a file is
// damaged, and differences of times would not fit into 64 bits.
const latest = 1 << 62

// isTime tells whether a frame has a time that one can reckon with.
func isTime(ns int64) bool { return ns > 0 && ns <= latest }

// take digests one frame of the point.
func (s *survey) take(link uint16, f pcapng.Packet, p *packet) {
	s.packets++
	if !isTime(f.Time) { // a simple packet block has no time: nothing can be said with it
		s.undecoded++
		return
	}
	s.note(f.Number, f.Time)
	s.now = f.Time
	p.frame, p.time = f.Number, f.Time
	if !decode(link, f.Data, p) {
		s.undecoded++
		s.neighbours.take(link, f.Data, f.Number, f.Time)
		if p.unmatched {
			s.unmatched++
		}
		return
	}
	if s.copies.are(p) {
		if s.duplicates++; s.copies.routed && p.flags&flagSYN != 0 {
			s.routed++
		}
		return
	}
	if p.icmp {
		return // matched to flows in the second pass
	}
	s.digest(p, f.Data, f.WireLength)
}

// digest updates the flow of a packet. frame is all of it, with what may
// follow the packet.
func (s *survey) digest(p *packet, frame []byte, wireLength int) {
	s.neighbours.sent(p)
	a, b := s.names.id(p.src), s.names.id(p.dst)
	key, srcIsB := keyOf(a, p.sport, b, p.dport)
	slot := &s.recent[key.slot()]
	i, known := int(slot.index), slot.key == key && slot.used
	if !known {
		if i, known = s.conns.find(key); !known {
			i = s.conns.add(key)
		}
		*slot = recentFlow{key, int32(i), true}
	}
	c := s.conns.at(i)
	if c.connection == nil && (known || p.flags != flagSYN || p.length > 0) {
		c.connection = s.conns.grow(c)
	}
	fromClient := srcIsB == (c.flags&initiatorIsB != 0)
	if p.flags&flagSYN != 0 {
		s.checkSum(p)
	}
	switch {
	case p.is(flagSYN, flagACK|flagRST):
		if known && fromClient && c.flags&knowsISN != 0 && c.isn == p.seq {
			c.syns = inc(c.syns)
			c.lastSYN, c.lastSYNEpoch = p.time, s.epoch()
			if c.flags |= sawSYN; c.synAcks == 0 {
				c.flags &^= wasReset // what was refused was not the answer to this
			}
			s.triedAgain(c, p.time)
			break
		}
		s.open(c, p, known, srcIsB)
		c.flags |= sawSYN
		c.isn, c.syns, c.ttl.syn = p.seq, 1, p.ttl
		if s.log != nil && s.log.sealed > 0 {
			s.attempted(c, p, frame, wireLength, 0)
		}
		if c.connection == nil {
			c.server.largestUp = max(c.server.largestUp, p.size)
			return
		}
		c.lastSYN, c.lastSYNEpoch = p.time, s.epoch()
		fromClient = true
	case p.is(flagSYN|flagACK, flagRST):
		if known && !fromClient && c.flags&knowsISN != 0 && c.isn != p.ack-1 && !c.ended() {
			return // a late answer to an earlier connection of the tuple
		}
		if !known || fromClient || c.isn != p.ack-1 || c.flags&knowsISN == 0 {
			s.open(c, p, known, !srcIsB)
			c.isn = p.ack - 1
			fromClient = false
		}
		if c.synAcks == 0 {
			c.synAckAt, c.serverISN, c.answerEpoch, c.ttl.synAck = p.time, p.seq, s.epoch(), p.ttl
			s.listeners.answered(c.server.endpoint, p.time)
		}
		c.synAcks = inc(c.synAcks)
	case !known:
		// The capture began in mid-connection. Whoever sends a request is the
		// client; without one the lower port is taken for the server's.
		client := p.sport > p.dport || len(p.payload) > 4 && (&message{request: true}).looksRight(p.payload[:min(len(p.payload), 16)])
		s.open(c, p, false, srcIsB == client)
		c.flags &^= knowsISN
		fromClient = client
	}
	s.follow(c, p, frame, wireLength, fromClient)
}

// open starts a new connection in a flow's place.
func (s *survey) open(c *conn, p *packet, known, initiatorB bool) {
	gap := int64(-1)
	if known {
		s.finish(c, replaced)
		gap = c.unused(p.time)
	}
	server := endpoint{c.key.b, c.key.pb}
	if initiatorB {
		server = endpoint{c.key.a, c.key.pa}
	}
	seen := s.servers[server]
	if seen == nil {
		seen = &serverSeen{endpoint: server, vlan: p.vlan, order: len(s.servers)}
		s.servers[server] = seen
	}
	*c = conn{key: c.key, gap: gap, started: p.time, frame: p.frame, flags: knowsISN, server: seen, synEpoch: s.epoch(), connection: c.connection}
	if c.connection != nil {
		*c.connection = connection{exchange: -1, last: p.time, lastEpoch: s.epoch()}
	}
	if initiatorB {
		c.flags |= initiatorIsB
	}
	if s.log != nil {
		c.flags |= followed
	}
}

// unused is how long ago, at a time, the tuple was last in use. SYNs that nobody answered
// are no use: they keep no session alive, and the hop that drops them for an old one would
// hide by them how old it is.
func (c *conn) unused(now int64) int64 {
	const answered = completed | served | serverFIN | wasReset
	switch {
	case c.flags&knowsISN == 0 || c.synAcks > 0 || c.flags&answered != 0:
		return max(0, now-c.last)
	case c.gap < 0:
		return -1
	}
	return c.gap + max(0, now-c.started)
}

// epoch is the present one of the capture's clock.
func (s *survey) epoch() uint16 { return uint16(len(s.epochs) - 1) }

// ended tells whether both sides closed the connection, or one reset it.
func (c *conn) ended() bool {
	const both = clientFIN | serverFIN
	return c.flags&both == both || c.flags&wasReset != 0
}

// hangUp notes that a client has said FIN while its request is unanswered. It may have
// closed one half of the connection only.
func (s *survey) hangUp(c *conn) {
	if c.exchange >= 0 {
		e := &s.log.exchanges[c.exchange]
		e.late = e.active
	}
}

// follow updates a connection with one of its packets.
func (s *survey) follow(c *conn, p *packet, frame []byte, wireLength int, fromClient bool) {
	c.last, c.lastEpoch = max(c.last, p.time), s.epoch()
	s.account(c, p, fromClient)
	if fromClient {
		c.server.largestUp = max(c.server.largestUp, p.size)
	} else {
		c.server.largestDown = max(c.server.largestDown, p.size)
	}
	if fromClient && p.is(flagACK, flagSYN|flagRST) && p.seq-c.isn-1 < 1<<24 || !fromClient && p.length > 0 && p.flags&flagRST == 0 {
		if fromClient && c.flags&completed == 0 {
			c.server.leads(p.nextHop(frame))
			s.forwards(p.link, frame)
		}
		c.flags |= completed
		c.firstACK = c.firstACK || fromClient && p.seq == c.isn+1
	}
	if p.length > 0 && !fromClient {
		c.flags |= served
	}
	if c.flags&followed != 0 && fatalAlert(p) > 0 {
		c.flags |= alerted
	}
	if c.flags&(speaksTLS|hasSecrets) == speaksTLS && s.point.Side != Serverside {
		s.learnSecrets(c, frame, wireLength)
	}
	if len(p.payload) > 0 {
		if fromClient && c.flags&triedAnchor == 0 {
			if tlstap.IsTLS(p.payload) {
				c.flags |= speaksTLS
			}
			s.anchorRequest(c, p)
		} else if !fromClient && c.anchor != nil && c.anchor.replied == 0 {
			c.anchor.replied, c.anchor.epochs[2], c.anchor.stamps[down] = p.time, s.epoch(), p.sent()
		}
	}
	if c.exchange >= 0 || c.flags&followed != 0 && c.speaks(p, fromClient) {
		s.feed(c, p, frame, wireLength, fromClient)
	}
	if s.clues != nil && p.length > 0 {
		s.clues.data(s, c, p, frame, wireLength, fromClient)
	}
	if p.flags&(flagFIN|flagRST) != 0 {
		c.ends[wayOf(fromClient)].take(p, s.epoch())
	}
	if p.flags&flagFIN != 0 {
		if fromClient {
			if c.flags |= clientFIN; c.flags&serverFIN == 0 || s.unheard(c, p) {
				c.flags |= clientFirst
				s.hangUp(c)
			}
		} else {
			c.flags |= serverFIN
			s.endsBeyond(c, p)
		}
	}
	if p.flags&flagRST != 0 {
		if fromClient && c.refuses(p) {
			return
		}
		c.flags |= wasReset
		var note trailerNote
		if decodeTrailer(frame, wireLength, &note) && note.hasPeer && len(s.resets) < maxRemembered {
			s.resets = append(s.resets, resetNote{s.tuple(c), p.time, p.frame, s.epoch(), note})
		}
		if !fromClient && (p.seq != 0 || p.flags&flagACK == 0) { // RFC 9293 §3.10.7.1
			c.flags |= hadAnswered
		}
		if !fromClient {
			s.endsBeyond(c, p)
		}
		how := serverReset
		switch {
		case fromClient:
			how = clientReset
		case s.tooLate(c, p):
			how = finished
		}
		s.decide(c, how, p.time, p.frame)
		return
	}
	if p.flags&flagFIN != 0 && c.exchange >= 0 {
		e := &s.log.exchanges[c.exchange]
		untilFIN := e.active && e.down.state == untilClose && c.flags&serverFIN != 0
		if untilFIN || c.ended() && !e.held {
			s.decide(c, finished, p.time, p.frame)
		}
	}
}

// endsBeyond notes that the server ends a connection behind bytes that were not captured.
func (s *survey) endsBeyond(c *conn, p *packet) {
	if c.exchange < 0 {
		return
	}
	if d := &s.log.exchanges[c.exchange].down; d.known && int32(p.seq+uint32(p.length)-d.next) > 0 {
		c.flags |= endBeyond
	}
}

// unheard tells whether a client that ends a connection has not got the server's end: it
// acknowledges nothing of the bytes before that, which were not captured here either.
func (s *survey) unheard(c *conn, p *packet) bool {
	if c.flags&endBeyond == 0 || c.exchange < 0 || !p.is(flagACK, 0) {
		return false
	}
	d := &s.log.exchanges[c.exchange].down
	return d.known && int32(p.ack-d.next) <= 0
}

// tooLate tells whether a RST to the client answers its FIN, by which it had given up: it
// comes from a host that has no such connection (RFC 9293 §3.10.7.1).
func (s *survey) tooLate(c *conn, rst *packet) bool {
	if c.flags&clientFIN == 0 || c.exchange < 0 || rst.flags&flagACK != 0 {
		return false
	}
	d := &s.log.exchanges[c.exchange].down
	return d.known && rst.seq == d.next
}

// refuses tells whether a client's RST is not the end of its connection, but what it says to
// an answer that is none to its SYN, such as to one whose number was changed on the way: it
// goes on asking (RFC 9293 §3.10.7.3, SYN-SENT: <SEQ=SEG.ACK><CTL=RST>).
func (c *conn) refuses(rst *packet) bool {
	return c.flags&(sawSYN|knowsISN) == sawSYN|knowsISN && c.synAcks == 0 && rst.flags&flagACK == 0 && rst.seq-c.isn > 1
}

// speaks tells whether a packet carries data, or acknowledges some: only then is
// there anything to follow, and most of a flood of SYNs never comes so far.
func (c *conn) speaks(p *packet, fromClient bool) bool {
	if p.length > 0 {
		return true
	}
	first, known := c.isn+1, c.flags&knowsISN != 0
	if fromClient {
		first, known = c.serverISN+1, c.synAcks > 0
	}
	return known && p.is(flagACK, flagRST) && int32(p.ack-first) > 0
}

// feed hands a packet's bytes to the exchange. frame is all of the packet's.
func (s *survey) feed(c *conn, p *packet, frame []byte, wireLength int, fromClient bool) {
	if c.exchange < 0 {
		c.exchange = s.log.begin(c)
	}
	e := &s.log.exchanges[c.exchange]
	e.now, e.nowEpoch = p.time, s.epoch()
	from, to := &e.up, &e.down
	var fromSink, toSink sink = (*upSink)(e), (*downSink)(e)
	if !fromClient {
		from, to, fromSink, toSink = to, from, toSink, fromSink
	}
	if p.flags&flagSYN != 0 {
		if !from.known { // else it is sent again, or a copy
			from.start(p.seq + 1)
		}
		return
	}
	begun, ok := e.ordinal, e.counts.OK
	// What it acknowledges came before what it says: an answer belongs to a request, also
	// where that was not captured.
	if p.flags&flagACK != 0 && to.known {
		ack := p.ack
		if c.flags&(serverFIN|clientFIN) != 0 {
			ack-- // may acknowledge a FIN, which is no byte
		}
		to.acked(ack, toSink)
	}
	if p.flags&flagRST != 0 {
		return
	}
	if fromClient && e.held && p.is(flagACK, 0) && int32(p.ack-e.down.next) >= 0 {
		e.complete()
	}
	e.beheaded = e.beheaded || fromClient && p.cut && len(p.payload) == 0 && p.length > 0
	from.push(p.seq, p.payload, p.length, fromSink)
	if e.tls != nil {
		s.feedInside(c, e, p)
	} else if s.log.sealed > 0 {
		switch {
		case e.counts.OK > ok:
			s.succeeded(c)
		case e.ordinal > begun && s.attemptOf(c) == nil:
			s.attempted(c, p, frame, wireLength, e.laterSeq())
		}
	}
	if e.failed != OK {
		s.fail(c, e, p.time, p.frame)
	}
}

// shook tells whether the handshake that c began with is the one that completed. Behind a
// pause of the capture the packets of a tuple may be those of its next connection, whose
// numbers are near: an initial one grows by 2^24 in a second (RFC 9293 §3.4.1; Linux counts
// 64 ns: net/core/secure_seq.c).
func (c *conn) shook() bool {
	return c.flags&completed != 0 && (c.synAcks > 0 || c.firstACK)
}

// tuple tells who talks to whom, initiator first.
func (s *survey) tuple(c *conn) tuple {
	k := c.key
	a := netip.AddrPortFrom(s.names.addr(k.a), k.pa)
	b := netip.AddrPortFrom(s.names.addr(k.b), k.pb)
	if c.flags&initiatorIsB != 0 {
		a, b = b, a
	}
	return tuple{a, b}
}

// conn returns the latest connection of a flow; nil if it was not seen here.
func (s *survey) conn(t tuple) *conn {
	if !s.names.saw(t.client.Addr()) || !s.names.saw(t.server.Addr()) {
		return nil
	}
	key, _ := s.names.key(t)
	if i, ok := s.conns.find(key); ok {
		return s.conns.at(i)
	}
	return nil
}

// finish ends a connection's life: its request is decided, its handshake
// sampled, and only if something was odd about it is it remembered.
func (s *survey) finish(c *conn, how closing) {
	if c.connection == nil {
		s.lone = c.afterSYN()
		c.connection = &s.lone
		defer func() { c.connection = nil }()
	}
	s.decide(c, how, c.last, 0)
	if c.flags&knowsISN == 0 {
		return
	}
	t := s.tuple(c)
	s.samples.add(t, c)
	if c.synAcks > 0 && c.flags&served == 0 {
		s.listeners.stayed(c.server.endpoint, c.synAckAt, c.last)
	}
	healthy := c.flags&completed != 0 && c.flags&wasReset == 0
	if healthy && c.syns > 1 {
		if s.slowSYNs++; s.slowSYNs == 1 {
			s.slowExample, s.slowISN = t, c.isn
		}
	}
	c.server.reuse.count(healthy, c.gap)
	switch {
	case healthy:
	case len(s.odd) >= maxRemembered:
		s.oddities++
	default:
		s.odd = append(s.odd, oddConn{t, c.isn, c.flags, c.syns, c.synAcks, c.started, c.lastSYN, c.gap, c.frame, [2]uint16{c.synEpoch, c.lastSYNEpoch}})
	}
}

// maxRemembered bounds what is kept of odd connections, as in a capture of a
// SYN flood.
const maxRemembered = 1 << 16

// end closes the books at the end of the file.
func (s *survey) end() {
	for i := range s.conns.len() { // not the map, whose order is not repeatable
		s.finish(s.conns.at(i), cutOff)
	}
	if s.log != nil {
		s.log.exchanges, s.log.free = nil, nil
	}
	sortBy(s.odd, func(o *oddConn) int64 { return o.started })
	s.samples.sort()
	s.anchors.sort()
}

func inc(n uint8) uint8 { return n + (1 - n/255) }

func stamp(ns int64) time.Time { return time.Unix(0, ns).UTC() }
