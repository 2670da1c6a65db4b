package bigip

import "time"

// Entries returns how many flows are in the table at a time, two for each connection
// through the proxy: a closed one stays for two seconds (linger). Call it when the
// capture has stopped.
func (t *FlowTable) Entries(at time.Time) int {
	t.advance(at.UnixNano())
	return len(t.halves)
}
