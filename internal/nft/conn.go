// Package nft writes the few nftables rules the lab needs, through netlink: drop or
// reject what a set, a hash or a counter picks, count it, log it.
//
// A connection belongs to the namespace of the thread that opened it. It is
// therefore opened on a host's own thread and then used from any goroutine; the
// library's option to enter a namespace by itself cannot work without root.
package nft

import (
	"fmt"
	"sync"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
)

// Runner runs a function on a namespace's own thread; a lab's host is one.
type Runner interface{ Run(func() error) error }

// Conn is a netlink connection to one namespace's nftables.
type Conn struct {
	mu   sync.Mutex // a batch is built and sent as one
	c    *nftables.Conn
	sets uint32 // how many there are
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

// addSet adds a set under a number of the connection's own. The library's comes from a
// variable of the package, which labs in parallel would share without a lock.
func (c *Conn) addSet(s *nftables.Set, elements []nftables.SetElement) error {
	c.sets++
	s.ID = c.sets
	if s.Anonymous {
		s.Name = "__set%d" // the kernel counts; without a number of its own the library would say so itself
	}
	return c.c.AddSet(s, elements)
}

// flush sends what was batched.
func (c *Conn) flush(what string) error {
	if err := c.c.Flush(); err != nil {
		return fmt.Errorf("nftables: %s: %w", what, err)
	}
	return nil
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
		Exprs: append(append(marked, SYNs.match()...), &expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop})})
	return c.flush("table " + table)
}
