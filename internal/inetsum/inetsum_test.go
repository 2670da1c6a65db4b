package inetsum

import "testing"

func TestSums(t *testing.T) {
	for _, row := range []struct {
		name string
		b    []byte
		want uint16
	}{
		{"nothing", nil, 0},
		{"the example of RFC 1071 section 3", []byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}, 0xddf2},
		{"an odd byte is the high one of its word", []byte{0x00, 0x01, 0xf2}, 0xf201},
		{"a carry that makes another", []byte{0xff, 0xff, 0xff, 0xff, 0x00, 0x01}, 0x0001},
	} {
		if got := Fold(Add(0, row.b)); got != row.want {
			t.Errorf("%s: got %#x, want %#x", row.name, got, row.want)
		}
	}
}
