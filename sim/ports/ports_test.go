package ports

import (
	"slices"
	"testing"
)

func TestEveryIndexHasAPortOfItsOwnThatWiresharkDoesNotKnow(t *testing.T) {
	seen := map[uint16]bool{}
	for i := range Count {
		p := At(i)
		if p < first || p > last || slices.Contains(taken[:], p) || seen[p] {
			t.Fatalf("index %d has port %d", i, p)
		}
		seen[p] = true
		if Index(p) != i {
			t.Fatalf("port %d has index %d, want %d", p, Index(p), i)
		}
	}
	if At(Count) != At(0) {
		t.Errorf("ports do not come round")
	}
	if Count%2 != 0 {
		t.Errorf("%d ports: a port that comes round would go to the other of two members", Count)
	}
}

func TestAnyPortHasAnIndex(t *testing.T) {
	for p := range 65536 {
		if i := Index(uint16(p)); i < 0 || i >= Count {
			t.Fatalf("port %d has index %d", p, i)
		}
	}
}
