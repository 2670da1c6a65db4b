package annotate

import (
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hopblame/hopblame/analyzer"
)

// profile has the files that are the same for all captures: preferences (columns) and
// colorfilters.
//
//go:embed profile
var profile embed.FS

// Profile writes a Wireshark profile into a folder, which is made if it is not there: the
// columns point and evidence, colours, and a filter button for each point of the report.
// Wireshark finds it under its name in the folder profiles of its personal configuration
// (Help → About → Folders). Files of other names are left alone.
func Profile(dir string, r *analyzer.Report) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, name := range []string{"preferences", "colorfilters"} {
		text, err := profile.ReadFile("profile/" + name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "dfilter_buttons"), buttons(r), 0o644)
}

// button is a filter with a name.
type button struct{ label, filter, comment string }

// buttons is the file dfilter_buttons, whose lines are those of a user-accessible table
// (epan/uat.c of Wireshark): quoted, with quotes, backslashes and what is not printable in
// ASCII as \xNN.
func buttons(r *analyzer.Report) []byte {
	list := []button{
		{"evidence", "frame.comment", "frames that a verdict cites"},
		{"SYN", "tcp.flags.syn==1", "connections coming about"},
		{"RST", "tcp.flags.reset==1", "and who sends them"},
		{"errors", "icmp.type in {3..5, 11} || icmpv6.type in {1..4}", "ICMP errors"},
	}
	for _, p := range r.Points {
		list = append(list, button{p.Name, `frame.interface_name=="` + escapeFilter(p.Name) + `"`, p.File})
	}
	var out strings.Builder
	out.WriteString("# Written by hopblame annotate --profile.\n")
	for _, b := range list {
		fmt.Fprintf(&out, "\"TRUE\",\"%s\",\"%s\",\"%s\"\n", escapeUAT(b.label), escapeUAT(b.filter), escapeUAT(b.comment))
	}
	return []byte(out.String())
}

// escapeFilter quotes for the inside of a display filter's string.
func escapeFilter(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s)
}

func escapeUAT(s string) string {
	var out strings.Builder
	for _, c := range []byte(s) {
		if c == '"' || c == '\\' || c < ' ' || c > '~' {
			fmt.Fprintf(&out, `\x%02x`, c)
		} else {
			out.WriteByte(c)
		}
	}
	return out.String()
}
