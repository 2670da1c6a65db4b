package bigip

import (
	"strings"
	"testing"
	"time"
)

func TestMonitorsThatCannotBeAreRefusedWithTheReason(t *testing.T) {
	for _, row := range []struct {
		name    string
		monitor Monitor
		want    string // "" is valid
	}{
		{"none", Monitor{}, ""},
		{"as shipped", Monitor{Type: MonitorTCP}, ""},
		{"half-open", Monitor{Type: MonitorTCPHalfOpen, Interval: time.Second, Timeout: 4 * time.Second}, ""},
		{"that asks", Monitor{Type: MonitorHTTP, Send: "GET /", Receive: "^HTTP/1.. 200"}, ""},
		{"without a type", Monitor{Interval: time.Second}, "monitor: type: a monitor needs one: tcp, tcp-half-open or http"},
		{"of a type there is not", Monitor{Type: "icmp"}, `monitor: type "icmp": must be tcp, tcp-half-open or http`},
		{"that asks without HTTP", Monitor{Type: MonitorTCP, Send: "hello"}, `monitor: send "hello": is for http monitors`},
		{"that reads without HTTP", Monitor{Type: MonitorTCP, Receive: "hello"}, `monitor: recv "hello": is for http monitors`},
		{"that waits for what cannot be", Monitor{Type: MonitorHTTP, Receive: "("}, `monitor: recv "(": is no regular expression`},
		{"more often than ports allow", Monitor{Type: MonitorTCP, Interval: time.Millisecond}, "monitor: interval 1ms: must be 25ms to 24h0m0s"},
		{"whose members are down between two tests", Monitor{Type: MonitorTCP, Interval: time.Minute}, "monitor: timeout 16s: must be at least the interval, 1m0s"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := validConfig()
			c.Pool.Monitor = row.monitor
			switch err := c.Validate(); {
			case row.want == "" && err != nil:
				t.Error(err)
			case row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)):
				t.Errorf("got %v, want %q", err, row.want)
			}
		})
	}
}

func TestAnHTTPMonitorSendsAWholeRequest(t *testing.T) {
	for send, want := range map[string]string{
		"":          "GET /\r\n\r\n",
		`GET /\r\n`: "GET /\r\n\r\n",
		`GET /health HTTP/1.1\r\nHost: a\r\n\r\n`: "GET /health HTTP/1.1\r\nHost: a\r\n\r\n",
		"HEAD / HTTP/1.0\r\n\r\n":                 "HEAD / HTTP/1.0\r\n\r\n",
	} {
		m := Monitor{Type: MonitorHTTP, Send: send}
		if got := string(m.request()); got != want {
			t.Errorf("%q is sent as %q, want %q", send, got, want)
		}
	}
}
