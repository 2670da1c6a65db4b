package bigip

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// told is how a BIG-IP spells a cause in a log line and in a RST's payload, with the
// place in its source.
func (c Cause) told(peer bool) string {
	flag := ""
	if peer {
		flag = "{peer} "
	}
	return fmt.Sprintf("[0x%x:%d] %s%s", causeValue, c.line, flag, c.Text)
}

// payload is what a RST carries with tm.rstcause.pkt.
func (c Cause) payload(peer bool) string { return "BIG-IP: " + c.told(peer) }

// Log returns the lines of /var/log/ltm, 01230140, that tm.rstcause.log brings about.
func Log(resets []Reset) (lines []string) {
	for i := range resets {
		r := &resets[i]
		lines = append(lines, fmt.Sprintf("%s f5 err tmm%d[%d]: 01230140:3: RST sent from %s to %s, %s",
			r.Time.UTC().Format(time.Stamp), r.Client.Port()%tmms, firstTMMProcess, r.From, r.To, r.Cause.told(r.Peer)))
	}
	return lines
}

// firstTMMProcess stands in for the process id of tmm.
const firstTMMProcess = 11234

// Counts is the table of "tmsh show net rst-cause": how many RSTs each cause has had.
type Counts map[string]int

// Count counts a ledger's RSTs by cause.
func Count(resets []Reset) Counts {
	c := Counts{}
	for i := range resets {
		c[resets[i].Cause.Text]++
	}
	return c
}

// String is the table as tmsh prints it.
func (c Counts) String() string {
	width := len("RST Cause:")
	for cause := range c {
		width = max(width, len(cause))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "TCP/IP Reset Cause\n%-*s  Count\n", width, "RST Cause:")
	for _, cause := range slices.Sorted(maps.Keys(c)) {
		fmt.Fprintf(&b, "%-*s  %5d\n", width, cause, c[cause])
	}
	return b.String()
}
