package bigip

import (
	"regexp"
	"strings"
	"time"
)

// Monitor tests the members of a pool: one that does not answer is down and gets no
// connections until it answers again. The zero value is no monitor.
//
// A member that has not been tested for long enough is neither up nor down, and is
// used: on a BIG-IP its status is unknown (a blue square). Whatever a test comes to but
// the answer it is for — a refused connection, too — is a failed test; timeout without
// any other makes the member down, one good answer makes it up again.
type Monitor struct {
	Type     MonitorType   `yaml:"type"`
	Interval time.Duration `yaml:"interval"` // between tests; also how long one may take; 0 means 5 s
	Timeout  time.Duration `yaml:"timeout"`  // without a good answer for that long a member is down; 0 means 16 s
	// Send is the request of an http monitor, with the escapes \r and \n (K4186); an
	// empty line is added where there is none. "" means GET /.
	Send string `yaml:"send"`
	// Receive is a regular expression that the first 5120 bytes of the answer must
	// match (K3451); "" means any answer.
	Receive string `yaml:"recv"`
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

// Defaults of a monitor (ltm monitor tcp, http), and how much of an answer it reads.
const (
	defaultInterval = 5 * time.Second
	defaultTimeout  = 16 * time.Second
	defaultSend     = `GET /\r\n`
	maxReceive      = 5120
)

// minInterval lets each of a monitor's source ports rest for the minute of TIME_WAIT.
const minInterval = 25 * time.Millisecond

func (m *Monitor) interval() time.Duration { return orElse(m.Interval, defaultInterval) }
func (m *Monitor) timeout() time.Duration  { return orElse(m.Timeout, defaultTimeout) }

// request is what an http monitor sends.
func (m *Monitor) request() []byte {
	text := strings.NewReplacer(`\r`, "\r", `\n`, "\n").Replace(orElse(m.Send, defaultSend))
	for !strings.HasSuffix(text, "\r\n\r\n") {
		text += "\r\n"
	}
	return []byte(text)
}

func (m *Monitor) validate(bad report) {
	if m.Type == MonitorNone {
		if *m != (Monitor{}) {
			bad("type: a monitor needs one: tcp, tcp-half-open or http")
		}
		return
	}
	oneOf(bad, "type", m.Type, MonitorTCP, MonitorTCPHalfOpen, MonitorHTTP)
	if m.Type != MonitorHTTP && m.Send != "" {
		bad("send %q: is for http monitors", m.Send)
	}
	if m.Type != MonitorHTTP && m.Receive != "" {
		bad("recv %q: is for http monitors", m.Receive)
	}
	if _, err := regexp.Compile(m.Receive); err != nil {
		bad("recv %q: is no regular expression: %v", m.Receive, err)
	}
	interval, timeout := m.interval(), m.timeout()
	if interval < minInterval || interval > maxTimeout {
		bad("interval %v: must be %v to %v", interval, minInterval, maxTimeout)
	}
	if timeout < interval || timeout > maxTimeout {
		bad("timeout %v: must be at least the interval, %v, and at most %v", timeout, interval, maxTimeout)
	}
}
