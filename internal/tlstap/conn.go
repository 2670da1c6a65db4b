package tlstap

// Hello is what the hellos of a connection tell in the clear.
type Hello struct {
	Random     [32]byte // the client's
	server     [32]byte
	FromClient bool   // the client's hello was seen
	FromServer bool   // the server's was
	Version    uint16 // the one agreed on; 0 if unknown
	Suite      uint16 // the cipher suite agreed on
	OffersH2   bool   // the client offers HTTP/2, RFC 7301
	// ALPN is the protocol agreed on. In TLS 1.3 the server says so under encryption;
	// "" is unknown, or none.
	ALPN string
}

// Conn is a TLS connection. Its zero value has no keys and seals what is protected.
type Conn struct {
	Keys *KeyRing
	Hello
	halves  [2]half
	secrets *Secrets
	sealed  bool
	plain   []byte // of the record being handed on
	record  Record
}

// half is one direction.
type half struct {
	begins    Mark    // of the record under way
	pending   []byte  // of it, if it is kept
	skip      int     // bytes of it to come that are not
	broken    bool    // records cannot be told apart any more
	message   []byte  // a handshake message under way
	protected bool    // TLS 1.2: the direction's ChangeCipherSpec was seen
	changed   bool    // its ChangeCipherSpec was
	finished  bool    // … and a handshake message behind it, TLS 1.2's Finished
	reader    *opener // nil: nothing protected can be read yet
}

// Sealed tells whether what is protected in the connection cannot be read, or cannot
// be any more: for want of keys, or because bytes are missing.
func (c *Conn) Sealed() bool { return c.sealed }

// Broken tells whether the records of a side can no longer be told apart.
func (c *Conn) Broken(s Side) bool { return c.halves[s].broken }

// Feed takes the next bytes of a side, the first of which is at a mark.
func (c *Conn) Feed(s Side, b []byte, at Mark, to Sink) {
	h := &c.halves[s]
	for len(b) > 0 && !h.broken {
		used := c.feed(s, h, b, at, to)
		b = b[used:]
		at.Seq += uint32(used)
	}
}

// Lost tells that the next n bytes of a side will never come.
func (c *Conn) Lost(s Side, n int) {
	if h := &c.halves[s]; h.skip >= n {
		h.skip -= n
	} else {
		c.breaks(h)
	}
}

func (c *Conn) breaks(h *half) {
	h.broken, h.pending, h.message, h.reader, h.skip = true, nil, nil, nil, 0
	c.seal()
}

// keptBuffer bounds what an idle direction keeps of its last record's buffer: of
// thousands of idle connections it would add up.
const keptBuffer = 1 << 11

// maxTrials is more records than a handshake has under keys that are unknown.
const maxTrials = 32

// seal gives up reading.
func (c *Conn) seal() {
	c.sealed = true
	for i := range c.halves {
		h := &c.halves[i]
		h.reader, h.message = nil, nil
		if n := len(h.pending); n >= headLen { // what of the record is not yet here need not be kept
			body, _ := bodyLen(h.pending)
			h.skip, h.pending = headLen+body-n, nil
		}
	}
}

// feed takes bytes of one record, and returns how many.
func (c *Conn) feed(s Side, h *half, b []byte, at Mark, to Sink) int {
	if h.skip > 0 {
		n := min(h.skip, len(b))
		h.skip -= n
		return n
	}
	if len(h.pending) == 0 {
		h.begins = at
		if len(b) < headLen {
			h.pending = append(h.pending, b...)
			return len(b)
		}
		return c.begin(s, h, b, to)
	}
	if n := headLen - len(h.pending); n > 0 {
		n = min(n, len(b))
		if h.pending = append(h.pending, b[:n]...); len(h.pending) == headLen {
			head := [headLen]byte(h.pending)
			h.pending = h.pending[:0]
			c.begin(s, h, head[:], to)
		}
		return n
	}
	body, _ := bodyLen(h.pending)
	n := min(headLen+body-len(h.pending), len(b))
	if h.pending = append(h.pending, b[:n]...); len(h.pending) == headLen+body {
		c.take(s, h, h.pending, to)
		if cap(h.pending) > keptBuffer {
			h.pending = nil
		}
		h.pending = h.pending[:0]
	}
	return n
}

// begin takes a record from its head on, and returns how many bytes it took.
func (c *Conn) begin(s Side, h *half, b []byte, to Sink) int {
	body, ok := bodyLen(b)
	switch {
	case !ok:
		c.breaks(h)
		return len(b)
	case !c.keeps(h, b[0]): // its length is all that counts
		n := min(headLen+body, len(b))
		h.skip = headLen + body - n
		c.hand(s, h, b[0], body, to)
		return n
	case len(b) >= headLen+body:
		c.take(s, h, b[:headLen+body], to)
		return headLen + body
	}
	h.pending = append(h.pending[:0], b...)
	return len(b)
}

// keeps tells whether the body of a record is of any use.
func (c *Conn) keeps(h *half, typ byte) bool {
	return !c.sealed && (h.reader != nil || typ != ApplicationData && !h.protected)
}

// infer tells TLS 1.3 from 1.2 where the server's hello is missing. In TLS 1.2 a
// Finished, which says that it is of the handshake, follows the ChangeCipherSpec and
// goes before all application data (RFC 5246 §7.3); in TLS 1.3 it looks like such data.
func (c *Conn) infer(h *half, typ byte) {
	switch {
	case typ == ChangeCipherSpec:
		h.changed = true
	case typ == Handshake:
		h.finished = h.changed
	case typ == ApplicationData && c.Version == 0 && c.FromClient && !c.FromServer && !h.finished:
		c.Version = TLS13
	}
}

// hand hands on a record that is not opened.
func (c *Conn) hand(s Side, h *half, typ byte, body int, to Sink) {
	c.infer(h, typ)
	if typ == ApplicationData && h.reader == nil && !c.sealed {
		c.seal()
	}
	c.record = Record{Side: s, Begins: h.begins, Type: typ, Length: body}
	to.Record(&c.record)
}

// take reads a whole record.
func (c *Conn) take(s Side, h *half, whole []byte, to Sink) {
	typ, body := whole[0], whole[headLen:]
	switch {
	case typ == ChangeCipherSpec:
		if c.Version == TLS12 { // in TLS 1.3 it means nothing, RFC 8446 §D.4
			c.changeCipher(s, h)
		}
	case c.Version == TLS13 && typ == ApplicationData, h.protected:
		if c.open(s, h, whole, to) {
			return
		}
	case typ == Handshake:
		c.messages(s, h, body)
	}
	c.hand(s, h, typ, len(body), to)
}

// open opens a protected record and hands it on. False means that it cannot be.
func (c *Conn) open(s Side, h *half, whole []byte, to Sink) bool {
	if h.reader == nil {
		return false
	}
	plain, typ, ok := h.reader.open(c.plain[:0], whole)
	switch {
	case !ok && h.reader.trials > 0:
		h.reader.trials-- // of the handshake, whose keys are unknown; the next may do
		return false
	case !ok:
		c.seal()
		return false
	}
	h.reader.trials = 0
	c.plain = plain
	c.record = Record{Side: s, Begins: h.begins, Type: typ, Length: len(whole) - headLen, Opened: true, Plain: plain}
	if typ == Handshake {
		c.messages(s, h, plain)
	}
	to.Record(&c.record)
	return true
}
