package fault

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/florianl/go-nflog/v2"
	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/hopblame/hopblame/topology"
)

// Entry is one packet that a fault hit, as the kernel reported it, or one request
// that an actor misbehaved at, as it noted itself.
type Entry struct {
	Time        time.Time
	Fault       string
	At          string // node or link
	Direction   Direction
	Source      netip.AddrPort
	Destination netip.AddrPort
	Seq         uint32 // 0 of an actor's entry
	IPID        uint16 // IPv4 identification; 0 with IPv6, and of an actor's entry
	Ordinal     int    // of the request, as the actor read it; -1 of a packet, which does not tell
}

// Ends returns the two ends of the packet's connection, the one that opened it
// first.
func (e *Entry) Ends() (from, to netip.AddrPort) {
	if e.Direction == ToClient {
		return e.Destination, e.Source
	}
	return e.Source, e.Destination
}

// ledger reads a namespace's NFLOG group.
type ledger struct {
	fault  Fault
	socket *nflog.Nflog
	cancel context.CancelFunc

	mu      sync.Mutex
	entries []Entry
	err     error
}

// logBytes of a packet are enough for its IP and TCP headers.
const logBytes = 96

// readBuffer is asked of the kernel for the reports; without root it grants at
// most net.core.rmem_max, which is enough at 20,000 packets a second.
const readBuffer = 4 << 20

func openLedger(f Fault, host *topology.Host, group uint16) (*ledger, error) {
	l := &ledger{fault: f}
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	err := host.Run(func() (err error) {
		l.socket, err = nflog.Open(&nflog.Config{Group: group, Copymode: nflog.CopyPacket, Bufsize: logBytes, QThresh: 1})
		return err
	})
	if err != nil {
		cancel()
		return nil, fmt.Errorf("fault %s: open the ledger (NFLOG group %d): %w", f.Name, group, err)
	}
	if err := l.socket.Con.SetReadBuffer(readBuffer); err != nil {
		return nil, errors.Join(fmt.Errorf("fault %s: ledger's buffer: %w", f.Name, err), l.close())
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
		return nil, errors.Join(fmt.Errorf("fault %s: start the ledger: %w", f.Name, err), l.close())
	}
	// The library counts its reader in only once it runs, and Close waits for what is
	// counted: a deadline in the past makes it show itself.
	if err := l.socket.Con.SetReadDeadline(time.Unix(1, 0)); err != nil {
		return nil, errors.Join(fmt.Errorf("fault %s: start the ledger: %w", f.Name, err), l.close())
	}
	<-reading
	if err := l.socket.Con.SetReadDeadline(time.Time{}); err != nil {
		return nil, errors.Join(fmt.Errorf("fault %s: start the ledger: %w", f.Name, err), l.close())
	}
	return l, nil
}

func (l *ledger) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = errors.Join(l.err, fmt.Errorf("fault %s: the ledger lost reports: %w", l.fault.Name, err))
}

func (l *ledger) record(decode *headerDecoder, a nflog.Attribute) {
	if a.Payload == nil {
		l.fail(errors.New("a report came without its packet"))
		return
	}
	e, err := decode.entry(*a.Payload)
	if err != nil {
		l.fail(err)
		return
	}
	// Reports of forwarded packets may carry no time; they are sent at once,
	// so the time of arrival stands in.
	e.Time, e.Fault, e.At, e.Direction = time.Now(), l.fault.Name, l.fault.At, l.fault.Direction
	if a.Timestamp != nil {
		e.Time = *a.Timestamp
	}
	l.mu.Lock()
	l.entries = append(l.entries, e)
	l.mu.Unlock()
}

// settle waits until the ledger holds as many packets as the kernel counted, or
// the deadline: what is missing then is lost.
func (l *ledger) settle(ctx context.Context, counter uint64) ([]Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	for {
		l.mu.Lock()
		entries, err := l.entries, l.err
		l.mu.Unlock()
		if uint64(len(entries)) >= counter || err != nil {
			return entries, err
		}
		select {
		case <-ctx.Done():
			return entries, nil // the caller compares
		case <-time.After(time.Millisecond):
		}
	}
}

// close ends the reading. The context goes first: Close waits for the receiver.
func (l *ledger) close() error {
	l.cancel()
	return l.socket.Close()
}

// headerDecoder reads IP and TCP headers without allocating.
type headerDecoder struct {
	ip4     layers.IPv4
	ip6     layers.IPv6
	tcp     layers.TCP
	parser4 *gopacket.DecodingLayerParser
	parser6 *gopacket.DecodingLayerParser
	found   []gopacket.LayerType
}

func newHeaderDecoder() *headerDecoder {
	d := &headerDecoder{}
	d.parser4 = gopacket.NewDecodingLayerParser(layers.LayerTypeIPv4, &d.ip4, &d.tcp)
	d.parser6 = gopacket.NewDecodingLayerParser(layers.LayerTypeIPv6, &d.ip6, &d.tcp)
	for _, p := range []*gopacket.DecodingLayerParser{d.parser4, d.parser6} {
		p.IgnoreUnsupported = true
	}
	return d
}

func (d *headerDecoder) entry(packet []byte) (e Entry, err error) {
	if len(packet) == 0 {
		return e, errors.New("a report came with an empty packet")
	}
	parser := d.parser4
	if packet[0]>>4 == 6 {
		parser = d.parser6
	}
	if err := parser.DecodeLayers(packet, &d.found); err != nil {
		return e, fmt.Errorf("decode a reported packet: %w", err)
	}
	if n := len(d.found); n == 0 || d.found[n-1] != layers.LayerTypeTCP {
		return e, errors.New("a reported packet is not TCP")
	}
	var source, destination netip.Addr
	if d.found[0] == layers.LayerTypeIPv6 {
		source, _ = netip.AddrFromSlice(d.ip6.SrcIP)
		destination, _ = netip.AddrFromSlice(d.ip6.DstIP)
	} else {
		source, _ = netip.AddrFromSlice(d.ip4.SrcIP)
		destination, _ = netip.AddrFromSlice(d.ip4.DstIP)
		e.IPID = d.ip4.Id
	}
	e.Ordinal = -1
	e.Source = netip.AddrPortFrom(source, uint16(d.tcp.SrcPort))
	e.Destination = netip.AddrPortFrom(destination, uint16(d.tcp.DstPort))
	e.Seq = d.tcp.Seq
	return e, nil
}
