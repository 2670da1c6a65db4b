// Package nflog reads what a namespace's nftables rules log: every packet, once, as it
// was when the rule saw it.
package nflog

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/florianl/go-nflog/v2"
)

// Runner runs a function on a namespace's own thread; a lab's host is one.
type Runner interface{ Run(func() error) error }

// Packet is a TCP segment that was logged, or an ICMP error about one: then the addresses
// are those of the quoted segment turned round, and Seq is its sequence number.
type Packet struct {
	Time        time.Time
	Source      netip.AddrPort
	Destination netip.AddrPort
	Seq         uint32
	IPID        uint16 // IPv4 identification; 0 with IPv6
}

// Frame is a logged packet with all its bytes. They are good until the function that is
// given them returns.
type Frame struct {
	Ether  []byte // the Ethernet header it came with
	Packet []byte // from the IP header on
}

// Log reads a namespace's NFLOG group.
type Log struct {
	socket *nflog.Nflog
	take   func(Frame) // nil for nobody
	cancel context.CancelFunc

	mu      sync.Mutex
	packets []Packet
	err     error
}

// Bytes of a packet are enough for its IP and TCP headers, or for what of an ICMP error
// tells which segment it is about.
const Bytes = 96

// WholeBytes of a packet are all that there can be.
const WholeBytes = 1<<16 - 1

// readBuffer is asked of the kernel for the reports; without root it grants at
// most net.core.rmem_max, which is enough at 20,000 packets a second.
const readBuffer = 4 << 20

// Open begins to read a group. It must come before the rule that logs to it: what is
// logged while nobody reads is gone.
func Open(r Runner, group uint16) (*Log, error) { return open(r, group, Bytes, nil) }

// OpenWhole does the same for a rule that logs [WholeBytes], and gives each packet to a
// function before it is in the log. The function is called by one goroutine, in order.
func OpenWhole(r Runner, group uint16, take func(Frame)) (*Log, error) {
	return open(r, group, WholeBytes, take)
}

func open(r Runner, group uint16, bytes uint32, take func(Frame)) (*Log, error) {
	l := &Log{take: take}
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	err := r.Run(func() (err error) {
		l.socket, err = nflog.Open(&nflog.Config{Group: group, Copymode: nflog.CopyPacket, Bufsize: bytes, QThresh: 1})
		return err
	})
	if err != nil {
		cancel()
		return nil, fmt.Errorf("open the ledger (NFLOG group %d): %w", group, err)
	}
	if err := l.socket.Con.SetReadBuffer(readBuffer); err != nil {
		return nil, errors.Join(fmt.Errorf("ledger's buffer: %w", err), l.Close())
	}
	decode := newHeaderDecoder()
	reading, once := make(chan struct{}), sync.Once{}
	err = l.socket.RegisterWithErrorFunc(ctx, func(a nflog.Attribute) int {
		l.record(decode, a)
		return 0
	}, func(err error) int {
		if ctx.Err() != nil {
			return 1
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			once.Do(func() { close(reading) })
			return 0
		}
		l.fail(err)
		return 0
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the ledger: %w", err), l.Close())
	}
	// The library counts its reader in only once it runs, and Close waits for what is
	// counted: a deadline in the past makes it show itself.
	if err := l.socket.Con.SetReadDeadline(time.Unix(1, 0)); err != nil {
		return nil, errors.Join(fmt.Errorf("start the ledger: %w", err), l.Close())
	}
	<-reading
	if err := l.socket.Con.SetReadDeadline(time.Time{}); err != nil {
		return nil, errors.Join(fmt.Errorf("start the ledger: %w", err), l.Close())
	}
	return l, nil
}

func (l *Log) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = errors.Join(l.err, fmt.Errorf("the ledger lost reports: %w", err))
}

func (l *Log) record(decode *headerDecoder, a nflog.Attribute) {
	if a.Payload == nil {
		l.fail(errors.New("a report came without its packet"))
		return
	}
	p, err := decode.packet(*a.Payload)
	if err != nil {
		l.fail(err)
		return
	}
	if l.take != nil {
		if a.HwHeader == nil {
			l.fail(errors.New("a report came without its Ethernet header"))
			return
		}
		l.take(Frame{*a.HwHeader, *a.Payload})
	}
	// Reports of forwarded packets may carry no time; they are sent at once,
	// so the time of arrival stands in.
	p.Time = time.Now()
	if a.Timestamp != nil {
		p.Time = *a.Timestamp
	}
	l.mu.Lock()
	l.packets = append(l.packets, p)
	l.mu.Unlock()
}

// Settle waits until the log holds as many packets as the kernel counted, or three
// seconds, or the context's end: what is missing then is lost. An error means that the
// log is not to be trusted; the packets are what there is.
func (l *Log) Settle(ctx context.Context, counter uint64) ([]Packet, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	for {
		l.mu.Lock()
		packets, err := l.packets, l.err
		l.mu.Unlock()
		if uint64(len(packets)) >= counter || err != nil {
			return packets, err
		}
		select {
		case <-ctx.Done():
			return packets, nil // the caller compares
		case <-time.After(time.Millisecond):
		}
	}
}

// Close ends the reading. The context goes first: the library waits for the receiver.
func (l *Log) Close() error {
	l.cancel()
	return l.socket.Close()
}
