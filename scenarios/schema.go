package scenarios

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/sim"
	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/sim/client"
	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/sim/firewall"
	"github.com/hopblame/hopblame/topology"
)

// object is a JSON object.
type object = map[string]any

// Schema returns the JSON Schema (draft 2020-12) of scenario files: what editors complete,
// explain and underline. It is made of the types that [Load] reads into, and what a fault
// can say is asked of [fault.Fault.Validate]. What it accepts may still be refused: that
// two values contradict each other is for Load alone to know.
func Schema() ([]byte, error) {
	spec, err := topology.Standard(topology.IPv4)
	if err != nil {
		return nil, err
	}
	g := schemaOf{hops: append(hops(&spec), "")}
	s := g.object(reflect.TypeFor[Scenario](), "")
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "hopblame scenario"
	s["description"] = "A named failure: what is broken in the lab, what the client sends, and what the right answer is."
	s["required"] = []string{"name"}
	one := s["properties"].(object)["faults"].(object)["items"].(object)
	one["required"] = []string{"name", "at", "do", "per", "probability"}
	one["allOf"] = faultRules(&spec)
	observer := s["properties"].(object)["observe"].(object)["properties"].(object)["faults"].(object)["items"].(object)
	observer["required"], observer["allOf"] = []string{"do"}, observerRules()
	text, err := json.MarshalIndent(s, "", "  ")
	return append(text, '\n'), err
}

// schemaOf makes a schema of a type.
type schemaOf struct {
	hops []string // that a verdict can name
}

// of returns the schema of a value at a path, "f5.pool.members.ratio".
func (g *schemaOf) of(t reflect.Type, path string) object {
	s := g.kind(t, path)
	p := properties[path]
	s["description"] = p.what
	if p.most != 0 {
		s["minimum"], s["maximum"] = p.least, p.most
	}
	if p.pattern != "" {
		s["pattern"] = p.pattern
	}
	return s
}

func (g *schemaOf) kind(t reflect.Type, path string) object {
	switch {
	case t.Kind() == reflect.Pointer:
		return g.kind(t.Elem(), path)
	case path == "expect.hop", path == "expect.accept.hop":
		return object{"enum": g.hops}
	case path == "observe.faults.at":
		return object{"enum": sim.Points()}
	case words[t] != nil:
		return object{"enum": inYAML(words[t])}
	case t == reflect.TypeFor[time.Duration]():
		pattern := `([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`
		if path == "observe.faults.by" { // the only one that goes both ways
			pattern = "-?" + pattern
		}
		return object{"type": "string", "pattern": "^" + pattern}
	case addressesInWords[t] != "":
		return object{"type": "string"}
	}
	switch t.Kind() {
	case reflect.Struct:
		return g.object(t, path)
	case reflect.Slice:
		return object{"type": []string{"array", "null"}, "items": g.kind(t.Elem(), path)}
	case reflect.Int, reflect.Uint16:
		return object{"type": "integer"}
	case reflect.Float64:
		return object{"type": "number"}
	case reflect.Bool:
		return object{"type": "boolean"}
	}
	return object{"type": "string"}
}

// object is the schema of a section. One that is empty is null to YAML.
func (g *schemaOf) object(t reflect.Type, path string) object {
	keys := object{}
	g.keys(t, path, keys)
	return object{"type": []string{"object", "null"}, "properties": keys, "additionalProperties": false}
}

func (g *schemaOf) keys(t reflect.Type, path string, into object) {
	for i := range t.NumField() {
		f := t.Field(i)
		key, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case key == "-": // the lab's own
		case options == "inline":
			g.keys(f.Type, path, into)
		default:
			into[key] = g.of(f.Type, strings.TrimPrefix(path+"."+key, "."))
		}
	}
}

// inYAML adds, to words that look like numbers, the numbers: who leaves the quotation
// marks out is understood.
func inYAML(words []string) (all []any) {
	for _, w := range words {
		all = append(all, w)
		if n, err := strconv.ParseFloat(w, 64); err == nil {
			all = append(all, n)
		}
	}
	return all
}

// words are those that a key may have, by its type. Tests hold them against what Load
// says that there are.
var words = map[reflect.Type][]string{
	reflect.TypeFor[topology.Family]():         list(topology.IPv4, topology.IPv6),
	reflect.TypeFor[client.Protocol]():         list(client.HTTP, client.HTTPS, client.HTTP2),
	reflect.TypeFor[client.SequenceNumbers]():  list(client.RandomSequence, client.WrapSequence),
	reflect.TypeFor[bigip.VirtualServerType](): list(bigip.Standard, bigip.FastL4, bigip.Reject),
	reflect.TypeFor[bigip.State]():             list(bigip.Enabled, bigip.Disabled),
	reflect.TypeFor[bigip.Profile]():           list(bigip.ProfileTCP, bigip.ProfileHTTP, bigip.ProfileHTTP2, bigip.ProfileClientSSL, bigip.ProfileOneConnect),
	reflect.TypeFor[bigip.SourcePort]():        list(bigip.Change, bigip.Preserve),
	reflect.TypeFor[bigip.ServiceDown]():       list(bigip.ServiceDownNone, bigip.ServiceDownReset),
	reflect.TypeFor[bigip.LoadBalancing]():     list(bigip.RoundRobin, bigip.RatioMember, bigip.LeastConnections),
	reflect.TypeFor[bigip.MonitorType]():       list(bigip.MonitorTCP, bigip.MonitorTCPHalfOpen, bigip.MonitorHTTP),
	reflect.TypeFor[bigip.SNATType]():          list(bigip.Automap, bigip.SNATPool, bigip.NoSNAT),
	reflect.TypeFor[bigip.Backoff]():           list(bigip.Constant, bigip.Doubling),
	reflect.TypeFor[bigip.LBFailed]():          list(bigip.LBFailedReset, bigip.LBFailed502, bigip.LBFailed503, bigip.LBFailedClose),
	reflect.TypeFor[bigip.TLSVersion]():        list(bigip.TLS12, bigip.TLS13),
	reflect.TypeFor[bigip.RuleAction]():        list(bigip.RuleReject, bigip.RuleDrop),
	reflect.TypeFor[bigip.TrailerFormat]():     list(bigip.DPT, bigip.Legacy),
	reflect.TypeFor[firewall.Policy]():         list(firewall.Accept, firewall.Drop),
	reflect.TypeFor[fault.Direction]():         list(fault.ToServer, fault.ToClient),
	reflect.TypeFor[fault.Match]():             list(fault.SYN, fault.SYNACK, fault.ACK, fault.Data, fault.LargeData, fault.AfterSYN, fault.Response, fault.Any, fault.FIN, fault.RST, fault.ICMP, fault.WhoHas, fault.IsAt),
	reflect.TypeFor[fault.Do]():                list(allDeeds()...),
	reflect.TypeFor[fault.To]():                list(fault.ToTheF5, fault.ToTheServer),
	reflect.TypeFor[fault.With]():              list(fault.Answers()...),
	reflect.TypeFor[fault.Per]():               list(fault.PerConnection, fault.PerTuple, fault.PerPacket),
	reflect.TypeFor[ObserverDeed]():            list(observerDeeds...),
	reflect.TypeFor[analyzer.Cause]():          list(slices.Sorted(maps.Keys(analyzer.Causes))...),
}

func list[T ~string](all ...T) (words []string) {
	for _, w := range all {
		words = append(words, string(w))
	}
	return words
}

// allDeeds is what a fault can do: to packets, and what actors do.
func allDeeds() []fault.Do {
	all := fault.Treatments()
	for _, node := range []string{topology.Client, topology.Server1, topology.Server2} {
		for _, do := range fault.Behaviours(node) {
			if !slices.Contains(all, do) {
				all = append(all, do)
			}
		}
	}
	return all
}

// faultRules say what goes with what a fault does, and with what it matches. They are found
// by trying everything: what Validate refuses cannot be meant.
func faultRules(spec *topology.Spec) []object {
	var same []object // rules, in order; those that say the same are one
	add := func(key, value string, then object) {
		for _, r := range same {
			if words, ok := r["if"].(object)["properties"].(object)[key].(object); ok && reflect.DeepEqual(r["then"], then) {
				words["enum"] = append(words["enum"].([]string), value)
				return
			}
		}
		same = append(same, object{"if": object{"properties": object{key: object{"enum": []string{value}}}, "required": []string{key}}, "then": then})
	}
	treated := map[fault.Match][]fault.Fault{}
	for _, do := range allDeeds() {
		all := valid(spec, do)
		add("do", string(do), rule("do", all))
		for _, f := range all {
			treated[f.Match] = append(treated[f.Match], f)
		}
	}
	for _, m := range words[reflect.TypeFor[fault.Match]()] {
		add("match", m, rule("match", treated[fault.Match(m)]))
	}
	return same
}

// observerRules say which keys go with what an observer's fault does.
func observerRules() (rules []object) {
	for _, do := range observerDeeds {
		keys, required := object{}, []string{}
		for key := range new(ObserverFault).set() {
			switch observerKeys[do][key] {
			case absent:
				keys[key] = false
			case needed:
				required = append(required, key)
			}
		}
		slices.Sort(required)
		rules = append(rules, object{"if": object{"properties": object{"do": object{"const": do}}, "required": []string{"do"}},
			"then": object{"properties": keys, "required": required}})
	}
	return rules
}

// option is a key that only some faults have, with a value that it may have.
type option struct {
	key string
	set func(*fault.Fault)
}

var faultOptions = []option{
	{"after", func(f *fault.Fault) { f.After = 500 * time.Millisecond }},
	{"jitter", func(f *fault.Fault) { f.Jitter = 500 * time.Millisecond }},
	{"port", func(f *fault.Fault) { f.Port = 8166 }},
	{"larger-than", func(f *fault.Fault) { f.LargerThan = 1400 }},
	{"with", func(f *fault.Fault) { f.With = fault.WithAdminProhibited }},
	{"rate", func(f *fault.Fault) { f.Rate = 100 }},
	{"burst", func(f *fault.Fault) { f.Burst = 100 }},
	{"to", func(f *fault.Fault) { f.To = fault.ToTheF5 }},
	{"to", func(f *fault.Fault) { f.To = fault.ToTheServer }},
	{"ttl", func(f *fault.Fault) { f.TTL = 1 }},
	{"mss", func(f *fault.Fault) { f.MSS = 1400 }},
	{"seq", func(f *fault.Fault) { f.Seq = 1000 }},
	{"tsval", func(f *fault.Fault) { f.TSval = 86_400_000 }},
	{"for", func(f *fault.Fault) { f.For = 6 * time.Second }},
}

// valid lists the faults there can be that do something. Of all that could be written
// most cannot be: what is wrong with a fault wherever its options stand is found out
// before they are tried, and so are the options that it cannot have.
func valid(spec *topology.Spec, do fault.Do) (all []fault.Fault) {
	var bases []fault.Fault
	for _, at := range append(fault.Places(spec, fault.SYN), topology.Client, topology.F5) {
		for _, direction := range []fault.Direction{"", fault.ToServer, fault.ToClient} {
			for _, match := range append([]string{""}, words[reflect.TypeFor[fault.Match]()]...) {
				for _, per := range words[reflect.TypeFor[fault.Per]()] {
					f := fault.Fault{Name: "x", At: at, Direction: direction, Match: fault.Match(match), Do: do, Per: fault.Per(per), Probability: 1}
					if wrong := complaints(&f, spec); !wrong["at"] && !wrong["direction"] && !wrong["per"] {
						bases = append(bases, f)
					}
				}
			}
		}
	}
	options := []option{{"", func(*fault.Fault) {}}}
	for _, o := range faultOptions {
		if slices.ContainsFunc(bases, func(f fault.Fault) bool { o.set(&f); return !complaints(&f, spec)[o.key] }) {
			options = append(options, o)
		}
	}
	for _, base := range bases {
		for i := range options {
			for j := range options[:i+1] { // no fault needs more than two
				f := base
				options[i].set(&f)
				options[j].set(&f)
				if f.Validate(spec) == nil {
					all = append(all, f)
				}
			}
		}
	}
	return all
}

// complaints are the keys that something is wrong with.
func complaints(f *fault.Fault, spec *topology.Spec) map[string]bool {
	err := f.Validate(spec)
	if err == nil {
		return nil
	}
	keys := map[string]bool{}
	for _, e := range leaves(err) {
		key, _, _ := strings.Cut(strings.TrimPrefix(e.Error(), "fault "+f.Name+": "), " ")
		keys[key] = true
	}
	return keys
}

// rule says what the keys of a fault but one are, given those there can be with its value:
// which words they have, that they must be there, or that they have no place.
func rule(key string, valid []fault.Fault) object {
	found := map[string][]string{}
	note := func(key, value string) {
		if !slices.Contains(found[key], value) {
			found[key] = append(found[key], value)
		}
	}
	for i := range valid {
		f := &valid[i]
		note("at", f.At)
		note("direction", string(f.Direction))
		note("match", string(f.Match))
		note("per", string(f.Per))
		note("after", zeroIs(f.After == 0, "a duration"))
		note("jitter", zeroIs(f.Jitter == 0, "a duration"))
		note("port", zeroIs(f.Port == 0, "a number"))
		note("larger-than", zeroIs(f.LargerThan == 0, "a number"))
		note("to", string(f.To))
		note("ttl", zeroIs(f.TTL == 0, "a number"))
		note("mss", zeroIs(f.MSS == 0, "a number"))
		note("seq", zeroIs(f.Seq == 0, "a number"))
		note("tsval", zeroIs(f.TSval == 0, "a number"))
		note("with", zeroIs(f.With == "", "a word"))
		note("rate", zeroIs(f.Rate == 0, "a number"))
		note("burst", zeroIs(f.Burst == 0, "a number"))
		note("for", zeroIs(f.For == 0, "a duration"))
	}
	keys, required := object{}, []string{}
	for other, values := range found {
		with := slices.DeleteFunc(slices.Clone(values), func(v string) bool { return v == "" })
		switch {
		case other == key:
			continue
		case len(with) == 0:
			keys[other] = false
		case slices.Contains([]string{"at", "direction", "match", "per"}, other):
			keys[other] = object{"enum": with}
		}
		if len(with) == len(values) {
			required = append(required, other)
		}
	}
	slices.Sort(required)
	return object{"properties": keys, "required": required}
}

func zeroIs(zero bool, otherwise string) string {
	if zero {
		return ""
	}
	return otherwise
}
