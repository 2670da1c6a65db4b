package train

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
)

func TestASealedSolutionIsReadWithItsOwnSaltOnly(t *testing.T) {
	s, salt := sample(), []byte("0123456789abcdef")
	sealed, err := seal(s, "id", salt)
	if err != nil {
		t.Fatal(err)
	}
	got, err := unseal(sealed, "id", salt)
	if err != nil || !reflect.DeepEqual(got, s) {
		t.Errorf("unsealed: %v\n%+v, want\n%+v", err, got, s)
	}
	flipped := bytes.Clone(sealed)
	flipped[len(flipped)/2] ^= 1
	for _, row := range []struct {
		name     string
		sealed   []byte
		id, salt string
	}{
		{"another exercise's id", sealed, "other", string(salt)},
		{"another salt", sealed, "id", "0123456789abcdeF"},
		{"no salt", sealed, "id", ""},
		{"a bit flipped", flipped, "id", string(salt)},
		{"cut short", sealed[:len(sealed)-1], "id", string(salt)},
		{"nothing", nil, "id", string(salt)},
	} {
		t.Run(row.name, func(t *testing.T) {
			if _, err := unseal(row.sealed, row.id, []byte(row.salt)); !errors.Is(err, errSeal) {
				t.Errorf("got %v, want %v", err, errSeal)
			}
		})
	}
	again, err := seal(s, "id", salt)
	if err != nil || bytes.Equal(again, sealed) {
		t.Errorf("sealed twice the same: %v", err)
	}
	for _, secret := range []string{"firewall", "syn-dropped", s.Scenario, s.Title, "hopblame run", s.Lesson.Answer} {
		if bytes.Contains(sealed, []byte(secret)) {
			t.Errorf("%q is readable", secret)
		}
	}
}
