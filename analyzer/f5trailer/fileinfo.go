package f5trailer

import (
	"bytes"
	"strings"
)

// FileInfo is what the first frame of a capture by tcpdump on the box tells about
// the capture (TMOS 11.2 and later). It is not a packet; its time stamp is when
// the capture started. Wireshark recognises it only as frame number 1; anywhere
// else it looks like a bogus Ethernet frame. The zero value knows nothing.
type FileInfo struct {
	Command  string // the tcpdump command line (f5fileinfo.cmdline)
	Version  string // version and build, such as "13.1.0.3 0.0.5" (f5fileinfo.version)
	Hostname string // full host name (f5fileinfo.hostname)
	Platform string // hardware code, such as Z100 for Virtual Edition (f5fileinfo.platform)
	Product  string // "BIG-IP" (f5fileinfo.product)
	Session  string // "0" where seen; ignored by Wireshark
}

// fileInfoStart is a pseudo Ethernet header — zero addresses, type 05ff — and the
// mark behind it.
const fileInfoStart = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x05\xffF5-Pseudo-pkt\x00"

// fields ties the prefixes on the wire to the fields, in the order of the wire.
func (f *FileInfo) fields() [6]struct {
	prefix string
	value  *string
} {
	return [6]struct {
		prefix string
		value  *string
	}{
		{"CMD: ", &f.Command}, {"VER: ", &f.Version}, {"HOST: ", &f.Hostname},
		{"PLAT: ", &f.Platform}, {"PROD: ", &f.Product}, {"SESS: ", &f.Session},
	}
}

// Frame returns the frame to be written as the first of a capture. Empty fields
// are left out; a value ends before a NUL byte, which ends it on the wire.
func (f FileInfo) Frame() []byte {
	out := []byte(fileInfoStart)
	for _, field := range f.fields() {
		value, _, _ := strings.Cut(*field.value, "\x00")
		if value == "" {
			continue
		}
		out = append(out, field.prefix...)
		out = append(out, value...)
		out = append(out, 0)
	}
	return out
}

// ParseFileInfo reads a capture's first frame. ok is false if the frame is not a
// description of the capture. Unknown fields are skipped; of a frame cut short,
// what is left is read.
func ParseFileInfo(frame []byte) (f FileInfo, ok bool) {
	rest, ok := bytes.CutPrefix(frame, []byte(fileInfoStart))
	if !ok {
		return FileInfo{}, false
	}
	fields := f.fields()
	for len(rest) > 0 {
		var text []byte
		text, rest, _ = bytes.Cut(rest, []byte{0})
		for _, field := range fields {
			if value, ok := bytes.CutPrefix(text, []byte(field.prefix)); ok && *field.value == "" {
				*field.value = string(value)
			}
		}
	}
	return f, true
}
