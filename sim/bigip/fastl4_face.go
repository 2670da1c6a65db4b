package bigip

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Geometry of a face's ring: 8 MiB, more frames than a TCP window holds. A socket's own
// buffer, without privileges, holds a hundred.
const (
	ringFrameBytes = 2048 // a frame of an Ethernet MTU, with its header
	ringFrames     = 4096
	ringBlockBytes = 64 << 10
)

// face is one of the f5's interfaces as a FastL4 virtual server has it: frames come in
// through a ring that is shared with the kernel, in the version that tells of each frame
// at once, and go out through the same packet socket, so that captures see them leave.
type face struct {
	name  string
	index int
	mac   hardware
	fd    int
	ring  []byte
	next  int // frame the kernel fills next
	lost  int // frames that could not be sent or were too long
}

// openFace opens an interface of the calling thread's namespace for one IP version:
// a socket for a protocol does not get what is sent.
func openFace(name string, protocol uint16) (_ *face, err error) {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("interface %s: %w", name, err)
	}
	f := &face{name: name, index: i.Index}
	copy(f.mac[:], i.HardwareAddr)
	// Protocol 0: nothing comes in before the ring is there.
	if f.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
		return nil, fmt.Errorf("interface %s: packet socket: %w", name, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("interface %s: %w", name, err), f.close())
		}
	}()
	if err := unix.SetsockoptInt(f.fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V2); err != nil {
		return nil, fmt.Errorf("TPACKET_V2: %w", err)
	}
	const size = ringFrames * ringFrameBytes
	req := unix.TpacketReq{Block_size: ringBlockBytes, Block_nr: size / ringBlockBytes, Frame_size: ringFrameBytes, Frame_nr: ringFrames}
	if err := unix.SetsockoptTpacketReq(f.fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &req); err != nil {
		return nil, fmt.Errorf("packet ring of %d MiB: %w", size>>20, err)
	}
	if f.ring, err = unix.Mmap(f.fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return nil, fmt.Errorf("map packet ring: %w", err)
	}
	if err := unix.Bind(f.fd, &unix.SockaddrLinklayer{Protocol: protocol<<8 | protocol>>8, Ifindex: i.Index}); err != nil {
		return nil, fmt.Errorf("bind packet socket: %w", err)
	}
	return f, nil
}

// familyOf is the protocol of an address's IP version.
func familyOf(a netip.Addr) uint16 {
	if a.Is4() {
		return unix.ETH_P_IP
	}
	return unix.ETH_P_IPV6
}

// receive gives the next frame that has come in to a function, which may write to it;
// false if there is none.
func (f *face) receive(handle func(frame []byte)) bool {
	slot := f.ring[f.next*ringFrameBytes:][:ringFrameBytes]
	h := (*unix.Tpacket2Hdr)(unsafe.Pointer(&slot[0]))
	if atomic.LoadUint32(&h.Status)&unix.TP_STATUS_USER == 0 {
		return false
	}
	if h.Snaplen < h.Len {
		f.lost++ // longer than Ethernet allows
	} else {
		handle(slot[h.Mac:][:h.Snaplen])
	}
	atomic.StoreUint32(&h.Status, unix.TP_STATUS_KERNEL)
	f.next = (f.next + 1) % ringFrames
	return true
}

// forward sends a packet on to the next hop, from and to other addresses.
func (f *face) forward(s *datagram, to hardware, src, dst netip.AddrPort) {
	if !s.hop() {
		return
	}
	s.translate(src, dst)
	copy(s.frame, to[:])
	f.send(s.frame)
}

// send sends a frame that says where it goes.
func (f *face) send(frame []byte) {
	copy(frame[6:], f.mac[:])
	if _, err := unix.Write(f.fd, frame); err != nil {
		f.lost++
	}
}

// close closes the face. Frames that were lost there make the error.
func (f *face) close() error {
	var errs []error
	if f.ring != nil {
		if s, err := unix.GetsockoptTpacketStats(f.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
			f.lost += int(s.Drops)
		}
		errs = append(errs, unix.Munmap(f.ring))
		f.ring = nil
	}
	if f.fd >= 0 {
		errs = append(errs, unix.Close(f.fd))
		f.fd = -1
	}
	if f.lost > 0 {
		errs = append(errs, fmt.Errorf("f5: fastl4: %d frames were lost at %s: the machine was too busy; repeat with fewer requests in flight", f.lost, f.name))
	}
	return errors.Join(errs...)
}
