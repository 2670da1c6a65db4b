package bigip

import (
	"slices"
	"testing"

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
