package f5trailer

import "testing"

func TestErrorsSayWhatAndWhere(t *testing.T) {
	for want, err := range map[string]error{
		"f5 trailer: encode dpt: rst cause text of 300 bytes exceeds the limit of 246": &TooLongError{DPT, "rst cause text", 300, 246},
		"f5 trailer: encode legacy: low version 2: want 1, or 0 for the newest":        &ValueError{Legacy, "low version", 2, "want 1, or 0 for the newest"},
		"f5 trailer: encode format(7): format 7: want DPT or Legacy":                   &ValueError{7, "format", 7, "want DPT or Legacy"},
		"f5 trailer: decode dpt: medium at byte 48: rst cause exceeds the block":       &MalformedError{DPT, 48, "medium", "rst cause exceeds the block"},
		"f5 trailer: no low, medium or high block to encode":                           ErrEmpty,
	} {
		if got := err.Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
