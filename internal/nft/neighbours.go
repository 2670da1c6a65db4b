package nft

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// ResolutionSpec describes a rule that drops and counts what hosts ask and say about the
// hardware addresses of some of them: ARP (RFC 826), or neighbour solicitations and
// advertisements (RFC 4861 §4.3, §4.4).
type ResolutionSpec struct {
	Name    string // of the table
	Device  string // what comes in there is meant; "" is what a bridge forwards
	IPv6    bool
	Answers bool // instead of the questions
	Targets []netip.Addr
}

// Resolution is an installed rule.
type Resolution struct {
	conn  *Conn
	table *nftables.Table
	chain *nftables.Chain
}

// Operations of ARP, and types of ICMPv6.
const (
	arpRequest    = 1
	arpReply      = 2
	solicitation  = 135
	advertisement = 136
)

// AddResolution installs a rule, which acts at once.
func (c *Conn) AddResolution(s ResolutionSpec) (*Resolution, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	family, chain := nftables.TableFamilyBridge, &nftables.Chain{Name: "resolution", Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter}
	if s.Device != "" {
		// Behind the captures there, and before the host's own ARP.
		family, chain.Hooknum, chain.Device = nftables.TableFamilyNetdev, nftables.ChainHookIngress, s.Device
	}
	r := &Resolution{conn: c, table: c.c.AddTable(&nftables.Table{Family: family, Name: s.Name})}
	chain.Table = r.table
	r.chain = c.c.AddChain(chain)
	of, err := c.among(r.table, s.IPv6, s.Targets)
	if err != nil {
		return nil, fmt.Errorf("nftables: fault %s: set: %w", s.Name, err)
	}
	exprs := slices.Concat(s.match(), of, []expr.Any{&expr.Counter{}, Drop.expr()})
	c.c.AddRule(&nftables.Rule{Table: r.table, Chain: r.chain, Exprs: exprs})
	return r, c.flush("fault " + s.Name)
}

// match finds the questions or answers, and loads whose address they are about.
func (s *ResolutionSpec) match() []expr.Any {
	if s.IPv6 {
		kind := byte(solicitation)
		if s.Answers {
			kind = advertisement
		}
		return append(icmpOf(true, kind), &expr.Payload{DestRegister: firstWord, Base: expr.PayloadBaseTransportHeader, Offset: 8, Len: 16})
	}
	operation, at := uint16(arpRequest), uint32(24) // the target's protocol address
	if s.Answers {
		operation, at = arpReply, 14 // the sender's
	}
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyPROTOCOL, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(unix.ETH_P_ARP)},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 6, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(operation)},
		&expr.Payload{DestRegister: firstWord, Base: expr.PayloadBaseNetworkHeader, Offset: at, Len: 4},
	}
}

// among matches what is in the first word's register against some addresses.
func (c *Conn) among(table *nftables.Table, ipv6 bool, addresses []netip.Addr) ([]expr.Any, error) {
	set := &nftables.Set{Table: table, Anonymous: true, Constant: true, KeyType: way{ipv6: ipv6}.addressType()}
	var elements []nftables.SetElement
	for _, a := range addresses {
		elements = append(elements, nftables.SetElement{Key: a.AsSlice()})
	}
	if err := c.addSet(set, elements); err != nil {
		return nil, err
	}
	return []expr.Any{&expr.Lookup{SourceRegister: firstWord, SetName: set.Name, SetID: set.ID}}, nil
}

// End lets everything pass from the moment it returns; what was counted stays.
func (r *Resolution) End() error {
	r.conn.mu.Lock()
	defer r.conn.mu.Unlock()
	r.conn.c.InsertRule(&nftables.Rule{Table: r.table, Chain: r.chain, Exprs: []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}}})
	return r.conn.flush("fault " + r.table.Name + ": end")
}

// Count returns how many packets the kernel says it has dropped.
func (r *Resolution) Count() (uint64, error) {
	n, err := r.conn.count(r.table, r.chain)
	if err != nil {
		return 0, fmt.Errorf("nftables: fault %s: %w", r.table.Name, err)
	}
	return n, nil
}

// CrossingSpec describes a pair of rules that tell which segments to some hosts a router
// takes for sent, and which of them leave it. Between the two is its table of neighbours
// (net/ipv4/ip_output.c, ip_finish_output2): there a segment waits until the host's hardware
// address is known, or is thrown away without a word.
type CrossingSpec struct {
	Name     string // of the tables
	Device   string // that leads to the hosts
	IPv6     bool
	Hosts    []netip.Addr
	Mark     uint32 // by which the second rule knows what the first has seen
	LogGroup uint16 // NFLOG group of what is taken for sent
	LogBytes uint32 // of each packet
}

// maxLeft bounds how many segments that have left are remembered.
const maxLeft = 1 << 16

// Crossing is an installed pair of rules.
type Crossing struct {
	conn   *Conn
	ipv6   bool
	tables [2]*nftables.Table
	chains [2]*nftables.Chain
	left   *nftables.Set // with a number, so that each is there as often as it has left
}

// AddCrossing installs the pair, and a third rule: no ICMP error leaves the router that
// says of such a segment that its host could not be reached (`no ip unreachables`). The hook
// behind the table of neighbours is there since Linux 5.17 (CONFIG_NETFILTER_EGRESS).
func (c *Conn) AddCrossing(s CrossingSpec) (*Crossing, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x := &Crossing{conn: c, ipv6: s.IPv6}
	// What leaves first: nothing is missed then that was taken for sent.
	x.tables[1] = c.c.AddTable(&nftables.Table{Family: nftables.TableFamilyNetdev, Name: s.Name + "-leaves"})
	x.chains[1] = c.c.AddChain(&nftables.Chain{Name: "egress", Table: x.tables[1], Type: nftables.ChainTypeFilter, Device: s.Device,
		Hooknum: nftables.ChainHookEgress, Priority: nftables.ChainPriorityFilter})
	address := way{ipv6: s.IPv6}.addressType()
	key, err := nftables.ConcatSetType(address, nftables.TypeInetService, address, nftables.TypeInteger, nftables.TypeInteger)
	if err != nil {
		return nil, fmt.Errorf("nftables: fault %s: set: %w", s.Name, err)
	}
	x.left = &nftables.Set{Table: x.tables[1], Name: "left", KeyType: key, Dynamic: true, Size: maxLeft}
	if err := c.addSet(x.left, nil); err != nil {
		return nil, fmt.Errorf("nftables: fault %s: set: %w", s.Name, err)
	}
	h := ipHeader(s.IPv6)
	words := h.size / 4
	c.c.AddRule(&nftables.Rule{Table: x.tables[1], Chain: x.chains[1], Exprs: []expr.Any{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(s.Mark)},
		&expr.Counter{},
		&expr.Payload{DestRegister: firstWord, Base: expr.PayloadBaseNetworkHeader, Offset: h.source, Len: h.size},
		&expr.Payload{DestRegister: firstWord + words, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 2},
		&expr.Payload{DestRegister: firstWord + words + 1, Base: expr.PayloadBaseNetworkHeader, Offset: h.destination, Len: h.size},
		&expr.Payload{DestRegister: firstWord + 2*words + 1, Base: expr.PayloadBaseTransportHeader, Offset: 4, Len: 4},
		&expr.Numgen{Register: firstWord + 2*words + 2, Modulus: 1 << 31, Type: unix.NFT_NG_INCREMENTAL},
		&expr.Dynset{SrcRegKey: firstWord, SetName: x.left.Name, SetID: x.left.ID, Operation: unix.NFT_DYNSET_OP_ADD}}})
	x.tables[0] = c.c.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: s.Name + "-sent"})
	x.chains[0] = c.c.AddChain(&nftables.Chain{Name: "postrouting", Table: x.tables[0], Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityLast})
	to, err := c.bound(x.tables[0], way{ipv6: s.IPv6}, s.Hosts)
	if err != nil {
		return nil, fmt.Errorf("nftables: fault %s: set: %w", s.Name, err)
	}
	c.c.AddRule(&nftables.Rule{Table: x.tables[0], Chain: x.chains[0], Exprs: slices.Concat(ipVersion(s.IPv6), tcp(), to, []expr.Any{
		&expr.Immediate{Register: 1, Data: binaryutil.NativeEndian.PutUint32(s.Mark)},
		&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: 1},
		&expr.Counter{}, logTo(s.LogGroup, s.LogBytes)})})
	output := c.c.AddChain(&nftables.Chain{Name: "output", Table: x.tables[0], Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityFilter})
	c.c.AddRule(&nftables.Rule{Table: x.tables[0], Chain: output, Exprs: append(hostUnreachable(s.IPv6), Drop.expr())})
	return x, c.flush("fault " + s.Name)
}

// hostUnreachable matches ICMP host unreachable (RFC 1812 §5.2.7.1) or ICMPv6 address
// unreachable (RFC 4443 §3.1).
func hostUnreachable(ipv6 bool) []expr.Any {
	kind, code := byte(icmpUnreachable), byte(icmpHostUnreachable)
	if ipv6 {
		kind, code = icmpv6Unreachable, icmpv6AddressUnreach
	}
	return append(icmpOf(ipv6, kind), icmpByte(1), &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{code}})
}

// End sees to it that nothing more is counted that the router takes for sent, from the
// moment it returns; what still waits in it is counted when it leaves.
func (x *Crossing) End() error {
	x.conn.mu.Lock()
	defer x.conn.mu.Unlock()
	x.conn.c.InsertRule(&nftables.Rule{Table: x.tables[0], Chain: x.chains[0], Exprs: []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}}})
	return x.conn.flush("table " + x.tables[0].Name + ": end")
}

// Segment is a TCP segment by what tells it from others.
type Segment struct {
	Source      netip.AddrPort
	Destination netip.Addr
	Seq         uint32
}

// Count returns how many segments the kernel says were taken for sent, and which of them
// left; one that left several times is there as often. An error means that these are not all.
func (x *Crossing) Count() (sent uint64, left []Segment, err error) {
	fail := func(err error) (uint64, []Segment, error) {
		return 0, nil, fmt.Errorf("nftables: table %s: %w", x.tables[1].Name, err)
	}
	if sent, err = x.conn.count(x.tables[0], x.chains[0]); err != nil {
		return fail(err)
	}
	n, err := x.conn.count(x.tables[1], x.chains[1])
	if err != nil {
		return fail(err)
	}
	x.conn.mu.Lock()
	elements, err := x.conn.c.GetSetElements(x.left)
	x.conn.mu.Unlock()
	if err != nil {
		return fail(fmt.Errorf("read what left: %w", err))
	}
	if uint64(len(elements)) != n {
		return fail(fmt.Errorf("%d segments left, and %d are remembered", n, len(elements)))
	}
	for _, e := range elements {
		left = append(left, segment(e.Key, int(ipHeader(x.ipv6).size)))
	}
	return sent, left, nil
}

// segment reads a key of the set: fields of four bytes each, but for addresses.
func segment(key []byte, address int) Segment {
	source, _ := netip.AddrFromSlice(key[:address])
	destination, _ := netip.AddrFromSlice(key[address+4 : 2*address+4])
	return Segment{netip.AddrPortFrom(source, binary.BigEndian.Uint16(key[address:])), destination, binary.BigEndian.Uint32(key[2*address+4:])}
}
