package firewall

import (
	"testing"
	"time"
)

func TestAConfigurationThatCannotBeIsRefused(t *testing.T) {
	for _, row := range []struct {
		name string
		Config
		want string // "" for none
	}{
		{"nothing at all", Config{}, ""},
		{"all there is", Config{MaxSessions: 2000, TimeoutTCP: 3 * time.Second, TimeWait: 7 * time.Second, TupleReuse: Drop, SYNRate: 300, SYNBurst: 150}, ""},
		{"a table of less than nothing", Config{MaxSessions: -1}, "firewall: max-sessions -1: must be 1 to 1000000"},
		{"a timeout below the kernel's ticks", Config{TimeoutTCP: time.Millisecond}, "firewall: timeout-tcp 1ms: must be 100ms to 24h0m0s"},
		{"a time-wait of a week", Config{TimeWait: 168 * time.Hour}, "firewall: timeout-tcp-time-wait 168h0m0s: must be 100ms to 24h0m0s"},
		{"a policy that there is not", Config{TupleReuse: "refuse"}, `firewall: tuple-reuse "refuse": must be accept or drop`},
		{"a burst of no rate", Config{SYNBurst: 5}, "firewall: syn-burst 5: without syn-rate there is nothing to burst"},
	} {
		got := ""
		if err := row.Validate(); err != nil {
			got = err.Error()
		}
		if got != row.want {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
}

func TestOnlyATableWithLimitsWithinReachIsLimited(t *testing.T) {
	for _, row := range []struct {
		name string
		Config
		want bool
	}{
		{"nothing at all", Config{}, false},
		{"the defaults, spelt out", Config{MaxSessions: defaultMaxSessions, TimeoutTCP: time.Hour, TimeWait: 15 * time.Second, TupleReuse: Accept, ChallengeACK: Accept}, false},
		{"a longer timeout", Config{TimeoutTCP: 2 * time.Hour}, false},
		{"a shorter one", Config{TimeoutTCP: time.Minute}, true},
		{"a short time-wait", Config{TimeWait: time.Second}, true},
		{"a small table", Config{MaxSessions: 2000}, true},
		{"a rate", Config{SYNRate: defaultMaxSessions}, true},
		{"tuples that are not used again", Config{TupleReuse: Drop}, true},
		{"challenges that do not pass", Config{ChallengeACK: Drop}, true},
	} {
		if got := row.Limited(); got != row.want {
			t.Errorf("%s: limited %v", row.name, got)
		}
	}
}

func TestAFirewallThatKnowsNoSessionsDropsNothing(t *testing.T) {
	if c := (Config{}); c.Stateful() || c.Faults() != nil {
		t.Error("the zero value is stateful")
	}
	if c := (Config{SYNRate: 1}); !c.Stateful() || len(c.Faults()) != len(refusals) {
		t.Error("one setting makes no table")
	}
}
