package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"
)

func TestADoctorTellsWhatIsMissingFromWhatIsNotNeeded(t *testing.T) {
	missing := check{Of: "do: reject", Needs: "nft_reject", Family: topology.IPv6, err: errors.New("no such\nfile")}
	unneeded := check{Of: "curl", Optional: true, err: errors.New("not installed")}
	for _, row := range []struct {
		says    string
		checks  []check
		healthy bool
		lines   []string
	}{
		{"all is there", []check{{Of: "kernel", Found: "6.18"}}, true, []string{"✓ kernel                 6.18"}},
		{"a program is not needed", []check{unneeded}, true, []string{"– curl                   not installed"}},
		{"one family cannot", []check{{Of: "do: reject", Family: topology.IPv4, Found: "figures"}, missing}, false,
			[]string{"  ✓ ipv4: figures", "  ✗ ipv6: no such; file"}},
	} {
		t.Run(row.says, func(t *testing.T) {
			var text, asJSON bytes.Buffer
			d, quiet := diagnosis{printer: printer{w: &text}}, diagnosis{printer: printer{w: &asJSON}, quiet: true}
			for _, c := range row.checks {
				d.add(c)
				quiet.add(c)
			}
			quiet.json()
			if want := strings.Join(row.lines, "\n") + "\n"; text.String() != want {
				t.Errorf("got %q, want %q", text.String(), want)
			}
			var got struct {
				OK     bool
				Checks []check
			}
			if err := json.Unmarshal(asJSON.Bytes(), &got); err != nil || quiet.err != nil {
				t.Fatal(err, quiet.err)
			}
			if d.healthy() != row.healthy || got.OK != row.healthy || len(got.Checks) != len(row.checks) {
				t.Errorf("healthy %t, as JSON %+v", d.healthy(), got)
			}
			for i, c := range got.Checks {
				if c.OK != (row.checks[i].err == nil) || !c.OK && (c.Error == "" || strings.Contains(c.Error, "\n")) {
					t.Errorf("check %d is %+v", i, c)
				}
			}
		})
	}
}

func TestADoctorSaysWhichFaultsAMachineCannotDo(t *testing.T) {
	d := diagnosis{quiet: true}
	for _, of := range []string{"per: connection", "the ledger"} {
		d.add(check{Of: of, Family: topology.IPv4})
	}
	d.add(check{Of: "wires", Family: topology.IPv4})
	d.add(check{Of: "wires", Family: topology.IPv6, err: errors.New("no AF_PACKET")})
	for do, want := range map[fault.Do]string{fault.Drop: "", fault.Reject: "", fault.Delay: "cannot be here: wires (ipv6)"} {
		got := ""
		if err := d.fault(do).err; err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", do, got, want)
		}
	}
}
