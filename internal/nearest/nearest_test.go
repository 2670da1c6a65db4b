package nearest

import "testing"

func TestHint(t *testing.T) {
	known := []string{"server2", "server1", "syn", "data", "response", "s1"}
	for _, row := range []struct{ name, word, want string }{
		{"a letter left out", "respnse", `; did you mean "response"?`},
		{"two letters the other way round", "sny", `; did you mean "syn"?`},
		{"two as near as each other: the first by name", "server3", `; did you mean "server1"?`},
		{"nothing like it", "zzz", ""},
		{"half of it like one", "dada-x", ""},
		{"of two letters, half is the same", "sx", ""},
		{"no word", "", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := Hint(row.word, known); got != row.want {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
	if got := Hint("x", nil); got != "" {
		t.Errorf("with no words: %q", got)
	}
}
