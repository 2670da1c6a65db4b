// Package tlstap reads TLS connections from the outside, as a capture shows them:
// their records, their hellos, and with the session's keys what was said.
//
// A [Conn] is fed the bytes of both directions as they were put in order, and hands
// on one [Record] after the other. Without keys a record has a type and a length;
// with keys from a [KeyRing] it is opened: TLS 1.3 (RFC 8446) with all its suites
// but the CCM ones, TLS 1.2 (RFC 5246) with AES-GCM (RFC 5288) and ChaCha20-Poly1305
// (RFC 7905).
//
// The rule that bites: a record cannot be opened unless all before it in its
// direction were seen. Bytes that are missing seal the rest of the connection, and
// so does a key that does not fit; [Conn.Sealed] tells.
package tlstap
