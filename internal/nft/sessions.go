package nft

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Refusal is why a table of sessions drops a packet.
type Refusal uint8

// The refusals, in the order in which a packet meets them.
const (
	OverRate      Refusal = iota // a SYN above the rate
	Reused                       // a SYN of the 4-tuple of a session that was closed and is still held
	TableFull                    // a SYN for which there is no room
	Unknown                      // anything else to a server that belongs to no session, or no longer
	UnknownAnswer                // the same from a server
	Challenge                    // an ACK from a server where a SYN-ACK was due (RFC 5961 §4)
	Refusals                     // how many there are
)

// chains are the refusals' chains.
var chains = [Refusals]string{"over-rate", "reused", "table-full", "unknown", "unknown-answer", "challenge"}

// SessionTableSpec describes a table of the TCP sessions that a router forwards to some
// servers.
type SessionTableSpec struct {
	Name     string
	IPv6     bool
	Servers  []netip.Addr // all of one family; other packets are none of the table's business
	Size     uint32       // sessions, open and held ones
	Idle     time.Duration
	Held     time.Duration // how long a session is kept after its first FIN or RST; later ones begin anew
	Refuse   bool          // a SYN of a held session's 4-tuple; else it begins the next session
	Doubt    bool          // an ACK where a SYN-ACK is due, and drop it
	SYNs     Rate          // 0 means any number
	Order    int           // among the rules of a namespace, the lower one sees a packet first
	LogGroup uint16        // NFLOG group of the first refusal; the others' follow
	LogBytes uint32        // of each packet
}

// SessionTable is an installed table.
type SessionTable struct {
	conn     *Conn
	spec     SessionTableSpec
	table    *nftables.Table
	refusals [Refusals]*nftables.Chain
	sessions *nftables.Set // all there are; their timeout is idle or held
	held     *nftables.Set // those of them that are closed
	opening  *nftables.Set // those of which no SYN-ACK has been seen; nil without doubt
}

// AddSessionTable installs a table. In the words of nft:
//
//	chain to-server {
//		tcp flags syn update @opening { TUPLE }
//		tcp flags syn limit rate over RATE/second goto over-rate
//		tcp flags syn TUPLE @held goto reused
//		tcp flags syn update @sessions { TUPLE timeout IDLE } accept
//		tcp flags syn goto table-full
//		tcp flags fin,rst TUPLE @sessions update @sessions { TUPLE timeout HELD } update @held { TUPLE } accept
//		TUPLE @held TUPLE @sessions accept
//		TUPLE @sessions update @sessions { TUPLE timeout IDLE } accept
//		goto unknown
//	}
//
// The chain to-client begins with
//
//	tcp flags syn,ack delete @opening { TUPLE }
//	tcp flags ack TUPLE @opening goto challenge
//
// and has to-server's last four then, with unknown-answer for unknown. @opening is there
// only for [SessionTableSpec].Doubt. An update that finds no room ends its rule,
// and the next one is asked (net/netfilter/nft_dynset.c). The kernel gives an expired
// session's room back once a second.
func (c *Conn) AddSessionTable(s SessionTableSpec) (*SessionTable, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &SessionTable{conn: c, spec: s}
	t.table = c.c.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: s.Name})
	for r, name := range chains {
		t.refusals[r] = c.c.AddChain(&nftables.Chain{Table: t.table, Name: name})
		c.c.AddRule(&nftables.Rule{Table: t.table, Chain: t.refusals[r],
			Exprs: []expr.Any{&expr.Counter{}, logTo(s.LogGroup+uint16(r), s.LogBytes), Drop.expr()}})
	}
	var err error
	if t.sessions, err = t.set("sessions", s.Size, s.Idle); err != nil {
		return nil, fmt.Errorf("nftables: %s: set: %w", s.Name, err)
	}
	if t.held, err = t.set("held", s.Size, s.Held); err != nil {
		return nil, fmt.Errorf("nftables: %s: set: %w", s.Name, err)
	}
	if s.Doubt {
		if t.opening, err = t.set("opening", maxOpening, openingFor); err != nil {
			return nil, fmt.Errorf("nftables: %s: set: %w", s.Name, err)
		}
	}
	base := c.c.AddChain(&nftables.Chain{Table: t.table, Name: "forward", Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookForward,
		Priority: nftables.ChainPriorityRef(*nftables.ChainPriorityFilter + nftables.ChainPriority(s.Order))})
	for _, w := range []way{{ipv6: s.IPv6}, {ipv6: s.IPv6, answers: true}} {
		chain := t.direction(w)
		bound, err := c.bound(t.table, w, s.Servers)
		if err != nil {
			return nil, fmt.Errorf("nftables: %s: set: %w", s.Name, err)
		}
		c.c.AddRule(&nftables.Rule{Table: t.table, Chain: base, Exprs: slices.Concat(ipVersion(s.IPv6), tcp(), bound,
			[]expr.Any{&expr.Verdict{Kind: expr.VerdictGoto, Chain: chain.Name}})})
	}
	return t, c.flush(s.Name)
}

// How many sessions can be opening at once, and how long one is taken to be. What is
// deleted from a set counts for up to a second more.
const (
	maxOpening = 1 << 20
	openingFor = 10 * time.Second
)

// set adds a set of 4-tuples that the packets themselves fill.
func (t *SessionTable) set(name string, size uint32, timeout time.Duration) (*nftables.Set, error) {
	key, err := way{ipv6: t.spec.IPv6}.tupleType()
	if err != nil {
		return nil, err
	}
	set := &nftables.Set{Table: t.table, Name: name, KeyType: key, Dynamic: true, HasTimeout: true, Timeout: timeout, Size: size}
	return set, t.conn.addSet(set, nil)
}

// direction adds the chain of one direction's packets, which are TCP.
func (t *SessionTable) direction(w way) *nftables.Chain {
	s, name, unknown := &t.spec, "to-server", Unknown
	if w.answers {
		name, unknown = "to-client", UnknownAnswer
	}
	chain := t.conn.c.AddChain(&nftables.Chain{Table: t.table, Name: name})
	rule := func(parts ...[]expr.Any) {
		t.conn.c.AddRule(&nftables.Rule{Table: t.table, Chain: chain, Exprs: slices.Concat(parts...)})
	}
	refuse := func(r Refusal) []expr.Any { return []expr.Any{&expr.Verdict{Kind: expr.VerdictGoto, Chain: chains[r]}} }
	accept := []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}}
	in := func(set *nftables.Set) []expr.Any {
		return append(w.loadTuple(), &expr.Lookup{SourceRegister: firstWord, SetName: set.Name, SetID: set.ID})
	}
	change := func(set *nftables.Set, operation uint32, timeout time.Duration) []expr.Any {
		return append(w.loadTuple(), &expr.Dynset{SrcRegKey: firstWord, SetName: set.Name, SetID: set.ID, Operation: operation, Timeout: timeout})
	}
	const update, remove = unix.NFT_DYNSET_OP_UPDATE, 2 // NFT_DYNSET_OP_DELETE
	if w.answers && s.Doubt {
		rule(flags(syn|ack, syn|ack), change(t.opening, remove, 0))
		rule(flags(syn|ack|fin|rst, ack), in(t.opening), refuse(Challenge))
	}
	if !w.answers {
		opens := flags(syn|ack, syn)
		if s.Doubt {
			rule(opens, change(t.opening, update, openingFor))
		}
		if s.SYNs.Packets > 0 {
			rule(opens, []expr.Any{s.SYNs.exceeded()}, refuse(OverRate))
		}
		if s.Refuse {
			rule(opens, in(t.held), refuse(Reused))
		} else {
			rule(opens, in(t.held), change(t.held, remove, 0))
		}
		rule(opens, change(t.sessions, update, s.Idle), accept)
		rule(opens, refuse(TableFull))
	}
	rule(anyFlag(fin|rst), in(t.sessions), change(t.sessions, update, s.Held), change(t.held, update, s.Held), accept)
	rule(in(t.held), in(t.sessions), accept)
	rule(in(t.sessions), change(t.sessions, update, s.Idle), accept)
	rule(refuse(unknown))
	return chain
}

// Count returns how many packets the kernel says it has dropped for a reason.
func (t *SessionTable) Count(r Refusal) (uint64, error) {
	n, err := t.conn.count(t.table, t.refusals[r])
	if err != nil {
		return 0, fmt.Errorf("nftables: %s: %s: %w", t.spec.Name, chains[r], err)
	}
	return n, nil
}
