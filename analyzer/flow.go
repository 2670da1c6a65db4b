package analyzer

import (
	"hash/maphash"
	"net/netip"
	"sort"
)

// tuple is a connection's addresses, initiator first.
type tuple struct{ client, server netip.AddrPort }

// endpoint is an interned address and a port.
type endpoint struct {
	addr uint32
	port uint16
}

// flowKey is the two ends of a flow in canonical order: 12 bytes, since it
// is looked up once a packet.
type flowKey struct {
	a, b   uint32
	pa, pb uint16
}

// connTable holds connections in pages: a slice that grows would for a moment be
// there twice, and these are what most of the memory goes into.
type connTable struct {
	pages [][]conn
	n     int
	index numbers      // of the flows
	rest  []connection // of the latest page of them
}

const connPage = 1 << 10

func (t *connTable) len() int { return t.n }

func (t *connTable) at(i int) *conn { return &t.pages[i/connPage][i%connPage] }

// find returns the flow's connection.
func (t *connTable) find(key flowKey) (int, bool) {
	i, ok := t.index.find(key.hash(), func(i uint32) bool { return t.at(int(i)).key == key })
	return int(i), ok
}

// add puts in the first connection of a flow.
func (t *connTable) add(key flowKey) int {
	if t.n%connPage == 0 {
		t.pages = append(t.pages, make([]conn, 0, connPage))
	}
	last := &t.pages[len(t.pages)-1]
	*last = append(*last, conn{key: key})
	t.index.add(key.hash(), uint32(t.n), func(i uint32) uint64 { return t.at(int(i)).key.hash() })
	t.n++
	return t.n - 1
}

// forget lets go of the connections; how many there were is kept.
func (t *connTable) forget() { *t = connTable{n: t.n} }

// grow returns the rest of a connection, as its first SYN left it.
func (t *connTable) grow(c *conn) *connection {
	if len(t.rest) == cap(t.rest) {
		t.rest = make([]connection, 0, connPage)
	}
	t.rest = append(t.rest, c.afterSYN())
	return &t.rest[len(t.rest)-1]
}

// recentFlow is an entry of a small direct-mapped cache in front of the flow table:
// a packet's flow is mostly one of the last few hundred, and a map look-up costs four
// times as much.
type recentFlow struct {
	key   flowKey
	index int32
	used  bool
}

const recentFlows = 1 << 11

// slot is where the cache keeps a flow.
func (k flowKey) slot() uint32 {
	h := (uint32(k.pa)<<16 | uint32(k.pb)) ^ k.a*2654435761 ^ k.b*2246822519
	return h * 2654435761 >> (32 - 11)
}

func (k flowKey) hash() uint64 { return maphash.Comparable(hashSeed, k) }

// keyOf returns the key and whether the source is its second end.
func keyOf(src uint32, sport uint16, dst uint32, dport uint16) (flowKey, bool) {
	if src < dst || src == dst && sport <= dport {
		return flowKey{src, dst, sport, dport}, false
	}
	return flowKey{dst, src, dport, sport}, true
}

// interner numbers addresses. The zero value is ready.
type interner struct {
	ids   numbers
	addrs []netip.Addr
	cache [256]internSlot // by the address's low bits
}

type internSlot struct {
	b  [16]byte
	n  uint8
	id uint32
}

func (t *interner) id(b []byte) uint32 {
	n := len(b)
	slot := &t.cache[b[n-1]^b[n-2]<<4]
	if int(slot.n) == n && string(slot.b[:n]) == string(b) {
		return slot.id
	}
	a, _ := netip.AddrFromSlice(b)
	id := t.idOf(a)
	slot.n, slot.id = uint8(n), id
	copy(slot.b[:], b)
	return id
}

func (t *interner) idOf(a netip.Addr) uint32 {
	id, ok := t.find(a)
	if !ok {
		id = uint32(len(t.addrs))
		t.addrs = append(t.addrs, a)
		t.ids.add(maphash.Comparable(hashSeed, a), id, func(i uint32) uint64 { return maphash.Comparable(hashSeed, t.addrs[i]) })
	}
	return id
}

func (t *interner) addr(id uint32) netip.Addr { return t.addrs[id] }

// find returns the address's number, if it was ever interned.
func (t *interner) find(a netip.Addr) (uint32, bool) {
	return t.ids.find(maphash.Comparable(hashSeed, a), func(i uint32) bool { return t.addrs[i] == a })
}

// saw tells whether the address was ever interned.
func (t *interner) saw(a netip.Addr) bool { _, ok := t.find(a); return ok }

// key interns a tuple.
func (t *interner) key(u tuple) (flowKey, bool) {
	return keyOf(t.idOf(u.client.Addr()), u.client.Port(), t.idOf(u.server.Addr()), u.server.Port())
}

// hash is the same for a connection at every point, whatever the program's run.
func (t tuple) hash(isn uint32) uint64 {
	h := uint64(14695981039346656037) // FNV-1a, then mix since low bits alone would be weak
	add := func(b byte) { h = (h ^ uint64(b)) * 1099511628211 }
	for _, e := range [2]netip.AddrPort{t.client, t.server} {
		for _, b := range e.Addr().As16() {
			add(b)
		}
		add(byte(e.Port() >> 8))
		add(byte(e.Port()))
	}
	for i := range 4 {
		add(byte(isn >> (8 * i)))
	}
	return mix(h)
}

// mix is a finalizer (Stafford's variant in MurmurHash3): every bit of the input
// moves every bit of the output.
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// sortBy sorts by a time. It compares in place: copies of what it sorts would all
// end up on the heap.
func sortBy[T any](s []T, by func(*T) int64) {
	sort.SliceStable(s, func(i, j int) bool { return by(&s[i]) < by(&s[j]) })
}
