package report

import "testing"

func TestPercent(t *testing.T) {
	for share, want := range map[float64]string{0: "0", 0.0037: "0.37", 0.123: "12", 0.994: "99", 0.996: "100", 1: "100", 0.00004: "0.004"} {
		if got := Percent(share); got != want {
			t.Errorf("%v: %q, want %q", share, got, want)
		}
	}
}

func TestClip(t *testing.T) {
	for _, row := range []struct {
		text    string
		letters int
		want    string
	}{{"feth11", 6, "feth11"}, {"feth11", 5, "feth…"}, {"Straße", 6, "Straße"}, {"", 1, ""}} {
		if got := Clip(row.text, row.letters); got != row.want {
			t.Errorf("%q in %d letters: %q, want %q", row.text, row.letters, got, row.want)
		}
	}
}
