package mutation

// requested are defects in how requests are read, and in what counts as a failed one.
var requested = []Mutant{
	{Says: "a connection's end is the end of any response", File: "exchange.go", By: "server-cuts-response",
		Old: "case c.flags&serverFIN != 0 && e.down.state == untilClose:", New: "case c.flags&serverFIN != 0:"},
	{Says: "503 is an answer like any other", File: "exchange.go", By: "server-answers-503",
		Old: "e.active = false\n\tif e.down.status >= 500 {", New: "e.active = false\n\tif e.down.status > 503 {"},
	{Says: "a client that resets its connection has what it wanted", File: "exchange.go", By: "client-aborts",
		Old: "case how == clientReset, c.flags&clientFIN != 0, how == replaced:", New: "case how == replaced:"},
	{Says: "Content-Length counts the head as well", File: "http.go", By: "server-cuts-response",
		Old: "m.state, m.left = inBody, m.length\n", New: "m.state, m.left = inBody, max(1, m.length-20)\n"},
	{Says: "segments out of order are thrown away", File: "stream.go", By: "link-reorders-before-f5-https",
		Old: "if len(s.early) < maxEarly && length < maxEarlyBytes {", New: "if len(s.early) < 0 && length < maxEarlyBytes {"},
	{Says: "sequence numbers do not wrap", File: "stream.go", By: "capture-nobody-at-client",
		Old: "if d := int32(seq - s.next); d > 0 {\n\t\tif", New: "if seq > s.next {\n\t\tif"},
	{Says: "a response of which the capture missed a part failed", File: "pair.go", By: "capture-loses-at-client",
		Old: "return int32(m.client.acknowledged(false, from)-have) > fin", New: "return int32(m.client.acknowledged(false, from)-have) > 1<<20*fin"},
	{Says: "a SYN without an answer counts as long as the capture lasts", File: "requests.go", By: "link-drops-syn-ack-before-client",
		Old: "if how == replaced || s.until()-c.lastSYN >= synPatience || c.syns > 2 && s.until()-c.started >= callersPatience || s.forNobody(c) {", New: "if how == replaced {"},
	{Says: "a RST_STREAM of the proxy's is an answer", File: "h2.go", By: "firewall-drops-syn-h2",
		Old: "case side == tlstap.Server:\n\t\tc.end(id, Reset,", New: "case side == tlstap.Server:\n\t\tc.end(id, OK,"},
	{Says: "the end of a stream's head is the end of its answer", File: "h2.go", By: "server-dies-mid-response-h2",
		Old: "\t\tif s.last {\n", New: "\t\tif s.last || found.status >= 200 {\n"},
	{Says: "TLS is sealed, whoever has the keys", File: "secure.go", By: "firewall-drops-syn-https",
		Old: "\tcase r.Opened:\n\t\tt.keyed = true\n\t\tt.read(r)\n", New: ""},
	{Says: "a serverside attempt that failed is no request's, if the client's connection went on", File: "sealed.go", By: "capture-h2-without-keys",
		Old: "out = append(out, a.inside(start, f, at))", New: "a.sealedOpen++"},
}
