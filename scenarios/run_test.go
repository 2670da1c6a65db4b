package scenarios

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"
)

// quick returns a scenario of the catalogue with the fast SYN schedule, by way of
// a file such as a user would write.
func quick(t *testing.T, name string) *Scenario {
	t.Helper()
	b, err := catalogue.ReadFile("catalogue/" + name + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), name+".yaml")
	if err := os.WriteFile(file, regexp.MustCompile("([{ ]requests:) [0-9]+").ReplaceAll(b, []byte("$1 300")), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := Find(file)
	if err != nil {
		t.Fatal(err)
	}
	s.F5.Serverside.SYNRTOBase = 100 * time.Millisecond
	s.F5.FastL4.HandshakeTimeout = 500 * time.Millisecond
	// So few requests need less to fill or to use up, and more to be hit.
	s.Firewall.MaxSessions /= 10
	if len(s.Observe.Faults) == 0 { // else they are to come round before a capture is over, and not to run out
		s.F5.SNAT.Ports /= 10
	}
	for i := range s.Faults {
		switch f := &s.Faults[i]; {
		case f.Do == fault.RateLimit:
			f.Rate, f.Burst = f.Rate/10, f.Burst/10
		case f.Resolves(): // some requests go when it is over, to compare clocks by
			f.From, f.For, s.Traffic.Concurrency = 0, 3500*time.Millisecond, 64
			s.F5.Serverside.SYNRTOBase = 0 // else all of them fail within the time
		case f.Timed(): // from the first request on; who is hit is given up, and then it is over
			f.From, f.For, s.Traffic.Concurrency = 0, 1200*time.Millisecond, 16
		case f.Match != fault.LargeData: // all or nothing
			f.Probability = 0.1
		}
	}
	if s.Traffic.LargeRequests > 0 {
		s.Traffic.LargeRequests = 0.1
		if slices.ContainsFunc(s.Faults, func(f fault.Fault) bool { return f.Do == fault.NeverRead }) {
			s.Traffic.LargeRequests = 0.8 // of which some are hit
		}
	}
	return s
}

// skipUnsupported skips where the machine says, by type, that it cannot.
func skipUnsupported(t *testing.T, err error) {
	t.Helper()
	var unsupported *topology.UnsupportedError
	if errors.As(err, &unsupported) {
		t.Skip(unsupported)
	}
}

// run plays a scenario into a directory.
func run(t *testing.T, s *Scenario, seed uint64) (*Result, string) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out")
	r, err := Run(t.Context(), s, Options{Seed: &seed, Out: out})
	skipUnsupported(t, err)
	if err != nil {
		t.Fatal(err)
	}
	return r, out
}

// TestScenariosAreSolvedFromTheirCapturesAlone plays those that ask something new of the
// machine, and the twins. The specs (e2e) play all, larger and in both IP versions.
func TestScenariosAreSolvedFromTheirCapturesAlone(t *testing.T) {
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	// One that no program writes by chance, in no byte order and no base.
	const seed = 7310398571238646129
	judge, some := newTrial(seed), Sample(all)
	for _, s := range all {
		if s.Class != "" && !testing.Short() && !slices.Contains(some, s) {
			some = append(some, s)
		}
	}
	t.Run("each", func(t *testing.T) { // together, for most of a run is waiting
		for _, s := range some {
			t.Run(s.Name, func(t *testing.T) {
				if !s.Firewall.Stateful() && s.F5.Pool.Monitor.Type == "" { // else it has to do with how fast others are
					t.Parallel()
				}
				s := quick(t, s.Name)
				r, out := run(t, s, seed)
				if !r.Valid {
					t.Fatalf("the run is invalid: %v", r.InvalidBecause)
				}
				if !r.Score.Passed() {
					t.Errorf("score: %s; %+v", r.Score.String(), r.Score.Errors)
				}
				if failing := len(s.Expect) > 0; failing != (r.Score.Correct+r.Score.Acceptable > 0) || r.Score.Correct+r.Score.Acceptable != r.Requests.Failed {
					t.Errorf("%d correct of %d failures, of %d requests", r.Score.Correct, r.Requests.Failed, r.Requests.Sent)
				}
				policed := slices.ContainsFunc(s.Faults, func(f fault.Fault) bool { return !f.Foreseeable() })
				configured := len(s.Expect) > 0 && (len(s.Faults) == 0 || s.Firewall.Stateful() || policed || s.F5.SNAT.Ports > 0) // a hop's own doing, which nobody can plan
				late := r.RSTCauses[bigip.NoFlowForACK.Text]                                                                       // answers to what a client had sent before it heard
				if n := sum(r.RSTCauses) - late; configured && n != r.Requests.Failed {
					t.Errorf("the f5 has reset %d of %d failures: %v", n, r.Requests.Failed, r.RSTCauses)
				}
				harmless := len(s.Faults) > 0 && len(s.Expect) == 0 // who is hit succeeds all the same
				if l := r.Ledger; harmless && (l.Planned == nil || *l.Planned != l.Connections || l.Connections == 0) {
					t.Errorf("the ledger holds %+v", l)
				} else if !configured && !harmless && !mixed(s) && (l.Planned == nil || *l.Planned != r.Requests.Failed || l.Connections != r.Requests.Failed || len(s.Faults) > 0 && !right(s, l)) {
					t.Errorf("the ledger holds %+v of %d failures", l, r.Requests.Failed)
				}
				if configured || harmless {
					// Which requests fail is chance, or none does.
				} else if planned := plannedOrdinals(t, s, seed); !slices.Equal(planned, failedOrdinals(r)) {
					t.Errorf("failed %v\nplanned %v", failedOrdinals(r), planned)
				}
				t.Run("the captures tell nothing but what was captured", func(t *testing.T) { searchCaptures(t, out, s, seed) })
				t.Run("the captures alone give the same verdicts", func(t *testing.T) { analyzeAlone(t, out) })
				t.Run("the directory is whole", func(t *testing.T) { checkRunDirectory(t, out, r) })
				t.Run("who answers without looking is found out", func(t *testing.T) { judge.hear(t, s, out, r) })
			})
		}
	})
	if !testing.Short() {
		t.Run("one answer for all is right for one twin in eight at most", func(t *testing.T) { judge.twins(t, all) })
	}
}

func sum(counts bigip.Counts) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

// right says whether a fault hits as many packets of a connection as it must: each of
// four SYNs of the f5's, or one that is refused, or what is repeated; of a server's deed, one.
func right(s *Scenario, l LedgerResult) bool {
	f := &s.Faults[0]
	switch {
	case s.F5.VirtualServer.Type == bigip.FastL4, f.Clientside():
		return l.Packets >= l.Connections // how many SYNs the client sends is its own affair
	case f.Acts():
		return l.Deeds == l.Connections && (l.Packets == 0 || len(s.Faults) > 1)
	case f.SaysICMP(): // and the f5 goes on; of what it says some may be lost
		return l.Packets == 4*l.Connections || len(s.Faults) > 1 && l.Packets > 4*l.Connections
	case f.Do == fault.Reject, f.Do == fault.InjectRST:
		return l.Packets == l.Connections
	case f.Do == fault.Rewrite && f.Seq != 0: // and the kernel may repeat at once what is answered with a wrong number
		return l.Packets >= 4*l.Connections
	case f.Match == fault.SYN:
		return l.Packets == 4*(l.Connections-l.Deeds)
	}
	return l.Packets >= 2*l.Connections
}

// mixed tells whether of a scenario's faults some are of a kind that harms nobody.
func mixed(s *Scenario) bool {
	return slices.ContainsFunc(s.Faults, func(f fault.Fault) bool { return f.Harmless() }) &&
		slices.ContainsFunc(s.Faults, func(f fault.Fault) bool { return !f.Harmless() })
}

// plannedOrdinals are the requests that the plan says will fail: of a mixed scenario those
// that a fault of the other kind hits.
func plannedOrdinals(t *testing.T, s *Scenario, seed uint64) (list []int) {
	t.Helper()
	config := s.Config(seed)
	planned, predictable, err := config.Plan()
	if err != nil || !predictable {
		t.Fatalf("plan: predictable %v, %v", predictable, err)
	}
	spared := map[string]bool{}
	for _, f := range s.Faults {
		spared[f.Name] = mixed(s) && f.Harmless()
	}
	for _, p := range planned {
		if !spared[p.Fault] {
			list = append(list, p.Ordinal)
		}
	}
	return slices.Compact(list)
}

func failedOrdinals(r *Result) (list []int) {
	for i := range r.Truths {
		if r.Truths[i].Failed() {
			list = append(list, r.Truths[i].Ordinal)
		}
	}
	return list
}

// searchCaptures looks for the answer in what an analyzer is given: in frames,
// in the files' own headers and in points.json.
func searchCaptures(t *testing.T, out string, s *Scenario, seed uint64) {
	secrets := map[string][]byte{
		"the scenario's name":      []byte(s.Name),
		"its title":                []byte(s.Title),
		"the seed, in decimal":     strconv.AppendUint(nil, seed, 10),
		"the seed, in hexadecimal": strconv.AppendUint(nil, seed, 16),
		"the seed, big-endian":     binary.BigEndian.AppendUint64(nil, seed),
		"the seed, little-endian":  binary.LittleEndian.AppendUint64(nil, seed),
	}
	for _, f := range s.Faults {
		secrets["the name of fault "+f.Name] = []byte(f.Name)
	}
	for _, c := range []analyzer.Cause{analyzer.SYNDropped, analyzer.NoAnswer} {
		secrets["the cause "+string(c)] = []byte(c)
	}
	files := 0
	err := filepath.WalkDir(filepath.Join(out, "captures"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		b, err := os.ReadFile(path)
		for what, secret := range secrets {
			if bytes.Contains(b, secret) {
				t.Errorf("%s holds %s", d.Name(), what)
			}
		}
		return err
	})
	want := 7 - len(s.Observe.missing())
	if s.Traffic.logsKeys() {
		want++
	}
	if err != nil || files != want {
		t.Errorf("%d files, %v; want a capture for each point and points.json, and the keys if there are any", files, err)
	}
}

// analyzeAlone moves the captures away from everything else and has them
// analyzed again.
func analyzeAlone(t *testing.T, out string) {
	// A run's files are named from its directory, a folder's from the folder.
	b, err := os.ReadFile(filepath.Join(out, "verdicts.json"))
	if err != nil {
		t.Fatal(err)
	}
	var first, second analyzer.Report
	if err := json.Unmarshal(bytes.ReplaceAll(b, []byte("captures/"), nil), &first); err != nil {
		t.Fatal(err)
	}
	moved := filepath.Join(t.TempDir(), "elsewhere")
	if err := os.CopyFS(moved, os.DirFS(filepath.Join(out, "captures"))); err != nil {
		t.Fatal(err)
	}
	points, err := analyzer.LoadPoints(moved)
	if err != nil {
		t.Fatal(err)
	}
	var o analyzer.Options
	if keys, err := os.Open(filepath.Join(moved, filepath.Base(keyLog))); err == nil {
		defer keys.Close()
		o.KeyLog = keys
	}
	again, err := analyzer.Analyze(context.Background(), points, o)
	if err != nil {
		t.Fatal(err)
	}
	var alone bytes.Buffer
	if err := again.WriteJSON(&alone); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(alone.Bytes(), &second); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first.Verdicts, second.Verdicts); diff != "" {
		t.Errorf("run - alone +\n%s", diff)
	}
}

func readJSON(t *testing.T, path string, v any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// The keys of the files that other programs read, as design §6 gives them.
// balances and warnings are more than it asks for.
const (
	resultKeys = `balances[].direction balances[].in balances[].ledger balances[].out balances[].where ` +
		`captures[].dropped captures[].file captures[].packets captures[].point invalid_because ` +
		`ledger.connections ledger.counter ledger.digest ledger.packets ledger.planned ` +
		`requests.failed requests.ok requests.sent rst_causes scenario schema_version ` +
		`score.acceptable score.correct score.failures score.false_alarms score.inconclusive score.missed score.wrong ` +
		`seed settings.concurrency settings.family settings.kernel settings.syn_backoff settings.syn_max_retrans settings.syn_rto_base_s settings.sysctls ` +
		`timing_s.analyze timing_s.build timing_s.teardown timing_s.traffic valid`
	verdictsKeys = `findings[].evidence findings[].requests findings[].what ` +
		`points[].clock_offset_ns[] points[].file points[].first points[].last points[].loss[] points[].name points[].packets ` +
		`requests.failed requests.ok requests.seen schema_version ` +
		`verdicts[].between[] verdicts[].cause verdicts[].confidence verdicts[].direction ` +
		`verdicts[].eliminated[].evidence verdicts[].eliminated[].hypothesis verdicts[].eliminated[].why ` +
		`verdicts[].evidence[].digest verdicts[].evidence[].file verdicts[].evidence[].filter verdicts[].evidence[].frame verdicts[].evidence[].from_frame ` +
		`verdicts[].evidence[].kind verdicts[].evidence[].point verdicts[].evidence[].time verdicts[].evidence[].to_frame verdicts[].evidence[].what ` +
		`verdicts[].hop verdicts[].outcome verdicts[].request.client verdicts[].request.id verdicts[].request.method ` +
		`verdicts[].request.server verdicts[].request.start verdicts[].request.start_point verdicts[].request.target ` +
		`verdicts[].rst.by verdicts[].rst.cause verdicts[].rst.peer verdicts[].would_settle warnings`
	pointsKeys   = `points[].face points[].file points[].hop points[].interface points[].name points[].side schema_version`
	requestsKeys = `accept[].cause accept[].hop client duration_s faults[].at faults[].attempt faults[].cause faults[].fault faults[].packets ` +
		`id ordinal outcome primary.at primary.cause primary.fault server start status`
	flowsKeys  = `attempt client closed connected member opened ordinal rst_cause rst_peer snat syns`
	ledgerKeys = `at attempt destination fault ip_id ordinal seq source time`
)

func checkRunDirectory(t *testing.T, out string, r *Result) {
	var names []string
	for _, line := range tree(t, out) {
		name, _, _ := strings.Cut(line, ": ")
		names = append(names, name)
	}
	want := []string{"captures/", "captures/client-eth0.pcapng", "captures/f5-0.0.pcapng", "captures/firewall-feth10.pcapng",
		"captures/firewall-feth11.pcapng", "captures/points.json", "captures/server1-eth0.pcapng", "captures/server2-eth0.pcapng",
		"report.html", "result.json", "scenario.yaml", "truth/", "truth/flows.ndjson", "truth/ledger.ndjson", "truth/requests.ndjson", "verdicts.json"}
	if r.Played.Traffic.logsKeys() {
		want = slices.Insert(want, 5, "captures/keys.log")
	}
	if observe := r.Played.Observe; len(observe.Faults) > 0 {
		want = append(want, "truth/captures/")
		for point := range observed(r) {
			want = append(want, "truth/captures/"+fileName(point))
		}
		for point := range observe.missing() {
			want = slices.DeleteFunc(want, func(name string) bool { return name == "captures/"+fileName(point) })
		}
		slices.Sort(want)
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("files: want - got +\n%s", diff)
	}
	var written Result
	readJSON(t, filepath.Join(out, "result.json"), &written)
	if written.Scenario != r.Scenario || written.Seed != r.Seed || written.Requests != r.Requests || written.Ledger.Packets != r.Ledger.Packets {
		t.Errorf("result.json holds %+v", written)
	}
	if len(r.Played.Observe.Faults) > 0 {
		return // TestTheObserversFaults looks at what is different then
	}
	if len(r.Played.Faults) > 0 {
		f := &r.Played.Faults[0]
		if f.Clientside() || f.Resolves() || r.Played.Traffic.Protocol.Secure() && !r.Played.Traffic.logsKeys() {
			return // there is no RST, balances are of more than segments, or verdicts cannot name the request
		}
	}
	if len(r.Played.Faults) == 0 || len(r.Played.Expect) == 0 || r.Played.Faults[0].Do != fault.Drop || r.Played.Faults[0].Match == fault.AfterSYN || r.Played.Traffic.Protocol == "h2" || len(r.Played.F5.Pool.Members) == 1 {
		return // its files lack what only packets that are lost give, the RST that they lead to, or what only two servers do
	}
	for file, want := range map[string]string{"result.json": resultKeys, "verdicts.json": verdictsKeys, "captures/points.json": pointsKeys,
		"truth/requests.ndjson": requestsKeys, "truth/flows.ndjson": flowsKeys, "truth/ledger.ndjson": ledgerKeys} {
		if diff := cmp.Diff(strings.Fields(want), keysOf(t, filepath.Join(out, file))); diff != "" {
			t.Errorf("%s: want - got +\n%s", file, diff)
		}
	}
	var points analyzer.PointsFile
	readJSON(t, filepath.Join(out, "captures", "points.json"), &points)
	var order []string
	for _, p := range points.Points {
		order = append(order, p.Name)
	}
	if diff := cmp.Diff([]string{"client/eth0", "f5/0.0", "firewall/feth11", "firewall/feth10", "server1/eth0", "server2/eth0"}, order); diff != "" {
		t.Errorf("points are not in path order: want - got +\n%s", diff)
	}
}

// keysOf lists the paths of all keys in a file's JSON values.
func keysOf(t *testing.T, file string) []string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	var walk func(at string, v any)
	walk = func(at string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, inner := range v {
				switch {
				case at == "settings" && k == "sysctls", at == "" && k == "rst_causes": // their keys are nodes, settings, causes
					inner = nil
				case k == "evidence" && at != "verdicts[]": // shaped as there, and not always of every kind
					inner = nil
				}
				walk(strings.TrimPrefix(at+"."+k, "."), inner)
			}
		case []any:
			for _, inner := range v {
				walk(at+"[]", inner)
			}
			if len(v) == 0 {
				found[at] = true
			}
		default:
			found[at] = true
		}
	}
	d := json.NewDecoder(bytes.NewReader(b))
	for d.More() {
		var v any
		if err := d.Decode(&v); err != nil {
			t.Fatal(err)
		}
		walk("", v)
	}
	var keys []string
	for k := range found {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func TestAFaultPerPacketIsCountedAndNotPredicted(t *testing.T) {
	s := quick(t, "firewall-drops-syn")
	s.Faults[0].Per = fault.PerPacket
	r, out := run(t, s, 5)
	if !r.Valid || !r.Score.Passed() {
		t.Errorf("valid %v %v, score %s", r.Valid, r.InvalidBecause, r.Score.String())
	}
	if r.Ledger.Packets == 0 || uint64(r.Ledger.Packets) != r.Ledger.Counter {
		t.Errorf("%d packets in the ledger, %d counted", r.Ledger.Packets, r.Ledger.Counter)
	}
	b, err := os.ReadFile(filepath.Join(out, "result.json"))
	if err != nil || !bytes.Contains(b, []byte(`"planned": null`)) {
		t.Errorf("%v; planned is not null in\n%s", err, b)
	}
}

func TestTwoFaultsOnOneRequestAreBothRight(t *testing.T) {
	s := quick(t, "firewall-drops-syn")
	s.Faults[0].Probability = 0.5
	s.Faults = append(s.Faults, drop("before", "link:f5-firewall"))
	s.Expect = append(s.Expect, Expectation{Pair: onTheWay})
	s.Traffic.Requests = 100
	r, _ := run(t, s, 3)
	if !r.Valid || !r.Score.Passed() || r.Score.Acceptable == 0 || r.Score.Correct == 0 {
		t.Errorf("valid %v %v, score %s", r.Valid, r.InvalidBecause, r.Score.String())
	}
	both := 0
	for i := range r.Truths {
		tr := &r.Truths[i]
		if len(tr.Faults) == 2 {
			both++
			if tr.Primary != nil || !reflect.DeepEqual(tr.Accept, []Pair{onTheWay, dropped}) {
				t.Errorf("request %d: primary %v, accepted %v", tr.Ordinal, tr.Primary, tr.Accept)
			}
		}
	}
	if both != r.Score.Acceptable {
		t.Errorf("%d requests with two faults, %d acceptable verdicts", both, r.Score.Acceptable)
	}
}

func TestARunThatIsInterruptedLeavesNoResult(t *testing.T) {
	s := quick(t, "no-fault")
	out := filepath.Join(t.TempDir(), "out")
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Run(ctx, s, Options{Requests: 20000, Out: out, Progress: func(p Progress) {
		if p.Phase == "traffic" && p.Done > 0 {
			cancel()
		}
	}})
	skipUnsupported(t, err)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if exists(filepath.Join(out, "result.json")) {
		t.Error("it left a result")
	}
}

func TestOptionsOfARun(t *testing.T) {
	s := &Scenario{Name: "x", Traffic: Traffic{Requests: 10, Concurrency: 2}}
	for _, row := range []struct {
		name string
		o    Options
		want Traffic
	}{
		{"none leave the scenario as written", Options{}, Traffic{Requests: 10, Concurrency: 2}},
		{"requests", Options{Requests: 7}, Traffic{Requests: 7, Concurrency: 2}},
		{"concurrency", Options{Concurrency: 7}, Traffic{Requests: 10, Concurrency: 7}},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := s.With(row.o).Traffic; !reflect.DeepEqual(got, row.want) {
				t.Errorf("got %+v, want %+v", got, row.want)
			}
		})
	}
	if !reflect.DeepEqual(s.Traffic, Traffic{Requests: 10, Concurrency: 2}) {
		t.Errorf("the scenario itself was changed: %+v", s.Traffic)
	}
	if c := (&Scenario{Name: "x"}).Config(3); c.Requests != 20000 || c.Concurrency != 256 || c.Seed != 3 {
		t.Errorf("defaults: %d requests, %d in flight, seed %d", c.Requests, c.Concurrency, c.Seed)
	}
	if a, err := seedOf(Options{}); err != nil || a > 1<<32 {
		t.Errorf("a fresh seed: %d, %v; want one that every JSON reader keeps exactly", a, err)
	}
	if _, err := Run(t.Context(), &Scenario{Name: "X"}, Options{}); err == nil || !strings.Contains(err.Error(), "lower-case") {
		t.Errorf("a scenario that is not valid was run: %v", err)
	}
}
