package backend

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/hopblame/hopblame/sim/fault"
	"golang.org/x/sys/unix"
)

// receiveBuffer is what a server that never reads asks for, in bytes; the kernel takes
// twice that, half of it for its own book-keeping (socket(7), tcp(7): tcp_adv_win_scale).
// A header fits into what is left for the window. Its listener must have it, for a window
// that has been advertised is not taken back (RFC 9293 §3.8.6).
const receiveBuffer = 2048

// tooLarge is the least Content-Length that never fits into the window, in bytes: nearly
// the whole buffer, book-keeping and all. Other requests are read.
const tooLarge = 2 * receiveBuffer * 9 / 10

func neverReads(m *fault.Mood) bool { return m.Fault().Do == fault.NeverRead }

// unread is a connection of a server that may never read: before each read it looks at
// what there is and leaves it where it is.
type unread struct {
	*net.TCPConn
	server *Server
}

// Read reads, unless what comes next is a request that a mood strikes: then it returns
// when the other side has reset the connection, or the server is closed.
func (u *unread) Read(b []byte) (int, error) {
	raw, err := u.SyscallConn()
	if err != nil {
		return 0, err
	}
	next, n := make([]byte, 2*receiveBuffer), 0
	if err := raw.Read(func(fd uintptr) bool {
		var err error
		n, _, err = unix.Recvfrom(int(fd), next, unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return err != unix.EAGAIN
	}); err != nil {
		return 0, err
	}
	if !u.strikes(next[:max(n, 0)]) {
		return u.TCPConn.Read(b)
	}
	u.server.busy.Add(1)
	defer u.server.busy.Add(-1)
	if err := u.SetReadDeadline(time.Time{}); err != nil {
		return 0, err
	}
	if err := raw.Read(func(fd uintptr) bool { return over(int(fd)) }); err != nil {
		return 0, err
	}
	return 0, io.EOF
}

// strikes says whether a request that begins with some bytes is not to be read, and has
// that noted. The f5 writes a header in one piece.
func (u *unread) strikes(next []byte) bool {
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(next)))
	if err != nil || r.ContentLength < tooLarge {
		return false // it is no request's beginning, or one that fits into the window
	}
	ordinal := ordinalOf(r)
	i := slices.IndexFunc(u.server.moods, func(m *fault.Mood) bool { return m.Strikes(ordinal, 0) })
	if i < 0 || !neverReads(u.server.moods[i]) {
		return false // it is read, and then an earlier mood has it, or none
	}
	u.server.moods[i].Note(unmapped(u.LocalAddr()), unmapped(u.RemoteAddr()), ordinal)
	return true
}

func unmapped(a net.Addr) netip.AddrPort {
	at := a.(*net.TCPAddr).AddrPort() // of a TCP connection it is one
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

// over says whether the other side has reset a connection. Its FIN would be behind what
// does not fit into the window.
func over(fd int) bool {
	i, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	return err != nil || i.State == unix.BPF_TCP_CLOSE
}
