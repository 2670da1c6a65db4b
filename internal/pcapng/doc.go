// Package pcapng writes pcapng and reads pcapng and classic pcap, as streams.
//
// It exists because capture files are the hot path of this project: a run
// writes and reads millions of frames. [Writer.WritePacket] gathers the parts
// of a frame (head, inserted VLAN tag, rest, trailer) into one block without
// allocating; [Reader.Next] hands out frames that alias its buffer, also
// without allocating. What a capture says about itself — interface names and
// addresses, the time it covers, the packets it dropped — is read and written
// too, since an absence in a capture means nothing without it.
//
// The rule that bites: [Packet.Data] is valid until the next call of
// [Reader.Next] only.
//
// Formats: draft-ietf-opsawg-pcapng (block and option numbers are quoted by
// section) and draft-ietf-opsawg-pcap.
package pcapng

import (
	"net"
	"net/netip"
	"time"
)

// LinkTypeEthernet is LINKTYPE_ETHERNET of the pcap link type registry.
const LinkTypeEthernet = 1

// Section describes who wrote a section (pcapng §4.1). Empty fields are left out.
type Section struct {
	Hardware    string
	OS          string
	Application string
}

// Interface describes one capture interface (pcapng §4.2). Empty fields are
// left out of the file, or were not in it.
type Interface struct {
	Name        string
	Description string
	Hardware    string
	Filter      string           // capture filter, as text
	LinkType    uint16           // 0 means [LinkTypeEthernet] to the Writer
	SnapLen     uint32           // 0: no limit
	Addresses   []netip.Prefix   // if_IPv4addr and if_IPv6addr
	MAC         net.HardwareAddr // nil or 6 bytes
}

// Statistics is what an interface reports about its own capture (pcapng §4.6).
// Outside Start…End the capture says nothing about the network.
type Statistics struct {
	Start, End time.Time // zero: unknown
	Received   uint64    // packets that reached the interface, captured or not
	Dropped    uint64    // packets the capture lost
}

// Block types, pcapng §11.1.
const (
	blockSection    = 0x0A0D0D0A
	blockInterface  = 1
	blockPacket     = 2 // obsolete, pcapng appendix A
	blockSimple     = 3
	blockStatistics = 5
	blockEnhanced   = 6
	blockJournal    = 9
	blockCustom     = 0x00000BAD
	blockCustomNo   = 0x40000BAD // "do not copy"
)

const byteOrderMagic = 0x1A2B3C4D

// Option codes, pcapng §3.5, §4.1, §4.2, §4.3 and §4.6.
const (
	optEnd     = 0
	optComment = 1

	shbHardware = 2
	shbOS       = 3
	shbUserAppl = 4

	ifName        = 2
	ifDescription = 3
	ifIPv4        = 4
	ifIPv6        = 5
	ifMAC         = 6
	ifTSResol     = 9
	ifFilter      = 11
	ifTSOffset    = 14
	ifHardware    = 15

	isbStart  = 2
	isbEnd    = 3
	isbRecv   = 4
	isbDrop   = 5
	isbOSDrop = 7

	epbDropCount = 4
)

// maxBlock bounds what is kept in memory for one block; Wireshark's own limit
// (MAX_BLOCK_SIZE in wiretap/pcapng.c) is the same 16 MiB.
const maxBlock = 16 << 20
