package scenarios

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/sim/bigip"
)

// A scenario that is whole, in parts, so that a row shows only what it breaks.
const (
	head      = "name: broken-firewall\ntitle: A title\nsymptom: A symptom\n" // lines 1 to 3
	oneFault  = "faults:\n  - {name: syn-drop, at: firewall, direction: to-server, match: syn, do: drop, per: connection, probability: 0.5}\n"
	rightOne  = "expect:\n  - {hop: firewall, cause: syn-dropped, accept: []}\n"
	allPlaces = "link:client-f5, link:f5-firewall, firewall, link:firewall-switch, link:switch-server1, server1, link:switch-server2, server2"
	allHops   = "client, link:client-f5, f5, link:f5-firewall, firewall, link:firewall-server1, server1, link:firewall-server2, server2"
)

// allCauses lists them as a message does.
func allCauses() string {
	var all []string
	for c := range analyzer.Causes {
		all = append(all, string(c))
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// edited returns the whole scenario with one part of it replaced.
func edited(t *testing.T, old, new string) string {
	t.Helper()
	whole := head + oneFault + rightOne
	if !strings.Contains(whole, old) {
		t.Fatalf("the scenario does not hold %q", old)
	}
	return strings.Replace(whole, old, new, 1)
}

func TestABadFileIsOneLineWithItsPlace(t *testing.T) {
	for _, row := range []struct{ name, text, want string }{
		{"an empty file", "", `f.yaml:1:1: is empty`},
		{"nothing but a comment", "# later\n", `f.yaml:1:1: is empty`},
		{"a word", "hello", `f.yaml:1:1: got a string, want keys with values`},
		{"a list", "- a\n- b\n", `f.yaml:1:1: got a list, want keys with values`},
		{"null", "null", `f.yaml:1:1: got nothing, want keys with values`},
		{"a program", "\x7fELF\x02\x01\x01\x00\x00", `f.yaml:1:1: is not text; a scenario is a YAML file`},
		{"Latin-1", head + "title: B\xfccher\n", `f.yaml:1:1: is not text; a scenario is a YAML file`},
		{"a book", strings.Repeat("#\n", 40000), `f.yaml:1:1: is 80000 bytes long; a scenario has at most 65536`},
		{"a tag without a list", head + "faults:\n !0\nexpect: []\n", `f.yaml:1:1: is no YAML that can be read`},
		{"two documents", head + "---\n" + head, `f.yaml:4:1: holds more than one document`},
		{"a second document that is broken", head + "---\nfoo: [\n", `f.yaml:5:6: sequence end token ']' not found`},

		{"an unknown key at the top", head + "tarffic: {requests: 3}\n", `f.yaml:4:1: unknown key "tarffic"; did you mean "traffic"?`},
		{"an unknown key inside", head + "traffic:\n  requests: 3\n  concurency: 3\n", `f.yaml:6:3: unknown key "concurency"; did you mean "concurrency"?`},
		{"an unknown key in a fault", edited(t, "match:", "mach:"), `f.yaml:5:58: unknown key "mach"; did you mean "match"?`},
		{"a key that is like no other", head + "zzzzzzzz: 1\n", `f.yaml:4:1: unknown key "zzzzzzzz"`},
		{"a key that belongs elsewhere", head + "requests: 3\n", `f.yaml:4:1: unknown key "requests" here; it belongs under traffic`},
		{"a key that belongs to two places", head + "hop: f5\n", `f.yaml:4:1: unknown key "hop" here; it belongs under expect, or under accept`},
		{"a key given twice", head + "title: B\n", `f.yaml:4:1: mapping key "title" already defined at [2:1]`},

		{"a word for a number", head + "traffic: {requests: many}\n", `f.yaml:4:21: got "many", want a whole number`},
		{"a fraction of a request", head + "traffic: {requests: 3.5}\n", `f.yaml:4:21: got "3.5", want a whole number`},
		{"a fraction of a retransmission", head + "f5: {serverside: {syn-max-retrans: 1.5}}\n", `f.yaml:4:36: got "1.5", want a whole number`},
		{"a number no machine holds", head + "traffic: {requests: 99999999999999999999}\n", `f.yaml:4:21: 99999999999999999999 is too large`},
		{"a word for a probability", edited(t, "0.5", "often"), `f.yaml:5:110: got "often", want a number`},
		{"a number for a section", head + "traffic: 3\n", `f.yaml:4:10: got a number, want keys with values`},
		{"a list for a word", "name: [x]\n", `f.yaml:1:7: got "[", want a string`},
		{"one fault that is no list", head + "faults: {name: x}\n", `f.yaml:4:9: got keys with values, want a list`},
		{"a duration without unit", head + "f5: {serverside: {syn-rto-base: 100}}\n", `f.yaml:4:33: got "100", want a duration with its unit, such as 100ms or 1s`},
		{"a duration that is none", head + "f5: {serverside: {syn-rto-base: soon}}\n", `f.yaml:4:33: time: invalid duration "soon"`},
		{"a duration below zero", head + "f5: {serverside: {syn-rto-base: -1s}}\n",
			`f.yaml:4:33: f5: serverside: syn-rto-base -1s: must be at least 10ms`},
		{"a duration too short to keep", head + "f5: {serverside: {syn-rto-base: 1ms}}\n", `f.yaml:4:33: f5: serverside: syn-rto-base 1ms: must be at least 10ms`},

		{"a list that does not end", head + "faults: [\n", `f.yaml:4:9: sequence end token ']' not found`},
		{"a mapping that does not end", head + "faults: {a: b\nfoo: [\n", `f.yaml:5:1: ',' or '}' must be specified`},
		{"tabs", head + "traffic:\n\trequests: 3\n", `f.yaml:5:1: found character '	' that cannot start any token`},
		{"an alias of nothing", head + "f5: *b\n", `f.yaml:4:6: could not find alias "b"`},

		{"no name", "title: x\n", `f.yaml:1:1: name "": must be lower-case letters, digits and hyphens`},
		{"a name with a slash", edited(t, "broken-firewall", "../x"), `f.yaml:1:7: name "../x": must be lower-case letters, digits and hyphens`},
		{"another lab", head + "lab: {base: campus}\n", `f.yaml:4:13: lab: base "campus": there is only standard`},
		{"another protocol", head + "lab: {base: standard, family: ipx}\n", `f.yaml:4:31: topology: lab: family "ipx": must be ipv4 or ipv6`},
		{"fewer requests than none", head + "traffic: {requests: -1}\n", `f.yaml:4:21: traffic: requests -1: must be 1 to 10,000,000`},
		{"too much at once", head + "traffic: {concurrency: 99999}\n", `f.yaml:4:24: traffic: concurrency 99999: must be 1 to 8192`},
		{"too many retransmissions", head + "f5: {serverside: {syn-max-retrans: 99}}\n", `f.yaml:4:36: f5: serverside: syn-max-retrans 99: must be 0 to 12`},
		{"a backoff there is not", head + "f5: {serverside: {syn-backoff: random}}\n", `f.yaml:4:32: f5: serverside: syn-backoff "random": must be constant or doubling`},
		{"an interface there is not", head + "f5: {tcpdump: eth0:nnn}\n",
			`f.yaml:4:15: f5: tcpdump "eth0:nnn": interface "eth0": there is only 0.0, which is every VLAN; a filter narrows it`},
		{"a protocol there is not", head + "traffic: {protocol: gopher}\n", `f.yaml:4:21: traffic: protocol "gopher": must be http, https or h2`},
		{"TLS that the f5 does not speak", head + "traffic: {protocol: h2}\n",
			`f.yaml:4:21: traffic: protocol h2: the virtual server has no client-ssl profile; write f5: {virtual-server: {profiles: [tcp, http, client-ssl, http2]}}`},
		{"plain HTTP where the f5 speaks TLS", head + "f5: {virtual-server: {profiles: [tcp, http, client-ssl]}}\n",
			`f.yaml:1:1: traffic: protocol http: the virtual server expects TLS, for it has a client-ssl profile; say https, or h2 with an http2 profile`},
		{"many requests on a connection of one", head + "traffic: {requests-per-connection: 4}\n",
			`f.yaml:4:36: traffic: requests-per-connection 4: with protocol http every request has a connection of its own; say https or h2`},
		{"half a request a connection", head + "traffic: {requests-per-connection: 0.5}\n", `f.yaml:4:36: got "0.5", want a whole number`},
		{"no request a connection", head + "traffic: {requests-per-connection: 0}\n", `f.yaml:4:36: requests-per-connection 0: must be 1 to 1000`},
		{"more large requests than requests", head + "traffic: {large-requests: 2}\n", `f.yaml:4:27: traffic: large-requests 2: must be 0 to 1`},
		{"a size that is hit and that no request has", edited(t, "match: syn, do: drop, per: connection, probability: 0.5", "match: large-data, larger-than: 1400, do: drop, per: connection, probability: 1"),
			`f.yaml:5:65: fault syn-drop: match "large-data": no request is large; say how many are, such as large-requests: 0.01 of traffic`},
		{"keys of what has none", head + "traffic: {key-log: true}\n", `f.yaml:4:20: traffic: key-log true: protocol http has no keys; say https or h2`},
		{"a client that speaks plain where that is right", head + "faults:\n  - {name: x, at: client, do: speak-plain, per: connection, probability: 1}\n",
			`f.yaml:5:31: fault x: do "speak-plain": has no meaning with traffic's protocol http; it is for https and h2`},
		{"a port of nobody's", edited(t, "probability: 0.5", "probability: 0.5, port: 70000"), `f.yaml:5:121: 70000 is too large`},
		{"a port of packets that are lost", edited(t, "probability: 0.5", "probability: 0.5, port: 8166"), `f.yaml:5:121: fault syn-drop: port 8166: only connect-elsewhere has it`},
		{"an abort that is not among the right answers", head + "faults:\n  - {name: x, at: client, do: abort, per: connection, probability: 1}\n",
			`f.yaml:1:1: expect: the truth of fault x is {hop: "client", cause: client-abort}, which is not listed`},

		{"a noise there is not", head + "f5: {tcpdump: 0.0:nnnn}\n",
			`f.yaml:4:15: f5: tcpdump "0.0:nnnn": ":nnnn": behind 0.0 there may be :n, :nn or :nnn, each with or without p`},
		{"a capture filter with a word there is not", head + "f5:\n  tcpdump: 0.0:nnnp hots 198.18.50.88\n",
			`f.yaml:5:12: f5: tcpdump "0.0:nnnp hots 198.18.50.88": filter "hots 198.18.50.88": at character 1: "hots" is unknown; there are host, net, port, portrange, src, dst, ip, ip6, arp, tcp, udp, icmp, icmp6, and, or, not`},
		{"a capture filter that ends too early", head + "f5:\n  tcpdump: >\n    0.0:nnn\n    tcp port\n",
			`f.yaml:5:12: f5: tcpdump "0.0:nnn tcp port\n": filter "tcp port": at character 9: the filter ends, want a port`},
		{"a load-balancing mode there is not", head + "f5: {pool: {load-balancing-mode: random}}\n",
			`f.yaml:4:34: f5: pool: load-balancing-mode "random": must be round-robin, ratio-member or least-connections-member`},
		{"a member there is not", head + "f5: {pool: {members: [{name: server9}]}}\n",
			`f.yaml:4:22: f5: pool: members: "server9" is no server of the lab, and has no address; there are server1 and server2`},
		{"a member's state there is not", head + "f5: {pool: {members: [{name: server1, state: out}]}}\n", `f.yaml:4:22: f5: pool: members: state "out": must be enabled or disabled`},
		{"a ratio below one", head + "f5: {pool: {members: [{name: server1, ratio: -1}]}}\n", `f.yaml:4:22: f5: pool: members: ratio -1: must be 1 to 65535`},
		{"half a ratio", head + "f5: {pool: {members: [{name: server1, ratio: 0.5}]}}\n", `f.yaml:4:46: got "0.5", want a whole number`},
		{"a member's address without a port", head + "f5: {pool: {members: [{name: server1, address: 198.18.1.1}]}}\n",
			`f.yaml:4:48: got "198.18.1.1", want an address and a port, such as 198.18.160.81:8000`},
		{"a monitor there is not", head + "f5: {pool: {monitor: {type: icmp}}}\n", `f.yaml:4:29: f5: pool: monitor: type "icmp": must be tcp, tcp-half-open or http`},
		{"a monitor that says only how often", head + "f5: {pool: {monitor: {interval: 1s}}}\n", `f.yaml:4:22: f5: pool: monitor: type: a monitor needs one: tcp, tcp-half-open or http`},
		{"a monitor that never rests", head + "f5: {pool: {monitor: {type: tcp, interval: 0s}}}\n", `f.yaml:4:44: interval 0s: must be 25ms to 24h0m0s`},
		{"a monitor that waits for what cannot be", head + "f5: {pool: {monitor: {type: http, recv: \"a: (\"}}}\n",
			"f.yaml:4:41: f5: pool: monitor: recv \"a: (\": is no regular expression: error parsing regexp: missing closing ): `a: (`"},
		{"a translation there is not", head + "f5: {snat: {type: pool}}\n", `f.yaml:4:19: f5: snat: type "pool": must be automap, snatpool or none`},
		{"a snatpool without addresses", head + "f5: {snat: {type: snatpool}}\n", `f.yaml:4:12: f5: snat: members: a snatpool has some, and nothing else has`},
		{"an address that is none", head + "f5: {snat: {type: snatpool, members: [198.18.60.5, here]}}\n", `f.yaml:4:52: got "here", want an address, such as 198.18.60.5`},
		{"an address of another VLAN", head + "f5: {snat: {type: snatpool, members: [198.18.61.5]}}\n",
			`f.yaml:4:38: f5: snat: members 198.18.61.5: must be an address of the serverside VLAN, 198.18.60.0/24`},
		{"somebody else's address", head + "f5: {snat: {type: snatpool, members: [198.18.60.1]}}\n", `f.yaml:4:38: f5: snat: members 198.18.60.1: is the address of the firewall`},
		{"more ports than there are", head + "f5: {snat: {ports: 65535}}\n", `f.yaml:4:20: f5: snat: ports 65535: must be 1 to 28224`},
		{"no ports at all", head + "f5: {snat: {ports: 0}}\n", `f.yaml:4:20: ports 0: must be at least 1`},
		{"a firewall's policy there is not", head + "firewall: {tuple-reuse: refuse}\n", `f.yaml:4:25: firewall: tuple-reuse "refuse": must be accept or drop`},
		{"a firewall that takes no SYN at all", head + "firewall: {syn-rate: 0}\n", `f.yaml:4:22: syn-rate 0: must be at least 1`},
		{"a firewall that forgets at once", head + "firewall: {timeout-tcp: 1ms}\n", `f.yaml:4:25: firewall: timeout-tcp 1ms: must be 100ms to 24h0m0s`},
		{"a firewall's key elsewhere", head + "traffic: {syn-rate: 5}\n", `f.yaml:4:11: unknown key "syn-rate" here; it belongs under firewall`},
		{"a service that goes down otherwise", head + "f5: {virtual-server: {service-down-immediate-action: drop}}\n",
			`f.yaml:4:54: f5: virtual-server: service-down-immediate-action "drop": must be none or reset`},
		{"a trailer there is not", head + "f5: {ethernet-trailer: new}\n", `f.yaml:4:24: f5: ethernet-trailer "new": must be dpt or legacy`},

		{"a probability of two", edited(t, "0.5", "2"), `f.yaml:5:110: fault syn-drop: probability 2: must be 0 to 1`},
		{"a probability that is no number", edited(t, "0.5", ".nan"), `f.yaml:5:110: fault syn-drop: probability NaN: must be 0 to 1`},
		{"a place there is not", edited(t, "at: firewall", "at: firewal"), `f.yaml:5:26: fault syn-drop: at "firewal": there is no such place; there are ` + allPlaces + `; did you mean "firewall"?`},
		{"a direction there is not", edited(t, "to-server", "up"), `f.yaml:5:47: fault syn-drop: direction "up": must be to-server or to-client`},
		{"something not yet matched", edited(t, "match: syn", "match: urg"), `f.yaml:5:65: fault syn-drop: match "urg": must be syn, syn-ack, ack, data, large-data, after-syn, response, any, fin, rst, icmp, who-has or is-at`},
		{"something not yet done", edited(t, "do: drop", "do: melt"), `f.yaml:5:74: fault syn-drop: do "melt": must be drop, reject, rate-limit, inject-rst, delay, reorder, duplicate, corrupt, rewrite or detour`},
		{"a count there is not", edited(t, "per: connection", "per: day"), `f.yaml:5:85: fault syn-drop: per "day": must be connection, tuple or packet`},
		{"a match of what an actor does", edited(t, oneFault, "faults:\n  - {name: x, at: server2, do: reset, match: syn, per: connection, probability: 0.5}\n"),
			`f.yaml:5:46: fault x: match "syn": an actor's reset has no match; leave it out`},
		{"a server's part played by the firewall", edited(t, oneFault, "faults:\n  - {name: x, at: firewall, do: die, per: connection, probability: 0.5}\n"),
			`f.yaml:5:19: fault x: at "firewall": die is what server1 or server2 can do`},
		{"a slow answer without a time", edited(t, oneFault, "faults:\n  - {name: x, at: server2, do: answer-slowly, per: connection, probability: 0.5}\n"),
			`f.yaml:5:5: fault x: after 0s: answer-slowly needs a time of up to 1m0s, such as 3s`},
		{"a time of no slow answer", edited(t, "do: drop,", "do: drop, after: 3s,"), `f.yaml:5:87: fault syn-drop: after 3s: only delay has it, and an actor that takes its time`},
		{"a cable that rejects", edited(t, "at: firewall, direction: to-server, match: syn, do: drop", `at: "link:f5-firewall", direction: to-server, match: syn, do: reject`),
			`f.yaml:5:26: fault syn-drop: at "link:f5-firewall": a cable rejects nothing; firewall, server1 and server2 can`},
		{"a client with no patience", head + "traffic: {timeout: 0s}\n", `f.yaml:4:20: timeout 0s: must be 100ms to 10m0s`},
		{"a client with too much of it", head + "traffic: {timeout: 1h}\n", `f.yaml:4:20: traffic: timeout 1h0m0s: must be 100ms to 10m0s`},
		{"a fault without a name", edited(t, "{name: syn-drop, ", "{"), `f.yaml:5:5: fault : a name has 1 to 64 letters, digits and hyphens`},
		{"two faults of one name", head + oneFault + strings.TrimPrefix(oneFault, "faults:\n") + rightOne, `f.yaml:6:5: fault syn-drop: named twice`},
		{"a fault that says only where", head + "faults:\n  - name: x\n    at: firewall\n",
			`f.yaml:5:5: fault x: has no probability; give 0 to 1; fault x: do "": must be drop, reject, rate-limit, inject-rst, delay, reorder, duplicate, corrupt, rewrite or detour; fault x: direction "": must be to-server or to-client; fault x: match "": must be syn, syn-ack, ack, data, large-data, after-syn, response, any, fin, rst, icmp, who-has or is-at; fault x: per "": must be connection, tuple or packet`},

		{"a cause there is not", edited(t, "cause: syn-dropped", "cause: syn-droped"), `f.yaml:7:28: expect: unknown cause "syn-droped"; did you mean "syn-dropped"?`},
		{"a hop there is not", edited(t, "hop: firewall", "hop: fierwall"), `f.yaml:7:11: expect: unknown hop "fierwall"; did you mean "firewall"?; there are ` + allHops},
		{"a link there is not", edited(t, "hop: firewall", `hop: "link:moon-mars"`), `f.yaml:7:11: expect: unknown hop "link:moon-mars"; there are ` + allHops},
		{"a hop nobody captures", edited(t, "hop: firewall", "hop: switch"), `f.yaml:7:11: expect: unknown hop "switch"; there are ` + allHops},
		{"a cause there is not among those accepted", edited(t, "accept: []", "accept: [{hop: f5, cause: magic}]"), `f.yaml:7:67: expect: unknown cause "magic"; there are ` + allCauses()},
		{"the truth not among the right answers", edited(t, "hop: firewall", "hop: server1"),
			`f.yaml:7:3: expect: the truth of fault syn-drop is {hop: "firewall", cause: syn-dropped}, which is not listed`},
		{"no right answer at all", head + oneFault,
			`f.yaml:1:1: expect: the truth of fault syn-drop is {hop: "firewall", cause: syn-dropped}, which is not listed`},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, err := Load("f.yaml", []byte(row.text))
			var fe *FileError
			if !errors.As(err, &fe) || s != nil {
				t.Fatalf("got %v, %v, want a FileError", s, err)
			}
			if got := err.Error(); got != row.want {
				t.Errorf("got  %s\nwant %s", got, row.want)
			}
		})
	}
}

func TestAWholeFileIsRead(t *testing.T) {
	for _, row := range []struct{ name, text string }{
		{"in the middle of the format", head + oneFault + rightOne},
		{"with a document's marks", "---\n" + head + "...\n"},
		{"with Windows' line ends", strings.ReplaceAll(head+oneFault+rightOne, "\n", "\r\n")},
		{"with an answer that names nobody", edited(t, "accept: []", `accept: [{hop: "", cause: inconclusive}]`)},
		{"with digits in groups", head + "traffic: {requests: 20_000}\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if s, err := Load("f.yaml", []byte(row.text)); err != nil || s.Name != "broken-firewall" {
				t.Errorf("got %+v, %v", s, err)
			}
		})
	}
}

// placed is what an error of Load looks like: one line, file, line and column.
var placed = regexp.MustCompile(`^f\.yaml:[1-9][0-9]*:[1-9][0-9]*: [^\r\n]+$`)

func FuzzLoad(f *testing.F) {
	files, err := fs.Glob(catalogue, "catalogue/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		b, err := catalogue.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	for _, text := range []string{"", "---\n---\n", "? a\n: b\n", head + "traffic: &x {requests: 1}\nf5: *x\n", "<<: {name: a}\n", "!!binary x", "\t", "{[", "a: |\n x\n",
		head + oneFault + rightOne, head + "f5: {serverside: {syn-rto-base: \"1\\n\"}}\n"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := Load("f.yaml", text)
		switch {
		case err == nil && s.Validate() != nil:
			t.Errorf("loaded, and not valid: %v", s.Validate())
		case err != nil && !placed.MatchString(err.Error()):
			t.Errorf("not one line with its place: %q", err)
		}
		if err != nil {
			return
		}
		written, err := s.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := Load("f.yaml", written); len(written) <= maxText && (err != nil || same(s, again) != "") {
			t.Errorf("it is not read as it is written: %v\n%s", err, written)
		}
	})
}

// To YAML 0.0 is a number, to who types it an interface.
func TestTheF5sTcpdumpIsAsTypedWithoutQuotes(t *testing.T) {
	for typed, want := range map[string]bigip.Tcpdump{"0.0": "0.0", "'0.0'": "0.0", "0.0:nnn": "0.0:nnn"} {
		s, err := Load("f.yaml", []byte(head+"f5: {tcpdump: "+typed+"}\nexpect: []\n"))
		if err != nil || s.F5.Tcpdump != want {
			t.Errorf("%s: got %+v, %v", typed, s, err)
		}
	}
	if _, err := Load("f.yaml", []byte(head+"f5: {tcpdump: 1.1}\n")); err == nil || !strings.Contains(err.Error(), `interface "1.1": there is only 0.0`) {
		t.Error(err)
	}
}

func TestTheCatalogueIsWhole(t *testing.T) {
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range all {
		names = append(names, s.Name)
		if s.Title == "" || s.Symptom == "" {
			t.Errorf("%s has no title or no symptom", s.Name)
		}
		if len(s.Lesson.Questions) == 0 || len(s.Lesson.Hints) == 0 || s.Lesson.Answer == "" {
			t.Errorf("%s: the lesson lacks questions, hints or an answer", s.Name)
		}
		for what, text := range map[string]string{"title": s.Title, "symptom": s.Symptom} {
			if strings.ContainsAny(text, "\n\t") {
				t.Errorf("%s: its %s is more than a line: %q", s.Name, what, text)
			}
		}
	}
	want := []string{"client-aborts", "client-distrusts-certificate", "f5-bad-request", "f5-header-too-large", "f5-idle-timeout", "f5-no-flow-for-ack", "f5-no-local-listener",
		"f5-tls-bad-record", "f5-tls-handshake-timeout", "f5-tls-no-shared-cipher", "f5-zero-window", "f5-connection-limit", "f5-no-pool-member",
		"f5-snat-ports-exhausted", "firewall-drops-syn-https", "firewall-drops-data", "firewall-drops-keep-alive", "firewall-drops-syn", "firewall-drops-syn-ack", "firewall-rejects-syn",
		"link-drops-syn-ack", "link-drops-syn-after-firewall", "link-drops-syn-before-firewall", "no-fault", "server-answers-503", "server-cuts-response",
		"server-dies-mid-response", "server-ignores-syn", "server-port-closed", "server-resets", "server-stays-silent"}
	for _, w := range want {
		if !slices.Contains(names, w) {
			t.Errorf("the catalogue lacks %s; it has %v", w, names)
		}
	}
	if !slices.IsSorted(names) {
		t.Errorf("the catalogue is in no order: %v", names)
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	folder := filepath.Join(dir, "d.yaml")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	unknown := func(name, guess string) string {
		return `no scenario "` + name + `"` + guess + `; hopblame list shows all, and a path to a .yaml file is taken as well`
	}
	for _, row := range []struct{ name, arg, found, want string }{
		{"a name of the catalogue", "no-fault", "no-fault", ""},
		{"a file", write("own.yaml", head), "broken-firewall", ""},
		{"a file with the other ending", write("own.yml", head), "broken-firewall", ""},
		{"a slip of the finger", "firewall-drop-syn", "", unknown("firewall-drop-syn", `; did you mean "firewall-drops-syn"?`)},
		{"a name unlike any", "zzz", "", unknown("zzz", "")},
		{"no name", "", "", unknown("", "")},
		{"a file that is not there", filepath.Join(dir, "none.yaml"), "", filepath.Join(dir, "none.yaml") + ": there is no such file; hopblame list shows the scenarios that need none"},
		{"a folder", dir, "", dir + ": is a folder; give a .yaml file"},
		{"a folder named like a file", folder, "", folder + ": is a folder; give a .yaml file"},
		{"a file of another kind", write("notes.txt", head), "", filepath.Join(dir, "notes.txt") + ": is not taken for a scenario: its name must end in .yaml"},
		{"a binary file", write("bin.yaml", "\x00\x01\x02"), "", filepath.Join(dir, "bin.yaml") + ":1:1: is not text; a scenario is a YAML file"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, err := Find(row.arg)
			if row.want == "" {
				if err != nil || s.Name != row.found {
					t.Fatalf("got %+v, %v, want %s", s, err, row.found)
				}
				return
			}
			if err == nil || err.Error() != row.want {
				t.Errorf("got  %v\nwant %s", err, row.want)
			}
			var fe *FileError
			var ue *UnknownError
			if !errors.As(err, &fe) && !errors.As(err, &ue) {
				t.Errorf("%T is no error of usage", err)
			}
		})
	}
}

func TestAFolderInTheWayDoesNotHideTheCatalogue(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("no-fault", 0o755); err != nil {
		t.Fatal(err)
	}
	if s, err := Find("no-fault"); err != nil || s.Name != "no-fault" {
		t.Errorf("got %+v, %v", s, err)
	}
}
