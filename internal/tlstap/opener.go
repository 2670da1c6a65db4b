package tlstap

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"hash"

	"golang.org/x/crypto/chacha20poly1305"
)

// suite is a cipher suite that can be read.
type suite struct {
	keyLen int
	hash   func() hash.Hash
	aead   func(key []byte) (cipher.AEAD, error)
}

func gcm(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

var (
	aes128GCM = suite{16, sha256.New, gcm}
	aes256GCM = suite{32, sha512.New384, gcm}
	chaCha20  = suite{chacha20poly1305.KeySize, sha256.New, chacha20poly1305.New}
)

// suites by their numbers in IANA's TLS Cipher Suites registry.
var suites = map[uint16]suite{
	0x1301: aes128GCM, 0x1302: aes256GCM, 0x1303: chaCha20, // TLS 1.3
	0x009C: aes128GCM, 0x009D: aes256GCM, // RSA
	0x009E: aes128GCM, 0x009F: aes256GCM, // DHE with RSA
	0xC02B: aes128GCM, 0xC02C: aes256GCM, // ECDHE with ECDSA
	0xC02F: aes128GCM, 0xC030: aes256GCM, // ECDHE with RSA
	0xCCA8: chaCha20, 0xCCA9: chaCha20, 0xCCAA: chaCha20, // with RSA, ECDSA, and DHE
}

// opener opens the records of one direction, in their order.
type opener struct {
	suite
	aead      cipher.AEAD
	version   uint16
	id        uint16 // of the suite
	iv        [12]byte
	explicit  bool // TLS 1.2 with AES-GCM: eight bytes of the nonce are in the record
	number    uint64
	secret    []byte // TLS 1.3
	handshake bool   // TLS 1.3: these are the keys of the handshake
	trials    int    // records they may still fail to open: whether they are in use yet is not known
	nonce     [12]byte
	data      []byte // additional data
}

// newOpener13 derives the keys of TLS 1.3 from a traffic secret, RFC 8446 §7.3; nil if
// it does not fit the suite, or the suite is not known.
func newOpener13(id uint16, secret []byte) *opener {
	s, known := suites[id]
	if !known || id>>8 != 0x13 || len(secret) != s.hash().Size() {
		return nil
	}
	o := &opener{suite: s, version: TLS13, id: id, secret: secret}
	key, iv := o.expand("key", s.keyLen), o.expand("iv", len(o.iv))
	aead, err := s.aead(key)
	if err != nil {
		return nil
	}
	o.aead = aead
	copy(o.iv[:], iv)
	return o
}

// expand is HKDF-Expand-Label without context, RFC 8446 §7.1.
func (o *opener) expand(label string, n int) []byte {
	label = "tls13 " + label
	info := append([]byte{byte(n >> 8), byte(n), byte(len(label))}, label...)
	out, err := hkdf.Expand(o.hash, o.secret, string(append(info, 0)), n)
	if err != nil { // n is far below 255 hashes
		return nil
	}
	return out
}

// next are the keys after a KeyUpdate, RFC 8446 §7.2.
func (o *opener) next() *opener { return newOpener13(o.id, o.expand("traffic upd", len(o.secret))) }

// newOpener12 derives the keys of one side in TLS 1.2, RFC 5246 §6.3; nil if they do
// not fit the suite, or the suite is not known.
func newOpener12(id uint16, master []byte, client, server [32]byte, side Side) *opener {
	s, known := suites[id]
	if !known || id>>8 == 0x13 || len(master) != 48 {
		return nil
	}
	o := &opener{suite: s, version: TLS12, id: id}
	chacha := s.keyLen == chaCha20.keyLen && id>>8 == 0xCC
	ivLen := 4
	if chacha { // RFC 7905 §2
		ivLen = len(o.iv)
	}
	block := prf(s.hash, master, "key expansion", append(server[:], client[:]...), 2*(s.keyLen+ivLen))
	key, iv := block[:s.keyLen], block[2*s.keyLen:]
	if side == Server {
		key, iv = block[s.keyLen:2*s.keyLen], iv[ivLen:]
	}
	aead, err := s.aead(key)
	if err != nil {
		return nil
	}
	o.aead, o.explicit = aead, !chacha
	copy(o.iv[:], iv[:ivLen])
	return o
}

// prf is TLS 1.2's, RFC 5246 §5.
func prf(h func() hash.Hash, secret []byte, label string, seed []byte, n int) (out []byte) {
	seed = append([]byte(label), seed...)
	sum := func(parts ...[]byte) []byte {
		m := hmac.New(h, secret)
		for _, p := range parts {
			m.Write(p)
		}
		return m.Sum(nil)
	}
	for a := sum(seed); len(out) < n; a = sum(a) {
		out = append(out, sum(a, seed)...)
	}
	return out[:n]
}

// open opens a whole record, appending what it said to dst. False means that the key
// does not fit; nothing has changed then.
func (o *opener) open(dst, whole []byte) (plain []byte, typ byte, ok bool) {
	head, body := whole[:headLen], whole[headLen:]
	o.nonce = o.iv
	if o.explicit {
		if len(body) < 8 {
			return nil, 0, false
		}
		copy(o.nonce[4:], body)
		body = body[8:]
	} else {
		for i := range 8 {
			o.nonce[4+i] ^= byte(o.number >> (56 - 8*i))
		}
	}
	if o.version == TLS13 {
		o.data = append(o.data[:0], head...)
	} else {
		n := len(body) - o.aead.Overhead()
		o.data = append(binary.BigEndian.AppendUint64(o.data[:0], o.number), head[0], head[1], head[2], byte(n>>8), byte(n))
	}
	plain, err := o.aead.Open(dst, o.nonce[:], body, o.data)
	if err != nil {
		return nil, 0, false
	}
	o.number++
	if o.version != TLS13 {
		return plain, head[0], true
	}
	for n := len(plain); n > 0; n-- { // padding, RFC 8446 §5.4
		if plain[n-1] != 0 {
			return plain[:n-1], plain[n-1], true
		}
	}
	return nil, 0, false
}
