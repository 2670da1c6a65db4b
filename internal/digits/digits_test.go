package digits

import "testing"

func TestGroup(t *testing.T) {
	for n, want := range map[int]string{0: "0", 7: "7", 999: "999", 1000: "1,000", 100000: "100,000", 1234567: "1,234,567", 1234567890: "1,234,567,890", -123456: "-123,456", -1: "-1", -999: "-999", -1000: "-1,000"} {
		if got := Group(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}

func TestPlural(t *testing.T) {
	for n, want := range map[int]string{0: "0 runs", 1: "1 run", 2000: "2,000 runs"} {
		if got := Plural(n, "run"); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}
