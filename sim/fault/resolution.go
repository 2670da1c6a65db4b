package fault

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hopblame/hopblame/internal/nflog"
	"github.com/hopblame/hopblame/internal/nft"
	"github.com/hopblame/hopblame/topology"
	"golang.org/x/sys/unix"
)

// What the firewall needs to know before it can send a packet to a server: the server's
// hardware address, for which it asks by ARP or by neighbour discovery. The words are those
// of tcpdump and Wireshark.
const (
	WhoHas Match = "who-has" // the question (ARP request, neighbour solicitation), to the server
	IsAt   Match = "is-at"   // the answer (ARP reply, neighbour advertisement), to the client
)

// Resolves says whether the fault keeps the firewall from learning where a server is. It
// has a time then: see [Fault.From] and [Fault.For].
func (f *Fault) Resolves() bool { return f.Match == WhoHas || f.Match == IsAt }

// TakenAt and TakenWay are where the fault takes segments from their way, and which. What
// nobody can be asked for, or whose TTL is up, goes no further than the firewall; what is on
// a detour is missing between f5 and firewall first.
func (f *Fault) TakenAt() string {
	if f.Do == Detour {
		return beforeFirewall
	}
	if f.Resolves() || f.Expires() {
		return topology.Firewall
	}
	return f.At
}

// TakenWay is the direction of the segments that a fault of packets takes; see [Fault.TakenAt].
func (f *Fault) TakenWay() Direction {
	if f.Resolves() {
		return ToServer
	}
	return f.Direction
}

// Bounds of a time: it must be long enough for the firewall to give up asking, which is
// three questions a second apart, and runs are to be finite.
const (
	minFor = 3500 * time.Millisecond
	maxFor = time.Minute
)

// validateTime sees that what has a time has one, and nothing else has.
func (f *Fault) validateTime(bad complaint) {
	switch {
	case !f.Resolves():
		f.validateTimed(bad)
	case f.From < 0 || f.From > maxFor:
		bad("from %v: must be 0s to %v after the first request", f.From, maxFor)
	case f.For < minFor || f.For > maxFor:
		bad("for %v: %s needs a time of %v to %v, for the firewall asks three times, a second apart, before it gives up", f.For, f.Match, minFor, maxFor)
	}
}

func (f *Fault) validateResolution(spec *topology.Spec, bad complaint) {
	if f.Do != Drop {
		bad("do %q: %s can be dropped, and nothing else", f.Do, f.Match)
	}
	if f.Per == PerConnection || f.Per == PerTuple {
		bad("per %q: a %s is of no connection; it must be packet", f.Per, f.Match)
	}
	if f.Probability > 0 && f.Probability < 1 {
		bad("probability %v: %s has a time and no chance, so it must be 1 (or 0)", f.Probability, f.Match)
	}
	if places := resolutionPlaces(spec, f.Match); !slices.Contains(places, f.At) {
		bad("at %q: %s is dropped where the firewall asks for its neighbours, %s", f.At, f.Match, words(places))
	}
}

// resolutionPlaces are the stretch of Ethernet behind the firewall: its links, and the
// servers, which have the question in their captures then.
func resolutionPlaces(spec *topology.Spec, match Match) (places []string) {
	for _, server := range servers {
		path := spec.Path(topology.Firewall, server)
		for _, place := range path[min(1, len(path)):] {
			if (strings.HasPrefix(place, linkPrefix) || place == server && match == WhoHas) && !slices.Contains(places, place) {
				places = append(places, place)
			}
		}
	}
	return places
}

// Resolution is a fault at work that keeps the firewall from learning where servers are,
// for a time. At its beginning the firewall forgets what it knew.
//
// What happens to a segment then is the kernel's own doing: it waits in the firewall for an
// answer, and after the third question it is thrown away. The kernel counts that nowhere
// where a namespace could see it, so the ledger is a difference: what the firewall took for
// sent, and did not send (see [nft.CrossingSpec]). The firewall says nothing of it to the
// f5, as where `no ip unreachables` is set.
type Resolution struct {
	fault    Fault
	firewall *topology.Host
	spec     topology.Spec
	order    int
	targets  []netip.Addr
	at       *nft.Conn  // where questions or answers are dropped
	device   string     // there; "" on a link
	conn     *nft.Conn  // in the firewall
	ledger   *nflog.Log // of what the firewall took for sent

	span     *span // over when nothing waits any more
	mu       sync.Mutex
	rule     *nft.Resolution // nil before its time
	crossing *nft.Crossing   // likewise
}

// queue is how much waits for a neighbour: more than all requests at once can send in the
// time that the kernel asks for it.
const queue = 64 << 20

// StartResolution prepares a fault of resolution; [Resolution.Begin] starts its time. order
// is as in [Inject].
func StartResolution(lab *topology.Lab, f Fault, order int) (_ *Resolution, err error) {
	r := &Resolution{fault: f, firewall: lab.Host(topology.Firewall), spec: lab.Spec(), order: order, span: newSpan()}
	if err := f.Validate(&r.spec); err != nil {
		return nil, err
	}
	for _, server := range servers {
		if slices.Contains(r.spec.Path(topology.Firewall, server), f.At) {
			r.targets = append(r.targets, addressesOf(&r.spec, []string{server})...)
		}
	}
	host := lab.Host(f.At)
	if r.device = topology.ServerFace; f.IsLink() {
		host, r.device = lab.Middle(f.At), ""
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("fault %s: %w", f.Name, err), r.Close())
		}
	}()
	if err := r.firewall.HoldForNeighbours(topology.Downstream, queue); err != nil {
		return nil, err
	}
	if r.at, err = nft.Open(host); err != nil {
		return nil, err
	}
	if r.conn, err = nft.Open(r.firewall); err != nil {
		return nil, err
	}
	// The ledger first: no packet may be hit unseen.
	r.ledger, err = nflog.Open(r.firewall, r.group())
	return r, err
}

func (r *Resolution) group() uint16 { return uint16(firstLogGroup + r.order) }

// Begin starts the time; it is called once, before the first request. Close ends it.
func (r *Resolution) Begin() {
	if r.fault.Probability != 0 {
		r.span.begin(&r.fault, r.strike, r.relent)
	}
}

// resolutionPoll is how often the firewall is asked whether it knows its neighbours again.
const resolutionPoll = 10 * time.Millisecond

// relent has everybody answer again, and waits until the firewall has nobody to ask for.
func (r *Resolution) relent() error {
	if err := r.rule.End(); err != nil {
		return err
	}
	// What waits is thrown away. It would come late, after its sender has given up
	// perhaps, and that has no name in the analyzer's words yet.
	if err := r.forget(); err != nil {
		return err
	}
	for {
		switch n, err := r.firewall.Resolving(); {
		case err != nil:
			return err
		case n == 0:
			return r.crossing.End()
		case !r.span.wait(resolutionPoll):
			return nil
		}
	}
}

// strike has nobody answer from now on, and makes the firewall ask.
func (r *Resolution) strike() error {
	f := &r.fault
	rule, err := r.at.AddResolution(nft.ResolutionSpec{Name: f.Name, Device: r.device, IPv6: r.spec.UsesIPv6(), Answers: f.Match == IsAt, Targets: r.targets})
	if err != nil {
		return err
	}
	crossing, err := r.conn.AddCrossing(nft.CrossingSpec{Name: f.Name, Device: topology.Downstream, IPv6: r.spec.UsesIPv6(), Hosts: r.targets,
		Mark: uint32(r.group()), LogGroup: r.group(), LogBytes: nflog.Bytes})
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.rule, r.crossing = rule, crossing
	r.mu.Unlock()
	return r.forget()
}

// forget makes the firewall forget the servers, and what waits for them.
func (r *Resolution) forget() error {
	for _, a := range r.targets {
		if err := r.firewall.Forget(topology.Downstream, a); err != nil && !errors.Is(err, unix.ENOENT) { // nobody has sent it anything
			return err
		}
	}
	return nil
}

// Fault returns the fault at work.
func (r *Resolution) Fault() Fault { return r.fault }

// Pending says whether its time is not over, or segments still wait in the firewall for an
// answer.
func (r *Resolution) Pending() bool {
	runs, _ := r.span.state() // an error is told by Report
	return runs
}

// Report is [Injector.Report]: the segments that the firewall has thrown away. Unheard
// counts the questions or answers that were dropped for it.
func (r *Resolution) Report(ctx context.Context) (Report, error) {
	report := Report{Fault: r.fault}
	_, failed := r.span.state()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.crossing == nil || failed != nil {
		return report, failed
	}
	unheard, err := r.rule.Count()
	if err != nil {
		return report, err
	}
	sent, left, err := r.crossing.Count()
	if err != nil {
		return report, err
	}
	all, err := r.ledger.Settle(ctx, sent)
	if err == nil && uint64(len(all)) != sent {
		err = fmt.Errorf("the ledger holds %d segments that were taken for sent, the kernel counted %d", len(all), sent)
	}
	if err != nil {
		err = fmt.Errorf("fault %s: %w", r.fault.Name, err)
	}
	report.Entries, report.Counter, report.Unheard = r.fault.Entries(missing(all, left)), sent-uint64(len(left)), unheard
	return report, err
}

// Hits is how many questions or answers have been dropped so far, by the kernel's counter.
// Which segments that costs is known at the end only: until then they may wait.
func (r *Resolution) Hits() (uint64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rule == nil {
		return 0, nil
	}
	return r.rule.Count()
}

// missing lists which of some packets have not left. A segment that was sent several times
// waits several times, and it is the last of them that gets away.
func missing(all []nflog.Packet, left []nft.Segment) (lost []nflog.Packet) {
	gone := map[nft.Segment]int{}
	for _, s := range left {
		gone[s]++
	}
	for _, p := range slices.Backward(all) {
		if s := (nft.Segment{Source: p.Source, Destination: p.Destination.Addr(), Seq: p.Seq}); gone[s] > 0 {
			gone[s]--
			continue
		}
		lost = append(lost, p)
	}
	slices.Reverse(lost)
	return lost
}

// Close ends the fault's time and frees it; the rules end with the lab.
func (r *Resolution) Close() error {
	r.span.close()
	var errs []error
	if r.ledger != nil {
		errs = append(errs, r.ledger.Close())
	}
	for _, c := range []*nft.Conn{r.at, r.conn} {
		if c != nil {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}
