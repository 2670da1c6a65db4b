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

// A kernel that drops less than it is told, or a ledger with a hole, is an error that
// says where.
func TestAnAccountThatDiffersIsAnError(t *testing.T) {
	var a account
	a.same(3, 3, "tap saw SYNs")
	a.same(3, 2, "%s: the ledger holds hits", "firewall")
	if err := a.err(); err == nil || err.Error() != "firewall: the ledger holds hits: 2, want 3" {
		t.Error(err)
	}
}

func TestAFaultThatCannotBeIsAnError(t *testing.T) {
	_, err := try(t, func(ctx context.Context, family topology.Family) (string, error) {
		return drop(ctx, family, 1, []fault.Fault{{Name: "x", At: topology.Switch, Do: fault.Drop}})
	}, topology.IPv4)
	if err == nil || !strings.Contains(err.Error(), "switch") {
		t.Error(err)
	}
}
