// Package nft writes the few nftables rules the lab needs, through netlink: drop
// what a set, a hash or a counter picks, count it, log it.
//
// A connection belongs to the namespace of the thread that opened it. It is
// therefore opened on a host's own thread and then used from any goroutine; the
// library's option to enter a namespace by itself cannot work without root.
package nft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Runner runs a function on a namespace's own thread; a lab's host is one.
type Runner interface{ Run(func() error) error }

// Conn is a netlink connection to one namespace's nftables.
type Conn struct {
	mu sync.Mutex // a batch is built and sent as one
	c  *nftables.Conn
}

// Open opens a connection on the namespace's thread. Close frees it; the rules
// stay as long as the namespace.
func Open(r Runner) (*Conn, error) {
	c := &Conn{}
	err := r.Run(func() (err error) {
		c.c, err = nftables.New(nftables.AsLasting())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("nftables: open: %w", err)
	}
	return c, nil
}

// Close closes the connection.
func (c *Conn) Close() error { return c.c.CloseLasting() }

// flush sends what was batched.
func (c *Conn) flush(what string) error {
	if err := c.c.Flush(); err != nil {
		return fmt.Errorf("nftables: %s: %w", what, err)
	}
	return nil
}

// Registers of 4 bytes each (include/uapi/linux/netfilter/nf_tables.h).
const (
	firstWord = unix.NFT_REG32_00
	lastWord  = unix.NFT_REG32_15
)

// TCP header: flags byte and the bits that tell a SYN from a SYN-ACK.
const (
	tcpFlagsOffset = 13
	synACK         = 0x12
	syn            = 0x02
)

// matchFlags matches TCP segments by the SYN and ACK bits.
func matchFlags(want byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: tcpFlagsOffset, Len: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 1, Mask: []byte{synACK}, Xor: []byte{0}},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{want}},
	}
}

// DropMarkedSYNs drops locally made SYNs whose socket carries a mark, before
// they reach an interface.
func (c *Conn) DropMarkedSYNs(table string, mark uint32) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.c.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: table})
	chain := c.c.AddChain(&nftables.Chain{Name: "output", Table: t, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityFilter})
	marked := []expr.Any{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(mark)},
	}
	c.c.AddRule(&nftables.Rule{Table: t, Chain: chain,
		Exprs: append(append(marked, matchFlags(syn)...), &expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop})})
	return c.flush("table " + table)
}

// Place is where in a namespace a rule sits.
type Place uint8

// The places.
const (
	Forward Place = iota // a router's forward hook
	Input   Place = iota // a host's local input: after its capture, before its TCP
	Bridge  Place = iota // a bridge's forward hook: the middle of a link
)

// Pick says which of the matching packets are dropped.
type Pick uint8

// The ways to pick.
const (
	PickAll   Pick = iota // every one
	PickArmed             // those whose 4-tuple is in the set, see [Drop.Arm]
	PickHash              // those whose 4-tuple's jhash, scaled to Modulus, is below Threshold
	PickNth               // the Nth of every Modulus, for each N in Numbers
)

// DropSpec describes a rule that drops SYNs or their answers.
type DropSpec struct {
	Name      string // of the table and the set
	Place     Place
	IPv6      bool
	Answers   bool // SYN-ACKs instead of SYNs; tuples are those of the SYN all the same
	Pick      Pick
	Modulus   uint32
	Threshold uint32
	Seed      uint32
	Numbers   []uint32
	Order     int    // among the rules of a namespace, the lower one sees a packet first
	LogGroup  uint16 // NFLOG group that gets every dropped packet
	LogBytes  uint32 // of each packet
}

// Drop is an installed rule.
type Drop struct {
	conn  *Conn
	spec  DropSpec
	table *nftables.Table
	chain *nftables.Chain
	set   *nftables.Set
}

// AddDrop installs a rule: match, count, log, drop.
func (c *Conn) AddDrop(s DropSpec) (*Drop, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := &Drop{conn: c, spec: s}
	chain := &nftables.Chain{Name: "drop", Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookForward,
		Priority: nftables.ChainPriorityRef(*nftables.ChainPriorityFilter + nftables.ChainPriority(s.Order))}
	family := nftables.TableFamilyINet
	switch s.Place {
	case Input:
		chain.Hooknum = nftables.ChainHookInput
	case Bridge:
		family = nftables.TableFamilyBridge
	}
	d.table = c.c.AddTable(&nftables.Table{Family: family, Name: s.Name})
	chain.Table = d.table
	d.chain = c.c.AddChain(chain)
	picked, err := d.pick()
	if err != nil {
		return nil, err
	}
	flags := byte(syn)
	if s.Answers {
		flags = synACK
	}
	exprs := append(d.matchIPVersion(), matchFlags(flags)...)
	exprs = append(exprs, picked...)
	exprs = append(exprs,
		&expr.Counter{},
		&expr.Log{Key: 1<<unix.NFTA_LOG_GROUP | 1<<unix.NFTA_LOG_QTHRESHOLD | 1<<unix.NFTA_LOG_SNAPLEN,
			// One message a packet: batched ones arrive up to a second late.
			Group: s.LogGroup, QThreshold: 1, Snaplen: s.LogBytes},
		&expr.Verdict{Kind: expr.VerdictDrop})
	c.c.AddRule(&nftables.Rule{Table: d.table, Chain: d.chain, Exprs: exprs})
	return d, c.flush("fault " + s.Name)
}

// matchIPVersion keeps the address loads that follow within their header.
func (d *Drop) matchIPVersion() []expr.Any {
	ethertype := uint16(unix.ETH_P_IP)
	if d.spec.IPv6 {
		ethertype = unix.ETH_P_IPV6
	}
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyPROTOCOL, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(ethertype)},
	}
}

func (d *Drop) pick() ([]expr.Any, error) {
	s := d.spec
	switch s.Pick {
	case PickArmed:
		address := nftables.TypeIPAddr
		if s.IPv6 {
			address = nftables.TypeIP6Addr
		}
		key, err := nftables.ConcatSetType(address, nftables.TypeInetService, address, nftables.TypeInetService)
		if err != nil {
			return nil, fmt.Errorf("nftables: fault %s: %w", s.Name, err)
		}
		d.set = &nftables.Set{Table: d.table, Name: "armed", KeyType: key}
		if err := d.conn.c.AddSet(d.set, nil); err != nil {
			return nil, fmt.Errorf("nftables: fault %s: set: %w", s.Name, err)
		}
		return append(d.loadTuple(), &expr.Lookup{SourceRegister: firstWord, SetName: d.set.Name, SetID: d.set.ID}), nil
	case PickHash:
		return append(d.loadTuple(),
			&expr.Hash{SourceRegister: firstWord, DestRegister: lastWord, Length: d.tupleBytes(), Modulus: s.Modulus,
				Seed: s.Seed, Type: expr.HashTypeJenkins},
			// Comparison is byte by byte, so the number must be big-endian.
			&expr.Byteorder{SourceRegister: lastWord, DestRegister: lastWord, Op: expr.ByteorderHton, Len: 4, Size: 4},
			&expr.Cmp{Op: expr.CmpOpLt, Register: lastWord, Data: binaryutil.BigEndian.PutUint32(s.Threshold)}), nil
	case PickNth:
		d.set = &nftables.Set{Table: d.table, Name: "nth", KeyType: nftables.TypeInteger, Constant: true}
		var elements []nftables.SetElement
		for _, n := range s.Numbers {
			elements = append(elements, nftables.SetElement{Key: binaryutil.NativeEndian.PutUint32(n)})
		}
		if err := d.conn.c.AddSet(d.set, elements); err != nil {
			return nil, fmt.Errorf("nftables: fault %s: set: %w", s.Name, err)
		}
		return []expr.Any{
			&expr.Numgen{Register: firstWord, Modulus: s.Modulus, Type: unix.NFT_NG_INCREMENTAL},
			&expr.Lookup{SourceRegister: firstWord, SetName: d.set.Name, SetID: d.set.ID},
		}, nil
	}
	return nil, nil
}

// loadTuple puts saddr . sport . daddr . dport into consecutive registers, each
// field padded to 4 bytes; those of an answer the other way round, so that both
// directions of a connection have one tuple.
func (d *Drop) loadTuple() []expr.Any {
	source, destination, size := uint32(12), uint32(16), uint32(4)
	if d.spec.IPv6 {
		source, destination, size = 8, 24, 16
	}
	sport, dport := uint32(0), uint32(2)
	if d.spec.Answers {
		source, destination, sport, dport = destination, source, dport, sport
	}
	words := size / 4
	load := func(register uint32, base expr.PayloadBase, offset, n uint32) expr.Any {
		return &expr.Payload{DestRegister: register, Base: base, Offset: offset, Len: n}
	}
	return []expr.Any{
		load(firstWord, expr.PayloadBaseNetworkHeader, source, size),
		load(firstWord+words, expr.PayloadBaseTransportHeader, sport, 2),
		load(firstWord+words+1, expr.PayloadBaseNetworkHeader, destination, size),
		load(firstWord+2*words+1, expr.PayloadBaseTransportHeader, dport, 2),
	}
}

func (d *Drop) tupleBytes() uint32 {
	if d.spec.IPv6 {
		return 40
	}
	return 16
}

// Tuple is a 4-tuple as the kernel's registers hold it: what is looked up in the
// set of armed ones, and what is hashed.
func Tuple(source, destination netip.AddrPort) []byte {
	var b []byte
	for _, a := range []netip.AddrPort{source, destination} {
		b = append(b, a.Addr().AsSlice()...)
		b = binary.BigEndian.AppendUint16(b, a.Port())
		b = append(b, 0, 0)
	}
	return b
}

// Arm makes the rule drop what it matches of the connection whose SYN has this
// 4-tuple, from the moment it returns.
func (d *Drop) Arm(source, destination netip.AddrPort) error {
	d.conn.mu.Lock()
	defer d.conn.mu.Unlock()
	if err := d.conn.c.SetAddElements(d.set, []nftables.SetElement{{Key: Tuple(source, destination)}}); err != nil {
		return fmt.Errorf("nftables: fault %s: arm: %w", d.spec.Name, err)
	}
	return d.conn.flush("fault " + d.spec.Name + ": arm")
}

// Disarm ends what Arm began.
func (d *Drop) Disarm(source, destination netip.AddrPort) error {
	d.conn.mu.Lock()
	defer d.conn.mu.Unlock()
	if err := d.conn.c.SetDeleteElements(d.set, []nftables.SetElement{{Key: Tuple(source, destination)}}); err != nil {
		return fmt.Errorf("nftables: fault %s: disarm: %w", d.spec.Name, err)
	}
	return d.conn.flush("fault " + d.spec.Name + ": disarm")
}

// Count returns how many packets the kernel says it has dropped here.
func (d *Drop) Count() (uint64, error) {
	d.conn.mu.Lock()
	defer d.conn.mu.Unlock()
	rules, err := d.conn.c.GetRules(d.table, d.chain)
	if err != nil {
		return 0, fmt.Errorf("nftables: fault %s: read counter: %w", d.spec.Name, err)
	}
	for _, r := range rules {
		for _, e := range r.Exprs {
			if counter, ok := e.(*expr.Counter); ok {
				return counter.Packets, nil
			}
		}
	}
	return 0, fmt.Errorf("nftables: fault %s: read counter: %w", d.spec.Name, errors.ErrUnsupported)
}
