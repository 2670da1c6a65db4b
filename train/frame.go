package train

import (
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/hopblame/hopblame/internal/digits"
	"github.com/hopblame/hopblame/internal/nearest"
)

// base is a capture's name without its folder.
func base(file string) string { return path.Base(filepath.ToSlash(file)) }

// frameName is how a frame is named, FILE:NUMBER.
func frameName(file string, number uint64) string {
	return fmt.Sprintf("%s:%d", base(file), number)
}

// parseFrame reads FILE:NUMBER. The file may be given with its folder, and without its
// extension; the number is Wireshark's.
func (e *Exercise) parseFrame(text string) (file string, number uint64, err error) {
	at := strings.LastIndexByte(text, ':')
	if at < 0 {
		return "", 0, fmt.Errorf("--frame %s: must be FILE:NUMBER, such as %s:17, the number being Wireshark's", text, e.Files[0])
	}
	if number, err = strconv.ParseUint(text[at+1:], 10, 64); err != nil || number == 0 {
		return "", 0, fmt.Errorf("--frame %s: %q is no frame number; Wireshark counts from 1", text, text[at+1:])
	}
	file = base(text[:at])
	if !strings.HasSuffix(file, ".pcapng") {
		file += ".pcapng"
	}
	if !slices.Contains(e.Files, file) {
		return "", 0, fmt.Errorf("--frame %s: no such capture%s; there are %s", text, nearest.Hint(file, e.Files), strings.Join(e.Files, ", "))
	}
	if n := uint64(len(e.solution.Background[file])); n > 0 && number > n {
		return "", 0, fmt.Errorf("--frame %s: no frame %d: the capture has %s", text, number, digits.Group(int(n)))
	}
	return file, number, nil
}
