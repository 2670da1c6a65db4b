package f5trailer

// Hardware actions of [Low], as Wireshark names them; F5 does not document them
// (f5ethtrailer.flags.hwaction).
const (
	HardwareActionNone      = 0 // not set
	HardwareActionChallenge = 1 // challenge
	HardwareActionDrop      = 2 // drop
	HardwareActionForward   = 3 // forward
)

// Low is the low block: who handled the packet. The zero value is an egress
// packet of slot 0, TMM 0, without a virtual server.
type Low struct {
	// Ingress: the box received the packet; false: the box sent it (f5ethtrailer.ingress).
	Ingress bool
	// HardwareAction is one of the HardwareAction constants; DPT version 3 and later only.
	HardwareAction uint8
	// Slot is the blade, 0-based as on the wire. Wireshark and the box's own output
	// show one more (f5ethtrailer.slot). TMOS 9.4 wrote it 1-based; it is kept as written.
	Slot uint8
	// TMM is the number of the traffic management microkernel, 0-based (f5ethtrailer.tmm).
	TMM uint8
	// VirtualServer is the full path, such as /Common/vs_app; "" while there is no
	// flow: on a client's SYN, and on the RST of a closed port (f5ethtrailer.vip).
	VirtualServer string
	// PhysicalPort is the interface, such as 1.1; DPT version 4 only, "" elsewhere (f5ethtrailer.phys_port).
	PhysicalPort string
	// Trunk is the link aggregation's name; DPT version 4 only, "" elsewhere (f5ethtrailer.trunk).
	Trunk string
	// Version is the layout. Encoding: 0 is the newest of the format — DPT 4, or 3
	// without port and trunk if the names exceed 127 bytes, legacy 1. DPT 2, 3, 4
	// and legacy 1 may be asked for. Decoding tells what was found; the legacy
	// version 0 is encoded as 1 again.
	Version uint8
}

// Object types of the low block, DPT version 4 (f5ethtrailer.objnametype).
const (
	objectVirtualServer = 0
	objectPhysicalPort  = 1
	objectTrunk         = 2
)

// maxObjectList is the longest object list that Wireshark reads: it takes the
// length for a signed byte and loses the whole trailer beyond (tshark 4.0.17).
const maxObjectList = 127

func objectLen(name string) int {
	if name == "" {
		return 0
	}
	return 2 + len(name)
}

func (l *Low) objectListLen() int {
	return objectLen(l.VirtualServer) + objectLen(l.PhysicalPort) + objectLen(l.Trunk)
}

func appendObject(out []byte, typ byte, name string) []byte {
	if name == "" {
		return out
	}
	out = append(out, typ, byte(len(name)))
	return append(out, name...)
}

func (l *Low) appendDPT(out []byte) ([]byte, error) {
	list := l.objectListLen()
	version := l.Version
	if version == 0 {
		version = 4
		if list > maxObjectList {
			version = 3
		}
	}
	switch {
	case version < 2 || version > 4:
		return out, &ValueError{DPT, "low version", uint64(version), "want 2, 3, 4 or 0 for the newest"}
	case l.HardwareAction > HardwareActionForward:
		return out, &ValueError{DPT, "hardware action", uint64(l.HardwareAction), "want 0 to 3"}
	case version == 4 && list > maxObjectList:
		return out, &TooLongError{DPT, "object list", list, maxObjectList}
	case version < 4 && len(l.VirtualServer) > 255:
		return out, &TooLongError{DPT, "virtual server", len(l.VirtualServer), 255}
	}
	var flags byte
	if l.Ingress {
		flags = 1
	}
	if version >= 3 {
		flags |= l.HardwareAction << 1
	}
	size := len(l.VirtualServer)
	if version == 4 {
		size = list
	}
	out = appendTLVHeader(out, typeLow, 12+size, uint16(version))
	out = append(out, flags, l.Slot, l.TMM, byte(size))
	if version < 4 {
		return append(out, l.VirtualServer...), nil
	}
	out = appendObject(out, objectVirtualServer, l.VirtualServer)
	out = appendObject(out, objectPhysicalPort, l.PhysicalPort)
	return appendObject(out, objectTrunk, l.Trunk), nil
}

// decodeDPT decodes the bytes behind the TLV header; why is "" on success.
func (l *Low) decodeDPT(b []byte, version uint16, old *texts) (why string) {
	if len(b) < 4 {
		return "shorter than 12 bytes"
	}
	l.Version = uint8(version)
	l.Slot, l.TMM = b[1], b[2]
	if version == 2 {
		l.Ingress = b[0] != 0
	} else {
		l.Ingress = b[0]&1 != 0
		l.HardwareAction = b[0] >> 1 & 3
	}
	n := int(b[3]) // unsigned, unlike Wireshark
	if 4+n > len(b) {
		return "names exceed the block"
	}
	b = b[4 : 4+n]
	if version < 4 {
		l.VirtualServer = keep(old.virtualServer, b)
		return ""
	}
	return l.decodeObjects(b, old)
}

// decodeObjects reads the list of (type, length, name). Of several objects of one
// type the first non-empty counts; unknown types are skipped.
func (l *Low) decodeObjects(b []byte, old *texts) (why string) {
	for len(b) > 0 {
		if len(b) < 2 || 2+int(b[1]) > len(b) {
			return "object name exceeds the object list"
		}
		name := b[2 : 2+int(b[1])]
		switch b[0] {
		case objectVirtualServer:
			if l.VirtualServer == "" {
				l.VirtualServer = keep(old.virtualServer, name)
			}
		case objectPhysicalPort:
			if l.PhysicalPort == "" {
				l.PhysicalPort = keep(old.physicalPort, name)
			}
		case objectTrunk:
			if l.Trunk == "" {
				l.Trunk = keep(old.trunk, name)
			}
		}
		b = b[2+len(name):]
	}
	return ""
}
