package serve

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestWhoMayAsk(t *testing.T) {
	for _, row := range []struct {
		name, method string
		headers      map[string]string
		want         int
		says         string
	}{
		{"a page of the server starts a run", "POST", nil, 303, ""},
		{"a program that is no browser starts one", "POST", map[string]string{"Sec-Fetch-Site": ""}, 303, ""},
		{"a page is read", "GET", nil, 200, "Scenarios"},
		{"a page is read through an ssh tunnel", "GET", map[string]string{"Host": "localhost:9999"}, 200, "Scenarios"},
		{"a page is read by the IPv6 address", "GET", map[string]string{"Host": "[::1]:8420"}, 200, "Scenarios"},
		{"a link of another site is followed", "GET", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 200, "Scenarios"},
		{"an image of another site's page", "GET", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403, "another site"},
		{"a script of a page of another port", "GET", map[string]string{"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}, 403, "another site"},
		{"a form of another site, as browsers send it", "POST", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 403, "another site"},
		{"a form of another site", "POST", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403, "another site"},
		{"a form of another port of this machine", "POST", map[string]string{"Sec-Fetch-Site": "same-site"}, 403, "another site"},
		{"a form of another site, from an old browser", "POST", map[string]string{"Sec-Fetch-Site": "", "Origin": "https://evil.example"}, 403, "another site"},
		{"a form of a page from a file", "POST", map[string]string{"Sec-Fetch-Site": "", "Origin": "null"}, 403, "another site"},
		{"a name that was made to resolve to 127.0.0.1", "GET", map[string]string{"Host": "evil.example:8420"}, 421, "localhost"},
		{"one that begins like the address", "GET", map[string]string{"Host": "127.0.0.1.evil.example"}, 421, "localhost"},
		{"one that begins like localhost", "POST", map[string]string{"Host": "localhost.evil.example:8420"}, 421, "localhost"},
		{"an address of somebody else", "GET", map[string]string{"Host": "198.18.0.1:8420"}, 421, "localhost"},
		{"no Host at all", "GET", map[string]string{"Host": ""}, 421, "localhost"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := idle(t, pretend)
			path, form := "/", url.Values(nil)
			if row.method == http.MethodPost {
				path, form = "/runs", aForm(20)
			}
			r := request(s, row.method, path, form)
			for name, value := range row.headers {
				r.Header.Set(name, value)
			}
			if host, ok := row.headers["Host"]; ok {
				r.Host = host
			}
			status, body, h := ask(t, s, r)
			if status != row.want || !strings.Contains(body, row.says) {
				t.Errorf("got %d, want %d and %q\n%s", status, row.want, row.says, body)
			}
			if n := len(s.jobs); n != map[bool]int{true: 1}[status == 303] {
				t.Errorf("%d runs were started", n)
			}
			for name, want := range map[string]string{"Content-Security-Policy": "default-src 'none'; ", "X-Content-Type-Options": "nosniff",
				"Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin"} {
				if got := h.Get(name); !strings.HasPrefix(got, want) {
					t.Errorf("%s: %q", name, got)
				}
			}
		})
	}
}

func TestNoPathLeadsElsewhere(t *testing.T) {
	s := idle(t, pretend)
	at := submit(t, s, "/runs", aForm(20))
	s.playNext(t.Context())
	if status, body := get(t, s, at+"/files/client-eth0.pcapng"); status != 200 || len(body) != 1000 {
		t.Fatalf("a capture: %d, %d bytes", status, len(body))
	}
	for _, row := range []struct{ name, path string }{
		{"up from the files", at + "/files/../truth/ledger.ndjson"},
		{"up from the files, encoded", at + "/files/..%2ftruth%2fledger.ndjson"},
		{"up from the files, dots and all", at + "/files/%2e%2e%2ftruth%2fledger.ndjson"},
		{"up from the files, with backslashes", at + "/files/..%5ctruth%5cledger.ndjson"},
		{"far up", at + "/files/..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd"},
		{"an absolute name", at + "/files/%2fetc%2fpasswd"},
		{"doubled slashes", "//etc/passwd"},
		{"a folder that is there", at + "/files/truth"},
		{"a file that is there and nobody's to read", at + "/files/ledger.ndjson"},
		{"the report as a file", at + "/files/report.html"},
		{"a name cut off by a NUL", at + "/files/points.json%00.html"},
		{"a slash behind a file", at + "/files/points.json/"},
		{"a run there is not", "/runs/77"},
		{"a run without a number", "/runs/..%2f1"},
		{"a run as an exercise", strings.Replace(at, "runs", "exercises", 1)},
		{"the report of an exercise", "/exercises/1/report.html"},
		{"a scenario in a file", "/scenarios/..%2fcatalogue%2fno-fault.yaml"},
		{"a template", "/layout.html"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if status, body := get(t, s, row.path); status != http.StatusNotFound {
				t.Errorf("%s: %d\n%s", row.path, status, body)
			}
		})
	}
}

func TestAScenarioIsNeverReadFromAFile(t *testing.T) {
	s := idle(t, pretend)
	for _, to := range []string{"/runs", "/exercises"} {
		form := url.Values{"scenario": {"../scenarios/catalogue/no-fault.yaml"}, "name": {"../scenarios/catalogue/no-fault.yaml"}}
		if status, body, _ := ask(t, s, request(s, http.MethodPost, to, form)); status != http.StatusUnprocessableEntity || !strings.Contains(body, "no such scenario") {
			t.Errorf("%s: %d\n%s", to, status, body)
		}
	}
}

func TestWhereAServerMayListen(t *testing.T) {
	for _, row := range []struct {
		name, address, want string
	}{
		{"the loopback address", "127.0.0.1:8420", ""},
		{"another one of it", "127.8.8.8:0", ""},
		{"that of IPv6", "[::1]:8420", ""},
		{"its name", "localhost:8420", ""},
		{"every address", "0.0.0.0:8420", "others could reach it there"},
		{"every address, unsaid", ":8420", "others could reach it there"},
		{"every address of IPv6", "[::]:8420", "others could reach it there"},
		{"one of a network", "198.18.0.1:8420", "others could reach it there"},
		{"a name of a network", "server.example:8420", "others could reach it there"},
		{"no port", "127.0.0.1", "must be HOST:PORT, such as 127.0.0.1:8420"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := ""
			if err := CheckListen(row.address); err != nil {
				got = err.Error()
			}
			if (got == "") != (row.want == "") || !strings.Contains(got, row.want) {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}
