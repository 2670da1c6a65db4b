package f5trailer

import (
	"errors"
	"fmt"
)

// ErrEmpty is returned by [Trailer.AppendTo] for a trailer with none of its
// three blocks, and no TLS secrets: there is nothing to write.
var ErrEmpty = errors.New("f5 trailer: no low, medium or high block to encode")

// TooLongError is returned by [Trailer.AppendTo] when a name or text does not
// fit the chosen format and version. Cut the text, or use [DPT].
type TooLongError struct {
	Format Format // the format being written
	Field  string // what is too long: "virtual server", "object list", "rst cause text" or "tls record"
	Len    int    // its length in bytes
	Max    int    // the most that fits, in bytes
}

// Error says what is too long, by how much, and in which format.
func (e *TooLongError) Error() string {
	return fmt.Sprintf("f5 trailer: encode %s: %s of %d bytes exceeds the limit of %d", e.Format, e.Field, e.Len, e.Max)
}

// ValueError is returned by [Trailer.AppendTo] for a number that cannot be put
// on the wire: a version that the encoder does not write, a value too large for
// its bits, a route domain on an IPv6 address.
type ValueError struct {
	Format Format // the format being written
	Field  string // which field, for example "low version"
	Value  uint64 // its value
	Why    string // what would be allowed
}

// Error says which value was refused and what would be allowed.
func (e *ValueError) Error() string {
	return fmt.Sprintf("f5 trailer: encode %s: %s %d: %s", e.Format, e.Field, e.Value, e.Why)
}

// MalformedError is returned by [Decode] and [DecodeFrame] for bytes that
// contradict their own lengths. What was decoded before the damage stays in the
// Trailer.
type MalformedError struct {
	Format Format // the format the bytes claim
	Offset int    // where the damaged block starts, in bytes from the trailer's start
	Block  string // which block: "header", "low", "medium", "high", "block"
	Why    string // what does not fit
}

// Error says which block is damaged, where it starts and what does not fit.
func (e *MalformedError) Error() string {
	return fmt.Sprintf("f5 trailer: decode %s: %s at byte %d: %s", e.Format, e.Block, e.Offset, e.Why)
}
