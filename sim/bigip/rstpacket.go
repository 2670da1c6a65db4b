package bigip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/hopblame/hopblame/internal/eventloop"
	"github.com/hopblame/hopblame/internal/inetsum"
	"github.com/hopblame/hopblame/topology"
	"golang.org/x/sys/unix"
)

// rstSender makes RSTs that carry their cause as payload (sys db tm.rstcause.pkt). The
// kernel's own have none, so the socket is closed without a packet and this one is sent
// in its place. RSTs that no socket of the proxy's is behind — to a port without a
// listener, to a packet without a flow — are the kernel's, and carry nothing.
type rstSender struct {
	fd   int
	sent uint64
}

// rstTTL is that of everything that TMM makes (ip-ttl-v4 of the tcp profile).
const rstTTL = 255

func newRSTSender(host *topology.Host, ipv6 bool) (*rstSender, error) {
	s := &rstSender{fd: -1}
	err := host.Run(func() (err error) {
		s.fd, err = eventloop.RawIP(ipv6)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("f5: rst-cause: %w", err)
	}
	return s, nil
}

func (s *rstSender) close() { unix.Close(s.fd) }

// reset closes a socket and sends the RST that it would have sent, with a payload.
func (s *rstSender) reset(fd int, local, remote netip.AddrPort, payload string) error {
	seq, ack, err := nextSequence(fd)
	vanish(fd)
	if err != nil {
		return err
	}
	if err := eventloop.SendIP(s.fd, rstPacket(local, remote, flagRST|flagACK, seq, ack, payload)); err != nil {
		return fmt.Errorf("f5: send RST: %w", err)
	}
	s.sent++
	return nil
}

// nextSequence reads the sequence numbers that a socket's next segment would have. It
// leaves the socket under repair.
func nextSequence(fd int) (seq, ack uint32, err error) {
	if i, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO); err != nil {
		return 0, 0, err
	} else if i.State == unix.BPF_TCP_CLOSE {
		return 0, 0, unix.ENOTCONN
	} else {
		seq = -i.Notsent_bytes // what was never sent is not missed
	}
	read := func(queue int) (n uint32) {
		v := 0
		err = errors.Join(err, unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_REPAIR_QUEUE, queue))
		if err == nil {
			v, err = unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_QUEUE_SEQ)
		}
		return uint32(v)
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_REPAIR, repairOn); err != nil {
		return 0, 0, err
	}
	seq += read(repairQueueSend)
	ack = read(repairQueueReceive)
	return seq, ack, err
}

// rstPacket builds the packet: RST, with or without ACK, window 0, and the cause behind
// the header.
func rstPacket(local, remote netip.AddrPort, flags byte, seq, ack uint32, payload string) []byte {
	tcp := make([]byte, 20, 20+len(payload))
	binary.BigEndian.PutUint16(tcp[0:], local.Port())
	binary.BigEndian.PutUint16(tcp[2:], remote.Port())
	binary.BigEndian.PutUint32(tcp[4:], seq)
	binary.BigEndian.PutUint32(tcp[8:], ack)
	tcp[12], tcp[13] = 5<<4, flags
	tcp = append(tcp, payload...)
	pseudo := append(local.Addr().AsSlice(), remote.Addr().AsSlice()...)
	pseudo = binary.BigEndian.AppendUint32(pseudo, uint32(len(tcp)))
	pseudo = binary.BigEndian.AppendUint32(pseudo, protoTCP)
	binary.BigEndian.PutUint16(tcp[16:], checksum(append(pseudo, tcp...)))
	if remote.Addr().Is4() {
		ip := make([]byte, 20, 20+len(tcp))
		ip[0], ip[6], ip[8], ip[9] = 0x45, 0x40, rstTTL, protoTCP // DF
		binary.BigEndian.PutUint16(ip[2:], uint16(20+len(tcp)))
		copy(ip[12:], local.Addr().AsSlice())
		copy(ip[16:], remote.Addr().AsSlice())
		binary.BigEndian.PutUint16(ip[10:], checksum(ip))
		return append(ip, tcp...)
	}
	ip := make([]byte, 40, 40+len(tcp))
	ip[0], ip[6], ip[7] = 0x60, protoTCP, rstTTL
	binary.BigEndian.PutUint16(ip[4:], uint16(len(tcp)))
	copy(ip[8:], local.Addr().AsSlice())
	copy(ip[24:], remote.Addr().AsSlice())
	return append(ip, tcp...)
}

// checksum is the Internet checksum (RFC 1071).
func checksum(b []byte) uint16 { return ^inetsum.Fold(inetsum.Add(0, b)) }
