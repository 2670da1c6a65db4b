package tlstap

// Types of handshake messages, RFC 8446 §B.3.
const (
	clientHello         = 1
	serverHello         = 2
	encryptedExtensions = 8
	finished            = 20
	keyUpdate           = 24
)

// Extensions, RFC 8446 §4.2 and RFC 7301 §3.1.
const (
	extALPN              = 16
	extSupportedVersions = 43
)

// retryRandom in a server's hello makes it a request for another client's hello, RFC
// 8446 §4.1.3.
var retryRandom = [32]byte{0xCF, 0x21, 0xAD, 0x74, 0xE5, 0x9A, 0x61, 0x11, 0xBE, 0x1D, 0x8C, 0x02, 0x1E, 0x65, 0xB8, 0x91,
	0xC2, 0xA2, 0x11, 0x16, 0x7A, 0xBB, 0x8C, 0x5E, 0x07, 0x9E, 0x09, 0xE2, 0xC8, 0xA8, 0x33, 0x9C}

// maxMessage is longer than any handshake message of which something is wanted.
const maxMessage = 1 << 17

// messages reads handshake messages, which records may cut anywhere.
func (c *Conn) messages(s Side, h *half, b []byte) {
	if len(h.message) > 0 {
		b = append(h.message, b...)
	}
	for len(b) >= 4 {
		n := 4 + int(b[1])<<16 + int(b[2])<<8 + int(b[3])
		if n > maxMessage {
			c.seal()
			return
		}
		if len(b) < n {
			break
		}
		c.message(s, h, b[0], b[4:n])
		b = b[n:]
	}
	if h.message = append(h.message[:0], b...); len(h.message) == 0 {
		h.message = nil
	}
}

func (c *Conn) message(s Side, h *half, typ byte, b []byte) {
	switch {
	case typ == clientHello && s == Client && h.reader == nil:
		c.clientHello(b)
	case typ == serverHello && s == Server && h.reader == nil:
		c.serverHello(b)
	case typ == encryptedExtensions && s == Server && c.Version == TLS13 && len(b) >= 2:
		c.extensions(b, func(typ int, v vector) {
			if typ == extALPN {
				c.ALPN = firstProtocol(v)
			}
		})
	case typ == finished && c.Version == TLS13 && h.reader != nil && h.reader.handshake:
		c.trafficKeys(s, h)
	case typ == keyUpdate && c.Version == TLS13 && h.reader != nil && !h.reader.handshake:
		if h.reader = h.reader.next(); h.reader == nil {
			c.seal()
		}
	}
}

// vector reads what is left of a message. What is missing reads as zero.
type vector []byte

func (v *vector) take(n int) vector {
	n = min(n, len(*v))
	out := (*v)[:n]
	*v = (*v)[n:]
	return out
}

// number reads one of n bytes.
func (v *vector) number(n int) (out int) {
	for _, b := range v.take(n) {
		out = out<<8 | int(b)
	}
	return out
}

// inner reads a vector behind its length, of n bytes.
func (v *vector) inner(n int) vector { return v.take(v.number(n)) }

// clientHello: RFC 8446 §4.1.2.
func (c *Conn) clientHello(b vector) {
	b.take(2)
	random := b.take(32)
	if len(random) < 32 {
		return
	}
	copy(c.Random[:], random)
	c.FromClient = true
	b.inner(1) // session id
	b.inner(2) // suites
	b.inner(1) // compression
	c.extensions(b, func(typ int, v vector) {
		if typ != extALPN {
			return
		}
		for list := v.inner(2); len(list) > 0; {
			if string(list.inner(1)) == "h2" {
				c.OffersH2 = true
			}
		}
	})
	c.secrets = c.Keys.Of(c.Random)
}

// serverHello: RFC 8446 §4.1.3, RFC 5246 §7.4.1.3.
func (c *Conn) serverHello(b vector) {
	version := b.number(2)
	random := b.take(32)
	b.inner(1) // session id
	if len(random) < 32 || len(b) < 3 || [32]byte(random) == retryRandom {
		return
	}
	copy(c.server[:], random)
	c.Suite = uint16(b.number(2))
	b.take(1) // compression
	c.extensions(b, func(typ int, v vector) {
		switch typ {
		case extSupportedVersions:
			version = v.number(2)
		case extALPN:
			c.ALPN = firstProtocol(v)
		}
	})
	c.FromServer, c.Version = true, uint16(version)
	switch {
	case !c.secrets.Opens() || !c.FromClient:
		c.seal()
	case c.Version == TLS13:
		c.handshakeKeys()
	case c.Version != TLS12 || c.secrets.Master == nil:
		c.seal()
	}
}

// extensions calls f for each extension of a hello.
func (c *Conn) extensions(b vector, f func(typ int, v vector)) {
	for list := b.inner(2); len(list) >= 4; {
		typ := list.number(2)
		f(typ, list.inner(2))
	}
}

// firstProtocol reads the only name of a server's ALPN extension.
func firstProtocol(v vector) string {
	list := v.inner(2)
	return string(list.inner(1))
}

// handshakeKeys begins what TLS 1.3 protects: everything behind the server's hello.
func (c *Conn) handshakeKeys() {
	for s := range c.halves {
		handshake, traffic := c.secrets.ClientHandshake, c.secrets.ClientTraffic
		if Side(s) == Server {
			handshake, traffic = c.secrets.ServerHandshake, c.secrets.ServerTraffic
		}
		h := &c.halves[s]
		if handshake != nil {
			h.reader = newOpener13(c.Suite, handshake)
		} else {
			h.reader = newOpener13(c.Suite, traffic)
		}
		if h.reader == nil {
			c.seal()
			return
		}
		if h.reader.handshake = handshake != nil; !h.reader.handshake {
			h.reader.trials = maxTrials
		}
	}
}

// trafficKeys follow the side's Finished.
func (c *Conn) trafficKeys(s Side, h *half) {
	secret := c.secrets.ClientTraffic
	if s == Server {
		secret = c.secrets.ServerTraffic
	}
	if h.reader = newOpener13(c.Suite, secret); h.reader == nil {
		c.seal()
	}
}

// changeCipher begins what TLS 1.2 protects. A second one belongs to a renegotiation,
// whose keys are unknown.
func (c *Conn) changeCipher(s Side, h *half) {
	if h.protected || c.secrets == nil {
		c.seal()
	}
	h.protected = true
	if c.sealed {
		return
	}
	if h.reader = newOpener12(c.Suite, c.secrets.Master, c.Random, c.server, s); h.reader == nil {
		c.seal()
	}
}
