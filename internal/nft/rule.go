package nft

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Place is where in a namespace a rule sits.
type Place uint8

// The places.
const (
	Forward Place = iota // a router's forward hook
	Input                // a host's local input: after its capture, before its TCP
	Bridge               // a bridge's forward hook: the middle of a link
	Output               // what the host sends itself, before it has its way: see [Divert]
)

// Pick says which of the matching packets are hit.
type Pick uint8

// The ways to pick.
const (
	PickAll   Pick = iota // every one
	PickArmed             // those whose 4-tuple is in the set, see [Rule.Arm]
	PickHash              // those whose 4-tuple's jhash, scaled to Modulus, is below Threshold
	PickNth               // the Nth of every Modulus, for each N in Numbers
)

// Verdict is what becomes of a packet that is hit.
type Verdict uint8

// The verdicts. The kernel rejects nothing in a bridge's forward hook
// (net/bridge/netfilter/nft_reject_bridge.c).
const (
	Drop                  Verdict = iota
	Reject                        // a RST in the name of the packet's destination
	RejectAdminProhibited         // an ICMP error: a filter forbids it (RFC 1812 §5.2.7.1, RFC 4443 §3.1)
	RejectPortUnreachable         // an ICMP error: nobody is there, as of UDP (RFC 1122 §3.2.2.1)
	Divert                        // it gets [RuleSpec.Mark], and a way by it; of [Output] only
)

// RuleSpec describes a rule that hits some TCP segments of the connections to some
// servers.
type RuleSpec struct {
	Name     string // of the table and the set
	Place    Place
	IPv6     bool
	Segments Segments
	// LargerThan leaves IP packets of so many bytes or fewer alone; 0 leaves none.
	LargerThan uint32
	Answers    bool         // what the servers send instead of what they are sent; tuples are those of the SYN all the same
	Servers    []netip.Addr // whose connections; all of one family
	Verdict    Verdict
	Mark       uint32 // of what is diverted
	Over       Rate   // hit only what exceeds it; 0 is no rate
	Pick       Pick
	Modulus    uint32
	Threshold  uint32
	Seed       uint32
	Numbers    []uint32
	Order      int    // among the rules of a namespace, the lower one sees a packet first
	LogGroup   uint16 // NFLOG group that gets every packet that is hit
	LogBytes   uint32 // of each packet
}

// Rule is an installed rule.
type Rule struct {
	conn  *Conn
	spec  RuleSpec
	table *nftables.Table
	chain *nftables.Chain
	set   *nftables.Set
}

// AddRule installs a rule: match, count, log, and the verdict.
func (c *Conn) AddRule(s RuleSpec) (*Rule, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := &Rule{conn: c, spec: s}
	chain := &nftables.Chain{Name: "fault", Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookForward,
		Priority: nftables.ChainPriorityRef(*nftables.ChainPriorityFilter + nftables.ChainPriority(s.Order))}
	family := nftables.TableFamilyINet
	switch s.Place {
	case Input:
		chain.Hooknum = nftables.ChainHookInput
	case Output:
		routeByMark(chain)
	case Bridge:
		family = nftables.TableFamilyBridge
	}
	r.table = c.c.AddTable(&nftables.Table{Family: family, Name: s.Name})
	chain.Table = r.table
	r.chain = c.c.AddChain(chain)
	if spare := s.Segments.spare(); spare != nil {
		c.c.AddRule(&nftables.Rule{Table: r.table, Chain: r.chain, Exprs: append(spare, &expr.Verdict{Kind: expr.VerdictAccept})})
	}
	exprs := append(ipVersion(s.IPv6), s.Segments.matchIn(s.IPv6)...)
	if s.LargerThan > 0 {
		exprs = append(exprs, largerThan(s.LargerThan)...)
	}
	for _, part := range []func() ([]expr.Any, error){r.bound, r.pick} {
		more, err := part()
		if err != nil {
			return nil, fmt.Errorf("nftables: fault %s: set: %w", s.Name, err)
		}
		exprs = append(exprs, more...)
	}
	if s.Over.Packets > 0 {
		exprs = append(exprs, s.Over.exceeded())
	}
	exprs = append(exprs, &expr.Counter{}, logTo(s.LogGroup, s.LogBytes))
	if s.Verdict == Divert {
		exprs = append(exprs, mark(s.Mark)...)
	} else {
		exprs = append(exprs, s.Verdict.expr())
	}
	c.c.AddRule(&nftables.Rule{Table: r.table, Chain: r.chain, Exprs: exprs})
	return r, c.flush("fault " + s.Name)
}

// logTo has a packet logged.
func logTo(group uint16, bytes uint32) expr.Any {
	return &expr.Log{Key: 1<<unix.NFTA_LOG_GROUP | 1<<unix.NFTA_LOG_QTHRESHOLD | 1<<unix.NFTA_LOG_SNAPLEN,
		// One message a packet: batched ones arrive up to a second late.
		Group: group, QThreshold: 1, Snaplen: bytes}
}

func (v Verdict) expr() expr.Any {
	switch v {
	case Reject:
		return &expr.Reject{Type: unix.NFT_REJECT_TCP_RST}
	case RejectAdminProhibited: // the kernel's word for both IP versions
		return &expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_ADMIN_PROHIBITED}
	case RejectPortUnreachable:
		return &expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_PORT_UNREACH}
	}
	return &expr.Verdict{Kind: expr.VerdictDrop}
}

// ipVersion keeps the address loads that follow within their header.
func ipVersion(ipv6 bool) []expr.Any {
	ethertype := uint16(unix.ETH_P_IP)
	if ipv6 {
		ethertype = unix.ETH_P_IPV6
	}
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyPROTOCOL, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(ethertype)},
	}
}

// Registers of 4 bytes each (include/uapi/linux/netfilter/nf_tables.h).
const (
	firstWord = unix.NFT_REG32_00
	lastWord  = unix.NFT_REG32_15
)

func (r *Rule) way() way { return way{r.spec.IPv6, r.spec.Answers, r.spec.Segments == ICMPErrors} }

func (r *Rule) bound() ([]expr.Any, error) { return r.conn.bound(r.table, r.way(), r.spec.Servers) }

func (r *Rule) pick() ([]expr.Any, error) {
	s := r.spec
	switch s.Pick {
	case PickArmed:
		key, err := r.way().tupleType()
		if err != nil {
			return nil, err
		}
		r.set = &nftables.Set{Table: r.table, Name: "armed", KeyType: key}
		if err := r.conn.addSet(r.set, nil); err != nil {
			return nil, err
		}
		return append(r.way().loadTuple(), &expr.Lookup{SourceRegister: firstWord, SetName: r.set.Name, SetID: r.set.ID}), nil
	case PickHash:
		return append(r.way().loadTuple(),
			&expr.Hash{SourceRegister: firstWord, DestRegister: lastWord, Length: r.way().tupleBytes(), Modulus: s.Modulus,
				Seed: s.Seed, Type: expr.HashTypeJenkins},
			// Comparison is byte by byte, so the number must be big-endian.
			&expr.Byteorder{SourceRegister: lastWord, DestRegister: lastWord, Op: expr.ByteorderHton, Len: 4, Size: 4},
			&expr.Cmp{Op: expr.CmpOpLt, Register: lastWord, Data: binaryutil.BigEndian.PutUint32(s.Threshold)}), nil
	case PickNth:
		r.set = &nftables.Set{Table: r.table, Name: "nth", KeyType: nftables.TypeInteger, Constant: true}
		var elements []nftables.SetElement
		for _, n := range s.Numbers {
			elements = append(elements, nftables.SetElement{Key: binaryutil.NativeEndian.PutUint32(n)})
		}
		if err := r.conn.addSet(r.set, elements); err != nil {
			return nil, err
		}
		return []expr.Any{
			&expr.Numgen{Register: firstWord, Modulus: s.Modulus, Type: unix.NFT_NG_INCREMENTAL},
			&expr.Lookup{SourceRegister: firstWord, SetName: r.set.Name, SetID: r.set.ID},
		}, nil
	}
	return nil, nil
}

// Arm makes the rule hit what it matches of the connection whose SYN has this
// 4-tuple, from the moment it returns.
func (r *Rule) Arm(source, destination netip.AddrPort) error {
	r.conn.mu.Lock()
	defer r.conn.mu.Unlock()
	if err := r.conn.c.SetAddElements(r.set, []nftables.SetElement{{Key: Tuple(source, destination)}}); err != nil {
		return fmt.Errorf("nftables: fault %s: arm: %w", r.spec.Name, err)
	}
	return r.conn.flush("fault " + r.spec.Name + ": arm")
}

// Disarm ends what Arm began.
func (r *Rule) Disarm(source, destination netip.AddrPort) error {
	r.conn.mu.Lock()
	defer r.conn.mu.Unlock()
	if err := r.conn.c.SetDeleteElements(r.set, []nftables.SetElement{{Key: Tuple(source, destination)}}); err != nil {
		return fmt.Errorf("nftables: fault %s: disarm: %w", r.spec.Name, err)
	}
	return r.conn.flush("fault " + r.spec.Name + ": disarm")
}

// Count returns how many packets the kernel says it has hit here.
func (r *Rule) Count() (uint64, error) {
	n, err := r.conn.count(r.table, r.chain)
	if err != nil {
		return 0, fmt.Errorf("nftables: fault %s: %w", r.spec.Name, err)
	}
	return n, nil
}

// count returns what the counter in a chain says.
func (c *Conn) count(table *nftables.Table, chain *nftables.Chain) (uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	rules, err := c.c.GetRules(table, chain)
	if err != nil {
		return 0, fmt.Errorf("read counter: %w", err)
	}
	for _, rule := range rules {
		for _, e := range rule.Exprs {
			if counter, ok := e.(*expr.Counter); ok {
				return counter.Packets, nil
			}
		}
	}
	return 0, fmt.Errorf("read counter: %w", errors.ErrUnsupported)
}
