package fault

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hopblame/hopblame/topology"
)

func TestFateIsAFunctionOfSeedNameOrdinalAndAttemptAlone(t *testing.T) {
	f := Fault{Name: "syn-drop", Probability: 0.3}
	const n = 2000
	forward := make([]bool, n)
	for o := range n {
		forward[o] = f.Fate(7, o, 0)
	}
	again := Fault{Name: "syn-drop", Probability: 0.3, At: "elsewhere", Per: PerConnection}
	for _, o := range rand.Perm(n) {
		if again.Fate(7, o, 0) != forward[o] {
			t.Fatalf("request %d has another fate when asked in another order", o)
		}
	}
	for _, row := range []struct {
		name string
		fate func(o int) bool
	}{
		{"another seed", func(o int) bool { return f.Fate(8, o, 0) }},
		{"another attempt", func(o int) bool { return f.Fate(7, o, 1) }},
		{"another name", func(o int) bool { return (&Fault{Name: "syn-drop2", Probability: 0.3}).Fate(7, o, 0) }},
		{"the port's next turn", func(o int) bool { return f.Fate(7, o+28224, 0) }},
	} {
		same := 0
		for o := range n {
			if row.fate(o) == forward[o] {
				same++
			}
		}
		// Independent draws agree in 0.3² + 0.7² = 58 % of the cases.
		if share := float64(same) / n; math.Abs(share-0.58) > 0.06 {
			t.Errorf("%s agrees in %.1f %%, want 58", row.name, share*100)
		}
	}
	// What was planned in one version must be hit in the next.
	var hits []int
	for o := range 20 {
		if f.Fate(7, o, 0) {
			hits = append(hits, o)
		}
	}
	if want := []int{1, 10, 11, 14, 16, 18, 19}; !slices.Equal(hits, want) {
		t.Errorf("the fates of the first 20 requests are %v, want %v", hits, want)
	}
}

func TestFateComesAboutAsOftenAsItsProbability(t *testing.T) {
	const n = 1_000_000
	for _, p := range []float64{0, 1e-4, 0.0065, 0.5, 0.9999, 1} {
		f := Fault{Name: "x", Probability: p}
		hits := 0
		for o := range n {
			if f.Fate(1, o, 0) {
				hits++
			}
		}
		// Five standard deviations; at 0 and 1 that is none.
		if diff := math.Abs(float64(hits) - n*p); diff > 5*math.Sqrt(n*p*(1-p)) {
			t.Errorf("probability %v: %d of %d", p, hits, n)
		}
	}
}

func TestTupleFateIsExactAtBothEndsAndNearInBetween(t *testing.T) {
	a := netip.MustParseAddr("198.18.60.247")
	to := netip.MustParseAddrPort("198.18.160.81:8000")
	const n = 65536
	for _, p := range []float64{0, 1e-9, 0.01, 0.5, 1 - 1e-9, 1} {
		f := Fault{Name: "x", Probability: p}
		hits := 0
		for port := range n {
			if f.TupleFate(3, Tuple(netip.AddrPortFrom(a, uint16(port)), to)) {
				hits++
			}
		}
		if diff := math.Abs(float64(hits) - n*p); diff > 5*math.Sqrt(n*p*(1-p))+1 || (p == 0 || p == 1) && diff > 0 {
			t.Errorf("probability %v: %d of %d", p, hits, n)
		}
	}
	for p, want := range map[float64]uint32{0: 0, 1e-12: 1, 0.5: 500_000, 1 - 1e-12: 999_999, 1: 1_000_000} {
		if got := (&Fault{Probability: p}).threshold(); got != want {
			t.Errorf("probability %v: threshold %d, want %d", p, got, want)
		}
	}
}

func TestTheKernelIsNeverAskedToChooseASeedItself(t *testing.T) {
	// A seed of 0 is not sent, and the kernel then takes a random one.
	f := Fault{}
	for i := range 10000 {
		f.Name = fmt.Sprint(i)
		if f.hashSeed(1) == 0 {
			t.Fatal("seed 0")
		}
	}
	if nonZero(0) == 0 || nonZero(5) != 5 {
		t.Error("nonZero does not do what it is called")
	}
}

func TestTheChosenPacketsOfABlockAreSoManyAndDifferWithTheSeed(t *testing.T) {
	f := Fault{Name: "x"}
	a, b := f.numbers(1, 65, 10000), f.numbers(2, 65, 10000)
	if len(a) != 65 || slices.Equal(a, b) || !slices.Equal(a, f.numbers(1, 65, 10000)) {
		t.Error("the choice is not a function of the seed")
	}
	if !slices.IsSorted(a) || len(slices.Compact(slices.Clone(a))) != 65 || a[64] >= 10000 {
		t.Errorf("%v", a)
	}
}

func TestAShareIsExact(t *testing.T) {
	for _, row := range []struct {
		p           float64
		hits, block uint32
		ok          bool
	}{
		{0.1, 1, 10, true}, {0.5, 5, 10, true}, {0.0065, 65, 10000, true}, {0.000001, 1, 1_000_000, true},
		{0.999999, 999_999, 1_000_000, true}, {0, 0, 10, true}, {1, 10, 10, true},
		{0.0000005, 0, 0, false}, {1e-10, 0, 0, false}, {1 - 1e-10, 0, 0, false}, {1.0 / 3, 0, 0, false},
	} {
		f := Fault{Probability: row.p}
		if hits, block, ok := f.share(); hits != row.hits || block != row.block || ok != row.ok {
			t.Errorf("%v is %d of %d, %v; want %d of %d, %v", row.p, hits, block, ok, row.hits, row.block, row.ok)
		}
	}
}

func valid() Fault {
	return Fault{Name: "syn-drop", At: topology.Firewall, Direction: ToServer, Match: SYN, Do: Drop, Per: PerConnection, Probability: 0.5}
}

// behaves makes it an actor's fault.
func behaves(do Do) func(*Fault) {
	return func(f *Fault) { f.Match, f.Direction, f.Do, f.At = "", "", do, topology.Server2 }
}

// treats makes it a fault on a wire.
func treats(do Do, match Match) func(*Fault) {
	return func(f *Fault) {
		f.Do, f.Match, f.At = do, match, "link:f5-firewall"
		if way := classes[match].way; way != "" {
			f.Direction = way
		}
	}
}

// timed makes it a drop for a time.
func timed(edit func(*Fault)) func(*Fault) {
	return func(f *Fault) {
		f.Per, f.Probability, f.From, f.For = PerPacket, 1, time.Second, 6*time.Second
		if edit != nil {
			edit(f)
		}
	}
}

// polices makes it a policer of requests.
func polices(f *Fault) {
	f.Match, f.Do, f.Rate, f.Per, f.Probability = Data, RateLimit, 100, PerPacket, 1
}

// answers turns the fault round.
func answers(f *Fault) { f.Match, f.Direction = SYNACK, ToClient }

func standard(t *testing.T, f topology.Family) topology.Spec {
	t.Helper()
	spec, err := topology.Standard(f)
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

func TestFaultsThatCannotBeAreRefusedWithTheReason(t *testing.T) {
	spec := standard(t, topology.IPv4)
	for _, row := range []struct {
		name string
		edit func(*Fault)
		want string // "" is valid
	}{
		{"the incident's", func(*Fault) {}, ""},
		{"on a wire", func(f *Fault) { f.At = "link:f5-firewall" }, ""},
		{"in a server", func(f *Fault) { f.At = "server2" }, ""},
		{"per packet, one in a million", func(f *Fault) { f.Per, f.Probability = PerPacket, 0.000001 }, ""},
		{"probability 0", func(f *Fault) { f.Probability = 0 }, ""},
		{"probability 1", func(f *Fault) { f.Probability = 1 }, ""},
		{"without a name", func(f *Fault) { f.Name = "" }, "1 to 64 letters, digits and hyphens"},
		{"a name with a blank", func(f *Fault) { f.Name = "syn drop" }, "1 to 64 letters"},
		{"a name that is too long", func(f *Fault) { f.Name = strings.Repeat("x", 65) }, "1 to 64 letters"},
		{"a direction there is not", func(f *Fault) { f.Direction = "sideways" }, `direction "sideways": must be to-server`},
		{"a match there is not", func(f *Fault) { f.Match = "urg" }, `match "urg": must be syn, syn-ack, ack, data, large-data, after-syn, response, any, fin, rst, icmp, who-has or is-at`},
		{"an act there is not", func(f *Fault) { f.Do = "eat" }, `do "eat": must be drop, reject, rate-limit, inject-rst, delay, reorder, duplicate, corrupt, rewrite or detour`},
		{"an act that no server knows", func(f *Fault) { f.Do, f.At = "eat", "server1" },
			`do "eat": must be drop, reject, rate-limit, inject-rst, delay, reorder, duplicate, corrupt, rewrite, detour, answer-error, answer-slowly, cut-response, die, never-read, reset or stay-silent`},
		{"nothing said of how often", func(f *Fault) { f.Per = "" }, `per "": must be connection, tuple or packet`},
		{"less than never", func(f *Fault) { f.Probability = -0.1 }, "probability -0.1: must be 0 to 1"},
		{"more than always", func(f *Fault) { f.Probability = 1.1 }, "probability 1.1: must be 0 to 1"},
		{"no number", func(f *Fault) { f.Probability = math.NaN() }, "probability NaN"},
		{"per packet, a third", func(f *Fault) { f.Per, f.Probability = PerPacket, 1.0/3 }, "must be a multiple of 0.000001"},
		{"per packet, next to never", func(f *Fault) { f.Per, f.Probability = PerPacket, 1e-10 }, "must be a multiple of 0.000001"},
		{"at a place there is not", func(f *Fault) { f.At = "router" }, `at "router": there is no such place; there are link:client-f5, link:f5-firewall,`},
		{"an answer on its way back", answers, ""},
		{"an answer on a wire behind the switch", func(f *Fault) { answers(f); f.At = "link:switch-server1" }, ""},
		{"an answer that goes the wrong way", func(f *Fault) { f.Match = SYNACK }, `direction "to-server": a syn-ack goes to-client`},
		{"a SYN that goes the wrong way", func(f *Fault) { f.Direction = ToClient }, `direction "to-client": a syn goes to-server`},
		{"an answer in the server, whose capture would not have it", func(f *Fault) { answers(f); f.At = "server2" },
			`at "server2": the server's own capture would not have the SYN-ACK either; the nearest place is link:switch-server2`},
		{"a request's data", func(f *Fault) { f.Match = Data }, ""},
		{"a response on a wire", func(f *Fault) { f.Match, f.Direction, f.At = Response, ToClient, "link:f5-firewall" }, ""},
		{"a handshake's last ACK per tuple", func(f *Fault) { f.Match, f.Per = ACK, PerTuple }, ""},
		{"a response that goes the wrong way", func(f *Fault) { f.Match = Response }, `direction "to-server": a response goes to-client`},
		{"data in the server, which nobody could tell", func(f *Fault) { f.Match, f.At = Data, "server1" },
			`at "server1": the server's own capture would have it, and its host to blame is no cause yet; the nearest place is link:switch-server1`},
		{"a response in the server", func(f *Fault) { f.Match, f.Direction, f.At = Response, ToClient, "server1" },
			`at "server1": the server's own capture would not have the response either; the nearest place is link:switch-server1`},
		{"a listen queue that is full", func(f *Fault) { f.Match, f.At = AfterSYN, "server1" }, ""},
		{"a listen queue with room for some packets", func(f *Fault) { f.Match, f.At, f.Per = AfterSYN, "server1", PerPacket },
			`per "packet": a connection has its place in a listen queue or has none`},
		{"a listen queue of the firewall's", func(f *Fault) { f.Match = AfterSYN },
			`at "firewall": after-syn is what a server with a full listen queue drops, server1 or server2`},
		{"a small MTU", func(f *Fault) { f.Match, f.LargerThan, f.Probability = LargeData, 1400, 1 }, ""},
		{"a small MTU, but not how small", func(f *Fault) { f.Match, f.Probability = LargeData, 1 }, `larger-than 0: large-data needs the largest packet that passes, 576 to 1499 bytes`},
		{"an MTU that everything fits in", func(f *Fault) { f.Match, f.LargerThan, f.Probability = LargeData, 1500, 1 }, `larger-than 1500: large-data needs`},
		{"an MTU for some", func(f *Fault) { f.Match, f.LargerThan, f.Probability = LargeData, 1400, 0.5 }, `probability 0.5: large-data is hit always or never`},
		{"a large SYN", func(f *Fault) { f.LargerThan = 1400 }, `larger-than 1400: only large-data has it`},
		{"a server that resets what is large", func(f *Fault) { behaves(Reset)(f); f.LargerThan = 1400 }, `larger-than 1400: only large-data has it`},
		{"a FIN on its way to the server", func(f *Fault) { f.Match = FIN }, ""},
		{"a FIN on its way back", func(f *Fault) { f.Match, f.Direction = FIN, ToClient }, ""},
		{"a FIN in the server, whose capture would not have it", func(f *Fault) { f.Match, f.Direction, f.At = FIN, ToClient, "server2" },
			`at "server2": the server's own capture would not have the FIN either; the nearest place is link:switch-server2`},
		{"a RST on its way back", func(f *Fault) { f.Match, f.Direction = RST, ToClient }, ""},
		{"a RST of the f5's, of some connections", func(f *Fault) { f.Match = RST }, `per "connection": whether the f5 sends a rst to a server is its own affair; it must be packet`},
		{"a RST of the f5's, per packet", func(f *Fault) { f.Match, f.Per = RST, PerPacket }, ""},
		{"an ICMP error on its way back", func(f *Fault) { f.Match, f.Direction, f.At = ICMP, ToClient, "link:f5-firewall" }, ""},
		{"a delayed FIN", func(f *Fault) { treats(Delay, FIN)(f); f.After = 300 * time.Millisecond }, `do "delay": what matches fin can be dropped, and no more`},
		{"a SYN that the firewall forbids", func(f *Fault) { f.Do, f.With = Reject, WithAdminProhibited }, ""},
		{"a server that says so by ICMP", func(f *Fault) { f.Do, f.With, f.At = Reject, WithPortUnreachable, "server2" }, ""},
		{"an answer there is not", func(f *Fault) { f.Do, f.With = Reject, "icmp-no-route" }, `with "icmp-no-route": must be rst, icmp-admin-prohibited or icmp-port-unreachable`},
		{"an answer to what is dropped", func(f *Fault) { f.With = WithRST }, `with "rst": only reject has it`},
		{"a server that resets by ICMP", func(f *Fault) { behaves(Reset)(f); f.With = WithPortUnreachable }, `with "icmp-port-unreachable": only reject has it`},
		{"a policer", polices, ""},
		{"a policer of responses", func(f *Fault) { polices(f); f.Match, f.Direction, f.Burst = Response, ToClient, 5 }, ""},
		{"a policer without a rate", func(f *Fault) { polices(f); f.Rate = 0 }, `rate 0: rate-limit needs the packets a second that pass, 1 to 1000000`},
		{"a policer of some connections", func(f *Fault) { polices(f); f.Per = PerConnection }, `per "connection": rate-limit drops what exceeds, whosever it is; it must be packet`},
		{"a policer that looks away", func(f *Fault) { polices(f); f.Probability = 0.5 }, `probability 0.5: rate-limit counts every packet or none`},
		{"a policer of FINs", func(f *Fault) { polices(f); f.Match = FIN }, `do "rate-limit": a rate is one of syn, syn-ack, ack, data or response, and not of fin`},
		{"a burst of less than nothing", func(f *Fault) { polices(f); f.Burst = -1 }, `burst -1: must be 1 to 1000000 packets`},
		{"a rate of what is dropped", func(f *Fault) { f.Rate = 100 }, `rate 100: only rate-limit has it`},
		{"a SYN that the firewall rejects", func(f *Fault) { f.Do = Reject }, ""},
		{"a closed port", func(f *Fault) { f.Do, f.At = Reject, "server2" }, ""},
		{"a cable that rejects", func(f *Fault) { f.Do, f.At = Reject, "link:f5-firewall" },
			`at "link:f5-firewall": a cable rejects nothing; firewall, server1 and server2 can`},
		{"rejected data", func(f *Fault) { f.Do, f.Match = Reject, Data }, `do "reject": only a syn is rejected, a data can be dropped`},
		{"a drop that takes its time", func(f *Fault) { f.After = time.Second }, `after 1s: only delay has it, and an actor that takes its time`},

		{"a forged RST ahead of a request", treats(InjectRST, Data), ""},
		{"a forged RST ahead of a response, in the firewall", func(f *Fault) { treats(InjectRST, Response)(f); f.At = "firewall" }, ""},
		{"a forged RST in answer to a SYN", treats(InjectRST, SYN), `do "inject-rst": a forged RST goes ahead of data, a response or a syn-ack, and not of a syn`},
		{"a delay of all that is sent", func(f *Fault) { treats(Delay, Any)(f); f.After, f.Jitter = 900*time.Millisecond, 900*time.Millisecond }, ""},
		{"a delay of all that comes back", func(f *Fault) { treats(Delay, Any)(f); f.After, f.Direction = 300*time.Millisecond, ToClient }, ""},
		{"a delay that does not say how long", treats(Delay, Data), `after 0s: delay needs a time of up to 1m0s, such as 300ms`},
		{"a delay that no run can wait for", func(f *Fault) { treats(Delay, Data)(f); f.After = time.Hour }, `after 1h0m0s: delay needs a time of up to 1m0s`},
		{"a jitter that makes packets early", func(f *Fault) { treats(Delay, Data)(f); f.After, f.Jitter = 300*time.Millisecond, -time.Second }, `jitter -1s: must be 0 to 1m0s`},
		{"a jitter without a delay", func(f *Fault) { treats(Reorder, Any)(f); f.Jitter = time.Second }, `jitter 1s: only delay has it`},
		{"a server that jitters", func(f *Fault) { behaves(AnswerSlowly)(f); f.After, f.Jitter = time.Second, time.Second }, `jitter 1s: only delay has it`},
		{"copies, per packet", func(f *Fault) { treats(Duplicate, Any)(f); f.Per = PerPacket }, ""},
		{"all that is sent, dropped", treats(Drop, Any), `match "any": what is dropped must be told apart; say syn, syn-ack, ack, data or response`},
		{"all that is sent, damaged", treats(Corrupt, Any), `match "any": what is corrupted must be told apart`},
		{"a RST to the server", func(f *Fault) { treats(InjectRST, Data)(f); f.To = ToTheServer }, ""},
		{"a RST to the server, which has just answered", func(f *Fault) { treats(InjectRST, SYNACK)(f); f.To, f.Direction = ToTheServer, ToClient }, ""},
		{"a RST to the f5 in place of an answer", func(f *Fault) { treats(InjectRST, SYNACK)(f); f.Direction = ToClient }, `match "syn-ack": the f5 would take a RST ahead of it for a refusal; say to: server, or do: reject`},
		{"a RST to a server that is done", func(f *Fault) { treats(InjectRST, Response)(f); f.To, f.Direction = ToTheServer, ToClient }, `to "server": when its response is on its way`},
		{"a RST with the TTL of its alleged sender", func(f *Fault) { treats(InjectRST, Data)(f); f.TTL = 63 }, ""},
		{"a RST with a TTL that is none", func(f *Fault) { treats(InjectRST, Data)(f); f.TTL = 256 }, `ttl 256: must be 1 to 255`},
		{"a RST to somebody else", func(f *Fault) { treats(InjectRST, Data)(f); f.To = "client" }, `to "client": must be f5 or server`},
		{"a drop to somebody", func(f *Fault) { f.To = ToTheF5 }, `to "f5": only inject-rst has it`},
		{"a TTL", func(f *Fault) { treats(Rewrite, SYN)(f); f.TTL = 1 }, ""},
		{"a number of data", func(f *Fault) { treats(Rewrite, Data)(f); f.Seq = 1 << 30 }, ""},
		{"a rewrite of nothing", treats(Rewrite, SYN), `do "rewrite": it needs one of ttl, mss, seq and tsval, and no more`},
		{"a rewrite of two fields", func(f *Fault) { treats(Rewrite, SYN)(f); f.TTL, f.Seq = 1, 1 }, `do "rewrite": it needs one of ttl, mss, seq and tsval, and no more`},
		{"a drop for a time", timed(nil), ""},
		{"a drop for a time that never comes", timed(func(f *Fault) { f.Probability = 0 }), ""},
		{"a drop for a time, of some connections", timed(func(f *Fault) { f.Per = PerConnection }), `per "connection": what has a time hits whatever comes in it; it must be packet`},
		{"a drop for a time, of half the packets", timed(func(f *Fault) { f.Probability = 0.5 }), `probability 0.5: what has a time has no chance, so it must be 1 (or 0)`},
		{"a drop for no time", timed(func(f *Fault) { f.For = 0 }), `for 0s: must be 100ms to 1m0s`},
		{"a drop after the run", timed(func(f *Fault) { f.From = time.Hour }), `from 1h0m0s: must be 0s to 1m0s after the first request`},
		{"a policer for a time", timed(func(f *Fault) { f.Do, f.Rate = RateLimit, 5 }), `for 6s: only who-has, is-at and a drop of segments have it`},
		{"a policer from a time on", timed(func(f *Fault) { f.Do, f.Rate, f.For = RateLimit, 5, 0 }), `from 1s: only who-has, is-at and a drop of segments have it`},
		{"an old time stamp of a request", func(f *Fault) { treats(Rewrite, Data)(f); f.TSval = leastBackdate }, ""},
		{"an old time stamp of a SYN", func(f *Fault) { treats(Rewrite, SYN)(f); f.TSval = leastBackdate }, `match "syn": only data, large-data and a response are missed if they are thrown away for an old time stamp`},
		{"a time stamp that is soon young enough", func(f *Fault) { treats(Rewrite, Data)(f); f.TSval = 1000 }, `tsval 1000: must be 3600000 to 2147483647`},
		{"a TTL that no header has", func(f *Fault) { treats(Rewrite, SYN)(f); f.TTL = 256 }, `ttl 256: must be 1 to 255`},
		{"an MSS of data", func(f *Fault) { treats(Rewrite, Data)(f); f.MSS = 600 }, `match "data": only a syn and a syn-ack have an mss`},
		{"an MSS that is none", func(f *Fault) { treats(Rewrite, SYN)(f); f.MSS = 20 }, `mss 20: must be 100 to 9000`},
		{"a drop with a TTL", func(f *Fault) { f.TTL = 1 }, `ttl 1: only rewrite has it`},
		{"a server with a number", func(f *Fault) { behaves(Die)(f); f.Seq = 1 }, `seq 1: only rewrite has it`},
		{"a rewrite of anything", func(f *Fault) { treats(Rewrite, Any)(f); f.TTL = 1 }, `match "any": what is rewritten must be told apart`},
		{"a client's FIN", func(f *Fault) { f.At, f.Match = ClientLink, FIN }, `at "link:client-f5": a fin is hit on the other side of the f5 only; there are link:f5-firewall, `},
		{"a firewall that delays", func(f *Fault) { treats(Delay, Data)(f); f.After, f.At = 300*time.Millisecond, "firewall" },
			`at "firewall": delay is done on a wire; there are link:client-f5, link:f5-firewall, link:firewall-switch, link:switch-server1, link:switch-server2`},
		{"a server's host that damages SYNs", func(f *Fault) { treats(Corrupt, SYN)(f); f.At = "server1" }, `at "server1": corrupt is done on a wire`},

		{"a server that resets", behaves(Reset), ""},
		{"a server that answers slowly", func(f *Fault) { behaves(AnswerSlowly)(f); f.After = 3 * time.Second }, ""},
		{"a server that answers slowly, but not when", behaves(AnswerSlowly), `after 0s: answer-slowly needs a time of up to 1m0s, such as 3s`},
		{"a server that answers after the run", func(f *Fault) { behaves(AnswerSlowly)(f); f.After = time.Hour }, `after 1h0m0s: answer-slowly needs a time`},
		{"a server that dies late", func(f *Fault) { behaves(Die)(f); f.After = time.Second }, `after 1s: only answer-slowly, pause and give-up have it`},
		{"a server that does what clients do", behaves(Abort), `at "server2": abort is what client can do`},
		{"a client that does what servers do", func(f *Fault) { behaves(Die)(f); f.At = topology.Client }, `at "client": die is what server1 or server2 can do`},
		{"a client that aborts", func(f *Fault) { behaves(Abort)(f); f.At = topology.Client }, ""},
		{"a client that pauses", func(f *Fault) { behaves(Pause)(f); f.At, f.After = topology.Client, time.Second }, ""},
		{"a client that pauses, but not how long", func(f *Fault) { behaves(Pause)(f); f.At = topology.Client }, `after 0s: pause needs a time of up to 1m0s, such as 3s`},
		{"a client that connects elsewhere", func(f *Fault) { behaves(ConnectElsewhere)(f); f.At, f.Port = topology.Client, 8166 }, ""},
		{"a client that connects elsewhere, but not where", func(f *Fault) { behaves(ConnectElsewhere)(f); f.At = topology.Client },
			`port 0: connect-elsewhere needs one, such as 8166`},
		{"a client that aborts at a port", func(f *Fault) { behaves(Abort)(f); f.At, f.Port = topology.Client, 8166 }, `port 8166: only connect-elsewhere has it`},
		{"the client's packets", func(f *Fault) { f.At = topology.Client }, `at "client": there is no such place`},
		{"a server that resets SYNs", func(f *Fault) { behaves(Reset)(f); f.Match = SYN }, `match "syn": an actor's reset has no match; leave it out`},
		{"a server that resets in a direction", func(f *Fault) { behaves(Reset)(f); f.Direction = ToClient }, `direction "to-client": an actor's reset has no direction; leave it out`},
		{"a server that resets per packet", func(f *Fault) { behaves(Reset)(f); f.Per = PerPacket }, `per "packet": an actor's reset is per connection`},
		{"a firewall that cuts responses", func(f *Fault) { behaves(CutResponse)(f); f.At = topology.Firewall },
			`at "firewall": cut-response is what server1 or server2 can do`},
		{"an actor that misbehaves more than always", func(f *Fault) { behaves(Reset)(f); f.Probability = 2 }, `probability 2: must be 0 to 1`},
		{"in the f5, whose connections end there", func(f *Fault) { f.At = "f5" }, `at "f5"`},
		{"in the switch", func(f *Fault) { f.At = "switch" }, `at "switch"`},
		{"a SYN of the client's", func(f *Fault) { f.At = ClientLink }, ""},
		{"a response on its way to the client", func(f *Fault) { f.Match, f.Direction, f.At = Response, ToClient, ClientLink }, ""},
		{"a listen queue of the f5's", func(f *Fault) { f.Match, f.At = AfterSYN, ClientLink },
			`at "link:client-f5": after-syn is what a server with a full listen queue drops, server1 or server2`},
		{"a cable to the f5 that rejects", func(f *Fault) { f.Do, f.At = Reject, ClientLink }, `at "link:client-f5": a cable rejects nothing`},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := valid()
			row.edit(&f)
			err := f.Validate(&spec)
			if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
				t.Errorf("got %v, want %q", err, row.want)
			}
		})
	}
}

func TestThePlacesAreOnTheWayFromTheClientToTheServers(t *testing.T) {
	spec := standard(t, topology.IPv4)
	for match, want := range map[Match]string{
		SYN:      "link:client-f5 link:f5-firewall firewall link:firewall-switch link:switch-server1 server1 link:switch-server2 server2",
		SYNACK:   "link:client-f5 link:f5-firewall firewall link:firewall-switch link:switch-server1 link:switch-server2",
		Data:     "link:client-f5 link:f5-firewall firewall link:firewall-switch link:switch-server1 link:switch-server2",
		Response: "link:client-f5 link:f5-firewall firewall link:firewall-switch link:switch-server1 link:switch-server2",
		ICMP:     "link:f5-firewall firewall link:firewall-switch link:switch-server1 link:switch-server2",
	} {
		if got := strings.Join(Places(&spec, match), " "); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", match, got, want)
		}
	}
}

func TestAFaultShadowsWhatAConnectionThenNeverComesTo(t *testing.T) {
	of := func(m Match) Fault { return Fault{Match: m, Direction: classes[m].way, Do: Drop} }
	acts := func(do Do) Fault { return Fault{Do: do} }
	for _, row := range []struct {
		name      string
		is, later Fault
		want      bool
	}{
		{"a lost SYN has no data after it", of(SYN), of(Data), true},
		{"a refused SYN neither", Fault{Match: SYN, Do: Reject}, of(SYNACK), true},
		{"a lost SYN is not lost again", of(SYN), of(SYN), true},
		{"a lost ACK changes nothing", of(ACK), of(Data), false},
		{"but is not lost again", of(ACK), of(ACK), true},
		{"lost data is never answered", of(Data), acts(Die), true},
		{"nor is there a response to lose", of(Data), of(Response), true},
		{"a server does one thing only", acts(AnswerSlowly), acts(Reset), true},
		{"a server that resets sends no response", acts(Reset), of(Response), true},
		{"nor does one that is silent", acts(StaySilent), of(Response), true},
		{"one that dies has sent half of it", acts(Die), of(Response), false},
		{"an error is a response as well", acts(AnswerError), of(Response), false},
		{"a lost SYN ends in no FIN", of(SYN), Fault{Match: FIN, Direction: ToServer, Do: Drop}, true},
		{"nor is there a RST", of(SYN), Fault{Match: RST, Direction: ToClient, Do: Drop}, true},
		{"but there is where the SYN is refused by one", Fault{Match: SYN, Direction: ToServer, Do: Reject}, Fault{Match: RST, Direction: ToClient, Do: Drop}, false},
		{"not where it is refused by ICMP", Fault{Match: SYN, Direction: ToServer, Do: Reject, With: WithAdminProhibited}, Fault{Match: RST, Direction: ToClient, Do: Drop}, true},
		{"an ICMP error is there then", Fault{Match: SYN, Direction: ToServer, Do: Reject, With: WithAdminProhibited}, Fault{Match: ICMP, Direction: ToClient, Do: Drop}, false},
		{"a server that resets sends a RST", acts(Reset), Fault{Match: RST, Direction: ToClient, Do: Drop}, false},
		{"a lost FIN leaves the other end's", Fault{Match: FIN, Direction: ToServer, Do: Drop}, Fault{Match: FIN, Direction: ToClient, Do: Drop}, false},
	} {
		if got := row.is.Shadows(&row.later); got != row.want || row.is.Stage() > row.later.Stage() {
			t.Errorf("%s: got %v at stages %d and %d", row.name, got, row.is.Stage(), row.later.Stage())
		}
	}
}

func TestAMoodStrikesWhomItsFaultsFateNamesAndKeepsTheLedger(t *testing.T) {
	f := valid()
	behaves(Die)(&f)
	m := NewMood(f, 5)
	own, other := netip.MustParseAddrPort("198.18.160.82:8000"), netip.MustParseAddrPort("198.18.60.247:43166")
	for o := range 200 {
		if m.Strikes(o, 0) != f.Fate(5, o, 0) {
			t.Fatalf("request %d has another fate", o)
		}
	}
	if m.Strikes(-1, 0) {
		t.Error("a request without an ordinal was struck")
	}
	m.Note(own, other, 17)
	r := m.Report()
	if len(r.Entries) != 1 || r.Counter != 1 || r.Fault != f || m.Fault() != f {
		t.Fatalf("got %+v", r)
	}
	e := r.Entries[0]
	if from, to := e.Ends(); from != other || to != own || e.Ordinal != 17 || e.Fault != f.Name || e.At != f.At || time.Since(e.Time) > time.Minute {
		t.Errorf("the entry is %+v", e)
	}
}

func TestALedgerEntryKnowsWhichEndOpenedTheConnection(t *testing.T) {
	a, b := netip.MustParseAddrPort("198.18.60.247:1"), netip.MustParseAddrPort("198.18.160.81:8000")
	for _, e := range []Entry{{Direction: ToServer, Source: a, Destination: b}, {Direction: ToClient, Source: b, Destination: a}} {
		if from, to := e.Ends(); from != a || to != b {
			t.Errorf("%s: the connection is %v to %v", e.Direction, from, to)
		}
	}
}
