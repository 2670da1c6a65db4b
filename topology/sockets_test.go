package topology

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTheKernelsTableOfSocketsIsRead(t *testing.T) {
	const tcp = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 51A012C6:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0000000000000000 100 0 0 10 0
   1: 51A012C6:1F40 F73C12C6:A89E 03 00000000:00000000 01:00000064 00000000     0        0 0 1 0000000000000000
`
	const tcp6 = `   0: B80D0120000060010000000081000000:1F40 00000000000000000000000000000000:0000 0A 00000000:00000000
   1: 0000000000000000FFFF0000F73C12C6:0050 00000000000000000000000000000000:0000 01 00000000:00000000
`
	for _, row := range []struct {
		name, table string
		want        []socket
	}{
		{"a listener and a half-open connection", tcp, []socket{
			{netip.MustParseAddrPort("198.18.160.81:8000"), listening, "00"}, {netip.MustParseAddrPort("198.18.160.81:8000"), synReceived, retransmission}}},
		{"IPv6, and IPv4 in it", tcp6, []socket{
			{netip.MustParseAddrPort("[2001:db8:160::81]:8000"), listening, ""}, {netip.MustParseAddrPort("198.18.60.247:80"), "01", ""}}},
		{"nothing", "", nil},
		{"what is no line of it", "0: zz:1 00:0 0A\n1: 0102:1 0:0 0A\n2: 01020304:xx 0:0 0A\n", nil},
	} {
		if diff := cmp.Diff(row.want, parseSockets(row.table), cmp.AllowUnexported(socket{}), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
			t.Errorf("%s: want - got +\n%s", row.name, diff)
		}
	}
}

func TestAListenerIsAwaitedUntilItIsThereOrNoLonger(t *testing.T) {
	spec, err := Standard(IPv4)
	if err != nil {
		t.Fatal(err)
	}
	lab, err := Build(t.Context(), spec)
	var unsupported *UnsupportedError
	if errors.As(err, &unsupported) {
		t.Skip(unsupported)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer lab.Close()
	server, at := lab.Host(Server1), StandardAddresses(IPv4).Server1
	errEnded := errors.New("it ended")
	ctx, ended := context.WithCancelCause(t.Context())
	ended(errEnded)
	if err := server.AwaitListener(ctx, at); !errors.Is(err, errEnded) {
		t.Errorf("nobody listens: got %v", err)
	}
	for _, address := range []string{at.String(), "0.0.0.0:9000"} {
		want := netip.AddrPortFrom(at.Addr(), netip.MustParseAddrPort(address).Port())
		awaited := make(chan error, 1)
		go func() { awaited <- server.AwaitListener(t.Context(), want) }()
		l, err := server.Listen(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		select {
		case err := <-awaited:
			if err != nil {
				t.Errorf("%s: %v", address, err)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: nobody was found to listen", address)
		}
	}
}
