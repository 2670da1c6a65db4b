package bigip

import (
	"slices"
	"testing"
	"time"

	"github.com/hopblame/hopblame/internal/eventloop"
	"github.com/hopblame/hopblame/topology"
	"golang.org/x/sys/unix"
)

func TestAPortWhoseSYNIsRepeatedToOneMemberIsFreeForAnother(t *testing.T) {
	b := build(t, topology.IPv4)
	b.dropSYNs()
	source := mustAddrPort(b.a.SNAT.String() + ":40000")
	err := b.Host(topology.F5).Run(func() error {
		repeated, err := eventloop.TCP(source)
		if err != nil {
			return err
		}
		defer unix.Close(repeated)
		if err := setISN(repeated, 12345); err != nil {
			return err
		}
		if err := unix.Connect(repeated, eventloop.Sockaddr(b.a.Server1)); err != unix.EINPROGRESS {
			return err
		}
		other, err := eventloop.TCP(source)
		if err != nil {
			return err
		}
		return unix.Close(other)
	})
	if err != nil {
		t.Error(err)
	}
}

func TestARetryWaitsForItsOwnPort(t *testing.T) {
	t.Parallel()
	const kept = 1500 * time.Millisecond // past the time of the second SYN
	once := 1
	profile := TCPProfile{SYNMaxRetrans: &once, SYNRTOBase: time.Second}
	b := build(t, topology.IPv4)
	b.dropSYNs()
	dialed := make(chan Dial, 1)
	b.hooks.Dialing = func(d Dial) { dialed <- d }
	b.start(profile)
	client := b.dial()
	b.write(client, request(0, 0))
	d := receive(t, dialed, "nothing was dialled")
	first := make(chan struct{})
	b.proxy.loop.Post(func() { close(first) }) // the hook's turn of the loop is over, and the SYN sent
	receive(t, first, "the proxy's loop does not turn")
	err := b.Host(topology.F5).Run(func() error {
		other, err := eventloop.TCP(d.SNAT)
		if err != nil {
			return err
		}
		defer unix.Close(other)
		if err := unix.SetsockoptInt(other, unix.SOL_SOCKET, unix.SO_REUSEADDR, 0); err != nil {
			return err
		}
		time.Sleep(kept) // the time is the subject: tries fall into it
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, wasReset, err := reset(client); !wasReset {
		t.Fatalf("got %q, %v; want a reset", got, err)
	}
	if f := b.flow(); f.Tries != profile.Tries() || f.Reset != RetransmitTimeout.Text || f.Closed.Sub(f.Opened) < kept {
		t.Errorf("the flow ended after %v and %d SYNs by %q; want all of them, the last after the port was free", f.Closed.Sub(f.Opened), f.Tries, f.Reset)
	}
}

// serversideSYNs plays requests without an answer and returns the sequence numbers of
// their SYNs.
func serversideSYNs(t *testing.T, c Config, requests int) (sequences []uint32) {
	t.Helper()
	c.Serverside.SYNMaxRetrans, c.Serverside.SYNRTOBase = Fast.SYNMaxRetrans, Fast.SYNRTOBase
	b := buildFor(t, topology.IPv4, c)
	b.dropSYNs()
	b.startWith(c)
	stop := b.capture()
	for n := range requests {
		client := b.dial()
		b.write(client, request(n, 0))
		if got, wasReset, err := reset(client); !wasReset {
			t.Fatalf("got %q, %v; want a reset", got, err)
		}
	}
	b.close()
	for _, s := range stop() {
		if s.vlan == ServersideVLAN && s.flags == flagSYN {
			sequences = append(sequences, s.seq)
		}
	}
	return sequences
}

func TestWithoutTimestampsSequenceNumbersAreDrawnFromTheSeed(t *testing.T) {
	t.Parallel()
	drawn := func(seed uint64) []uint32 { // by connection; a SYN that is repeated keeps its number
		return slices.Compact(serversideSYNs(t, Config{Serverside: TCPProfile{Timestamps: enabled(false)}, Seed: seed}, 2))
	}
	one := drawn(1)
	if len(one) != 2 {
		t.Errorf("the SYNs of two connections have the sequence numbers %v", one)
	}
	if again := drawn(1); !slices.Equal(again, one) {
		t.Errorf("with the same seed they are %v, and were %v", again, one)
	}
	if other := drawn(2); slices.Equal(other, one) {
		t.Errorf("with another seed they are %v as well", other)
	}
}

func TestEitherProfileTakesTheTimestampsFromBothSides(t *testing.T) {
	for _, row := range []struct {
		name string
		Config
		want string
	}{
		{"both have them", Config{}, "1"},
		{"the clientside has none", Config{Clientside: TCPProfile{Timestamps: enabled(false)}}, "0"},
		{"the serverside has none", Config{Serverside: TCPProfile{Timestamps: enabled(false)}}, "0"},
	} {
		b := buildFor(t, topology.IPv4, row.Config)
		for node, want := range map[string]string{topology.F5: row.want, topology.Client: "1", topology.Server1: "1"} {
			if got, err := b.Host(node).Setting("net.ipv4.tcp_timestamps"); err != nil || got != want {
				t.Errorf("%s: %s has %q, %v; want %s", row.name, node, got, err, want)
			}
		}
	}
}
