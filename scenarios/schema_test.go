package scenarios

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// compiled is the schema, as a validator of somebody else's understands it.
func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("scenario.schema.json", parsed); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("scenario.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// against validates a YAML text, as an editor does.
func against(s *jsonschema.Schema, text []byte) error {
	asJSON, err := yaml.YAMLToJSON(text)
	if err != nil {
		return err
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		return err
	}
	return s.Validate(v)
}

func TestTheSchemaAcceptsWhatCanBePlayed(t *testing.T) {
	s := compiled(t)
	files, err := filepath.Glob("catalogue/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := against(s, text); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		played, err := Load(file, text)
		if err != nil {
			t.Fatal(err)
		}
		if text, err = played.Encode(); err != nil {
			t.Fatal(err)
		}
		if err := against(s, text); err != nil {
			t.Errorf("%s, as a run directory has it: %v", file, err)
		}
	}
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(readme, -1)
	if len(blocks) < 2 {
		t.Fatal("the README shows no scenario and no f5")
	}
	for i, b := range blocks {
		if err := against(s, append([]byte(map[bool]string{true: "", false: "name: x\n"}[i == 0]), b[1]...)); err != nil {
			t.Errorf("the README's YAML %d: %v", i+1, err)
		}
	}
	for _, row := range []struct{ name, text string }{
		{"no more than a name", "name: x\n"},
		{"sections that are empty yet", "name: x\nlab:\ntraffic:\nf5:\nfaults:\nexpect:\nlesson:\nobserve:\n"},
		{"an answer that names nobody", "name: x\nexpect: [{hop: \"\", cause: inconclusive}]\n"},
		{"a word that is a number to YAML", "name: x\nf5: {http: {lb-failed: 503}}\n"},
		{"the ends of what there can be", "name: x\ntraffic: {requests: 10000000, concurrency: 8192, timeout: 1m30s}\n"},
		{"a SYN sent once", "name: x\nf5: {serverside: {syn-max-retrans: 0}}\n"},
		{"probabilities that are exact", "name: x\nfaults: [{name: a, at: client, do: abort, per: connection, probability: 0}]\nexpect: [{hop: client, cause: client-abort}]\n"},
	} {
		if err := against(s, []byte(row.text)); err != nil {
			t.Errorf("%s: the schema: %v", row.name, err)
		}
		if _, err := Load("f.yaml", []byte(row.text)); err != nil {
			t.Errorf("%s: Load: %v", row.name, err)
		}
	}
}

// onlyLoadKnows are the broken files whose values contradict each other, or whose fault
// is in YAML itself.
var onlyLoadKnows = []string{"not-yaml", "two-documents", "key-twice", "nothing-in-it", "probability-too-fine-per-packet", "protocol-without-its-profile",
	"truth-not-expected", "observer-of-a-point-that-is-missing", "request-that-is-not-there", "rst-of-the-f5-per-connection", "rst-that-nobody-sends",
	"resolution-by-chance", "rewrite-of-nothing", "forged-refusal", "delay-between-two-syns", "delay-that-may-be-waited-for",
	"two-faults-of-one-name", "two-faults-that-exclude-each-other", "two-faults-at-one-place-that-exclude-each-other",
	"never-read-of-small-requests", "never-read-and-large-packets",
	"clientside-fault-of-several-requests", "clientside-fault-that-leaves-nothing",
	"detour-past-nothing", "detour-of-frames"}

func TestTheSchemaRefusesWhatIsBroken(t *testing.T) {
	s := compiled(t)
	files, err := filepath.Glob("testdata/broken/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if slices.Contains(onlyLoadKnows, strings.TrimSuffix(filepath.Base(file), ".yaml")) {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if against(s, text) == nil {
			t.Errorf("%s is accepted", file)
		}
	}
	for _, row := range []struct{ name, text string }{
		{"more than there can be", "name: x\ntraffic: {requests: 10000001}\n"},
		{"one retransmission too many", "name: x\nf5: {serverside: {syn-max-retrans: 13}}\n"},
		{"a slow answer without a time", "name: x\nfaults: [{name: a, at: server1, do: answer-slowly, per: connection, probability: 0.5}]\n"},
		{"a SYN-ACK of the server's own", "name: x\nfaults: [{name: a, at: server1, direction: to-client, match: syn-ack, do: drop, per: connection, probability: 0.5}]\n"},
		{"a fault without its place", "name: x\nfaults: [{name: a, do: die, per: connection, probability: 0.5}]\n"},
	} {
		if against(s, []byte(row.text)) == nil {
			t.Errorf("%s is accepted by the schema", row.name)
		}
		if _, err := Load("f.yaml", []byte(row.text)); err == nil {
			t.Errorf("%s is accepted by Load", row.name)
		}
	}
}

func TestTheSchemaExplainsEveryKey(t *testing.T) {
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	var s object
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	var walk func(s object, path string)
	walk = func(s object, path string) {
		if items, ok := s["items"].(object); ok {
			s = items
		}
		keys, _ := s["properties"].(object)
		for key, sub := range keys {
			at := strings.TrimPrefix(path+"."+key, ".")
			there[at] = true
			walk(sub.(object), at)
		}
	}
	walk(s, "")
	for key := range there {
		if properties[key].what == "" {
			t.Errorf("%s is not explained; say in schema_keys.go what it is", key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(properties)) {
		if !there[key] {
			t.Errorf("%s is explained, and is no key", key)
		}
	}
}

// Load, asked for a word that there is not, lists those that there are.
func TestTheSchemaHasTheWordsThatLoadHas(t *testing.T) {
	oneFault := "faults: [{name: a, at: firewall, direction: to-server, match: syn, do: drop, per: connection, probability: 1}]\n"
	for _, row := range []struct{ key, text string }{
		{"lab.family", "lab: {family: zzz}"},
		{"traffic.protocol", "traffic: {protocol: zzz}"},
		{"f5.virtual-server.type", "f5: {virtual-server: {type: zzz}}"},
		{"f5.virtual-server.state", "f5: {virtual-server: {state: zzz}}"},
		{"f5.virtual-server.profiles", "f5: {virtual-server: {profiles: [zzz, http]}}"},
		{"f5.virtual-server.source-port", "f5: {virtual-server: {source-port: zzz}}"},
		{"f5.virtual-server.service-down-immediate-action", "f5: {virtual-server: {service-down-immediate-action: zzz}}"},
		{"f5.pool.load-balancing-mode", "f5: {pool: {load-balancing-mode: zzz}}"},
		{"f5.pool.monitor.type", "f5: {pool: {monitor: {type: zzz}}}"},
		{"f5.snat.type", "f5: {snat: {type: zzz}}"},
		{"f5.serverside.syn-backoff", "f5: {serverside: {syn-backoff: zzz}}"},
		{"f5.http.lb-failed", "f5: {http: {lb-failed: zzz}}"},
		{"f5.client-ssl.min-version", "f5: {client-ssl: {min-version: zzz}}"},
		{"f5.rules.do", "f5: {rules: [{do: zzz}]}"},
		{"f5.ethernet-trailer", "f5: {ethernet-trailer: zzz}"},
		{"faults.direction", strings.Replace(oneFault, "to-server", "zzz", 1)},
		{"faults.match", strings.Replace(oneFault, "match: syn", "match: zzz", 1)},
		{"faults.per", strings.Replace(oneFault, "per: connection", "per: zzz", 1)},
	} {
		_, err := Load("f.yaml", []byte("name: x\n"+row.text+"\n"))
		found := regexp.MustCompile(`"zzz": must (?:be )?(.*?)(?:;|$)`).FindStringSubmatch(fmt.Sprint(err))
		if found == nil {
			t.Errorf("%s: Load lists no words: %v", row.key, err)
			continue
		}
		listed := strings.Split(strings.NewReplacer(" or ", ", ").Replace(found[1]), ", ")
		if diff := cmp.Diff(listed, words[typeAt("$."+row.key)]); diff != "" {
			t.Errorf("%s: Load - schema +\n%s", row.key, diff)
		}
	}
	// Every type of words is known.
	var walk func(typ reflect.Type, path string)
	walk = func(typ reflect.Type, path string) {
		for typ.Kind() == reflect.Slice || typ.Kind() == reflect.Pointer {
			typ = typ.Elem()
		}
		switch {
		case typ.Kind() == reflect.String && typ.PkgPath() != "" && words[typ] == nil && path != ".f5.tcpdump":
			t.Errorf("%s: the schema does not know the words of %s", path, typ)
		case typ.Kind() == reflect.Struct && addressesInWords[typ] == "":
			for i := range typ.NumField() {
				if key, _, _ := strings.Cut(typ.Field(i).Tag.Get("yaml"), ","); key != "-" {
					walk(typ.Field(i).Type, path+"."+key)
				}
			}
		}
	}
	walk(reflect.TypeFor[Scenario](), "")
}
