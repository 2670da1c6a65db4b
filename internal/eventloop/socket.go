package eventloop

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// TCP returns a non-blocking TCP socket bound to an address of the calling
// thread's namespace. A bound port may be in TIME_WAIT (SO_REUSEADDR): source
// ports come round within seconds.
func TCP(local netip.AddrPort) (fd int, err error) { return tcp(local, false) }

// TransparentTCP is TCP for an address that is not the namespace's own
// (IP_TRANSPARENT, ip(7)): connections leave from it, and who binds to it sees to it
// that their answers come back.
func TransparentTCP(local netip.AddrPort) (fd int, err error) { return tcp(local, true) }

func tcp(local netip.AddrPort, transparent bool) (fd int, err error) {
	domain := unix.AF_INET
	if local.Addr().Is6() {
		domain = unix.AF_INET6
	}
	fd, err = unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	if transparent && domain == unix.AF_INET {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TRANSPARENT, 1)
	} else if transparent {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_TRANSPARENT, 1)
	}
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	}
	if err == nil {
		err = unix.Bind(fd, Sockaddr(local))
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("bind %s: %w", local, err)
	}
	return fd, nil
}

// Sockaddr converts an address for package unix.
func Sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is6() {
		return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
	}
	return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
}

// Accept takes a connection from a listener, non-blocking, with the errors of
// accept(2). It goes through package syscall: package unix asks the kernel for the
// protocol of each socket whose address it converts.
func Accept(listener int) (fd int, from netip.AddrPort, err error) {
	fd, sa, err := syscall.Accept4(listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	return fd, addrPort(sa), err
}

// addrPort converts an address; the zero value for what is neither IPv4 nor IPv6.
func addrPort(sa syscall.Sockaddr) netip.AddrPort {
	switch a := sa.(type) {
	case *syscall.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *syscall.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port))
	}
	return netip.AddrPort{}
}

// Error returns what SO_ERROR holds for a descriptor, and clears it.
func Error(fd int) error {
	n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return err
	}
	if n != 0 {
		return unix.Errno(n)
	}
	return nil
}

// Reset closes a connected socket with a RST instead of a FIN (SO_LINGER with a
// zero timeout: RFC 9293's ABORT).
func Reset(fd int) {
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	unix.Close(fd)
}

// RawIP returns a socket of the calling thread's namespace that sends whole IP packets:
// with IPPROTO_RAW the header is the sender's (raw(7), ipv6(7)).
func RawIP(ipv6 bool) (fd int, err error) {
	domain := unix.AF_INET
	if ipv6 {
		domain = unix.AF_INET6
	}
	if fd, err = unix.Socket(domain, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW); err != nil {
		return -1, fmt.Errorf("raw socket: %w", err)
	}
	return fd, nil
}

// SendIP sends an IP packet to where its header says, through a socket of [RawIP].
func SendIP(fd int, ip []byte) error {
	if ip[0]>>4 == 6 {
		return unix.Sendto(fd, ip, 0, &unix.SockaddrInet6{Addr: [16]byte(ip[24:40])})
	}
	return unix.Sendto(fd, ip, 0, &unix.SockaddrInet4{Addr: [4]byte(ip[16:20])})
}

// Knock sends one SYN from an address to another, and takes no interest in the answer: the
// socket is gone before TCP would send another.
func Knock(from, to netip.AddrPort) error {
	fd, err := TCP(from)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, Sockaddr(to)); !errors.Is(err, unix.EINPROGRESS) && !errors.Is(err, unix.ECONNREFUSED) {
		return fmt.Errorf("connect %s to %s: %w", from, to, err)
	}
	return nil
}
