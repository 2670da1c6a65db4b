package ground

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"
)

func TestMain(m *testing.M) { topology.Main(m) }

func TestThisMachineHoldsWhatItIsTold(t *testing.T) {
	for _, family := range []topology.Family{topology.IPv4, topology.IPv6} {
		for _, trial := range Trials() {
			t.Run(string(family)+" "+trial.Of, func(t *testing.T) {
				found, err := try(t, trial.run, family)
				if err != nil {
					t.Error(found, err)
				}
				t.Log(found)
			})
		}
	}
}

func try(t *testing.T, run func(context.Context, topology.Family) (string, error), family topology.Family) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	found, err := run(ctx, family)
	var unsupported *topology.UnsupportedError
	if errors.As(err, &unsupported) {
		t.Skip(unsupported)
	}
	return found, err
}

// A machine that does not do what it is told is found out, whatever it does instead.
func TestAMachineThatDoesSomethingElseIsFoundOut(t *testing.T) {
	told := fault.Fault{Name: "x", At: topology.Firewall, Direction: fault.ToServer, Match: fault.SYN, Do: fault.Drop, Per: fault.PerTuple, Probability: 0.3}
	more, elsewhere, others := told, told, told
	more.Probability = 0.6
	elsewhere.At = topology.Server1
	others.Name = "y" // whose dice are others
	late := told
	late.At, late.Do, late.After = "link:f5-firewall", fault.Delay, time.Millisecond
	twice, gone := late, late
	twice.Do, twice.After = fault.Duplicate, 0
	gone.Do, gone.After = fault.Drop, 0
	for _, row := range []struct {
		says       string
		told, done fault.Fault
		want       string
	}{
		{"it hits more", told, more, "firewall: the kernel counted hits: "},
		{"it hits somewhere else", told, elsewhere, "tap server1/eth0 saw SYNs: 250, want "},
		{"it hits others", told, others, "tap server1/eth0 saw SYNs: "},
		{"its wire sends twice", late, twice, "tap firewall/feth11 saw SYNs: "},
		{"it drops what a wire is to put back", late, gone, "tap firewall/feth11 saw SYNs: "},
	} {
		t.Run(row.says, func(t *testing.T) {
			found, err := try(t, func(ctx context.Context, family topology.Family) (string, error) {
				return drop(ctx, family, few, []fault.Fault{row.told}, []fault.Fault{row.done})
			}, topology.IPv4)
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %q, %v, want %q", found, err, row.want)
			}
		})
	}
}

func TestAFaultThatCannotBeIsAnError(t *testing.T) {
	_, err := try(t, func(ctx context.Context, family topology.Family) (string, error) {
		cannot := []fault.Fault{{Name: "x", At: topology.Switch, Do: fault.Drop}}
		return drop(ctx, family, 1, cannot, cannot)
	}, topology.IPv4)
	if err == nil || !strings.Contains(err.Error(), "switch") {
		t.Error(err)
	}
}
