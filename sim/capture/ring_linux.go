package capture

import (
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Geometry of a ring: 8 MiB a tap. Smaller blocks lose frames when the reader is
// kept waiting; larger rings cost memory for every lab that runs in parallel.
const (
	blockBytes = 256 << 10
	blocks     = 32
	frameBytes = 2048 // unused by version 3 but checked
	// retireAfter is how long a block that is not full is kept from the reader.
	retireAfterMS = 50
)

// ring is one open tap.
type ring struct {
	fd   int
	mem  []byte
	next int // block the kernel fills next
	held int // blocks taken and not yet released
}

// openRing opens a tap on an interface of the calling thread's namespace.
func openRing(name string) (_ *ring, err error) {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return nil, err
	}
	// Protocol 0: nothing is captured before the ring is bound and ready.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("packet socket: %w", err)
	}
	r := &ring{fd: fd}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V3); err != nil {
		return nil, fmt.Errorf("TPACKET_V3: %w", err)
	}
	req := unix.TpacketReq3{Block_size: blockBytes, Block_nr: blocks, Frame_size: frameBytes,
		Frame_nr: blockBytes / frameBytes * blocks, Retire_blk_tov: retireAfterMS}
	if err := unix.SetsockoptTpacketReq3(fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &req); err != nil {
		return nil, fmt.Errorf("packet ring of %d MiB: %w", blockBytes*blocks>>20, err)
	}
	r.mem, err = unix.Mmap(fd, 0, blockBytes*blocks, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map packet ring: %w", err)
	}
	all := uint16(unix.ETH_P_ALL)
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all<<8 | all>>8, Ifindex: i.Index}); err != nil {
		return nil, fmt.Errorf("bind tap: %w", err)
	}
	return r, nil
}

func (r *ring) close() error {
	var errs []error
	if r.mem != nil {
		errs = append(errs, unix.Munmap(r.mem))
		r.mem = nil
	}
	if r.fd >= 0 {
		errs = append(errs, unix.Close(r.fd))
		r.fd = -1
	}
	return errors.Join(errs...)
}

// statistics reads, and resets, the kernel's count of frames seen and dropped.
func (r *ring) statistics() (received, dropped uint64, err error) {
	s, err := unix.GetsockoptTpacketStatsV3(r.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return 0, 0, fmt.Errorf("packet statistics: %w", err)
	}
	return uint64(s.Packets), uint64(s.Drops), nil
}

// Layout of a block descriptor: version, offset to private data, then the header
// (struct tpacket_hdr_v1 in include/uapi/linux/if_packet.h).
const (
	offsetStatus  = 8
	offsetPackets = 12
	offsetFirst   = 16
)

// block is one that the kernel has handed over.
type block struct {
	mem   []byte
	left  uint32 // packets not read yet
	at    uint32 // offset of the next one
	owner *ring
}

// take returns the next block if the kernel has finished it.
func (r *ring) take() (b block, ok bool) {
	if r.held == blocks {
		return b, false // the next one is the oldest of our own
	}
	mem := r.mem[r.next*blockBytes : (r.next+1)*blockBytes]
	status := (*uint32)(unsafe.Pointer(&mem[offsetStatus]))
	if atomic.LoadUint32(status)&unix.TP_STATUS_USER == 0 {
		return b, false
	}
	r.next = (r.next + 1) % blocks
	r.held++
	b = block{mem: mem, owner: r}
	b.left = *(*uint32)(unsafe.Pointer(&mem[offsetPackets]))
	b.at = *(*uint32)(unsafe.Pointer(&mem[offsetFirst]))
	return b, true
}

// release gives a block back to the kernel.
func (b *block) release() {
	b.owner.held--
	atomic.StoreUint32((*uint32)(unsafe.Pointer(&b.mem[offsetStatus])), unix.TP_STATUS_KERNEL)
}

// packet is one frame in a block.
type packet struct {
	time     int64 // ns since the epoch
	wire     int   // bytes on the wire
	data     []byte
	outgoing bool
}

// peek returns the next packet without moving on; ok is false at the end.
func (b *block) peek() (p packet, ok bool) {
	if b.left == 0 {
		return p, false
	}
	h := (*unix.Tpacket3Hdr)(unsafe.Pointer(&b.mem[b.at]))
	ll := (*unix.RawSockaddrLinklayer)(unsafe.Pointer(&b.mem[b.at+tpacketHeader]))
	start := b.at + uint32(h.Mac)
	return packet{
		time: int64(h.Sec)*1e9 + int64(h.Nsec), wire: int(h.Len), data: b.mem[start : start+h.Snaplen],
		outgoing: ll.Pkttype == unix.PACKET_OUTGOING,
	}, true
}

// tpacketHeader is TPACKET_ALIGN(sizeof(struct tpacket3_hdr)); the link-layer
// address follows it.
const tpacketHeader = (uint32(unix.SizeofTpacket3Hdr) + unix.TPACKET_ALIGNMENT - 1) &^ (unix.TPACKET_ALIGNMENT - 1)

// advance moves to the next packet.
func (b *block) advance() {
	b.at += (*unix.Tpacket3Hdr)(unsafe.Pointer(&b.mem[b.at])).Next_offset
	b.left--
}
