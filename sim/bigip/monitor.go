package bigip

import "time"

// Monitor tests the members of a pool: one that does not answer is down and gets no
// connections until it answers again. The zero value is no monitor.
type Monitor struct {
	Type     MonitorType   `yaml:"type"`
	Interval time.Duration `yaml:"interval"` // 0 means 5 s
	Timeout  time.Duration `yaml:"timeout"`  // without an answer for that long a member is down; 0 means 16 s
	Send     string        `yaml:"send"`     // the request of an http monitor; "" means GET /
	Receive  string        `yaml:"recv"`     // what its answer must contain; "" means any answer
}

// MonitorType is what a monitor does.
type MonitorType string

// The types. The zero value means none.
const (
	MonitorNone        MonitorType = ""
	MonitorTCP         MonitorType = "tcp"           // connects and closes
	MonitorTCPHalfOpen MonitorType = "tcp-half-open" // a SYN, and a RST for the answer
	MonitorHTTP        MonitorType = "http"          // asks, and reads the answer
)

// Defaults of a monitor (ltm monitor tcp, http).
const (
	defaultInterval = 5 * time.Second
	defaultTimeout  = 16 * time.Second
)

func (m *Monitor) validate(bad report) {
	if m.Type == MonitorNone {
		if *m != (Monitor{}) {
			bad("type: a monitor needs one: tcp, tcp-half-open or http")
		}
		return
	}
	oneOf(bad, "type", m.Type, MonitorTCP, MonitorTCPHalfOpen, MonitorHTTP)
	if m.Type != MonitorHTTP && (m.Send != "" || m.Receive != "") {
		bad("send: is for http monitors")
	}
	interval, timeout := orElse(m.Interval, defaultInterval), orElse(m.Timeout, defaultTimeout)
	if interval < minRTO || interval > maxTimeout {
		bad("interval %v: must be %v to %v", interval, minRTO, maxTimeout)
	}
	if timeout < interval || timeout > maxTimeout {
		bad("timeout %v: must be at least the interval, %v, and at most %v", timeout, interval, maxTimeout)
	}
}
