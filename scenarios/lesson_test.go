package scenarios

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hopblame/hopblame/internal/locale"
	"github.com/hopblame/hopblame/topology"
)

var (
	portNamed = regexp.MustCompile(`(?:port(?: ?== ?| |:)|:|, )([0-9]{4,5})\b|\b([0-9]{4,5}) 端口`)
	idNamed   = regexp.MustCompile(`\bid [0-9]+`)
	fileRead  = regexp.MustCompile(`-r (\S+)`)
	inFolder  = regexp.MustCompile(`^captures/(client-eth0|f5-0\.0|firewall-feth1[01]|server[12]-eth0)\.pcapng$`)
)

// TestNoLessonSpeaksOfSomeOtherRun: a lesson is read beside another run's captures each time.
func TestNoLessonSpeaksOfSomeOtherRun(t *testing.T) {
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	for _, english := range all {
		a := topology.StandardAddresses(english.Lab.Family)
		known := []uint16{a.VIP.Port(), a.Server1.Port(), a.Server2.Port()}
		for _, lang := range locale.Tags {
			s, _ := english.In(lang)
			l := s.Lesson
			for _, text := range slices.Concat(l.Questions, l.Hints, []string{l.Answer}, l.OnDevice) {
				for _, m := range portNamed.FindAllStringSubmatch(text, -1) {
					n, err := strconv.ParseUint(m[1]+m[2], 10, 16)
					if err == nil && n > 1023 && !slices.Contains(known, uint16(n)) {
						t.Errorf("%s, %s: %q names port %d, which other runs have not; write <PORT>", s.Name, lang, text, n)
					}
				}
				if m := idNamed.FindString(text); m != "" {
					t.Errorf("%s, %s: %q names %q; write <ID>", s.Name, lang, text, m)
				}
			}
			for _, command := range l.OnDevice {
				if m := fileRead.FindStringSubmatch(command); m != nil && strings.HasPrefix(command, "tshark ") && !inFolder.MatchString(m[1]) {
					t.Errorf("%s: %q reads %s; an exercise has its captures in captures/", s.Name, command, m[1])
				}
			}
		}
	}
}
