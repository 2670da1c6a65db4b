package bigip

import (
	"net/netip"
	"slices"
)

// VirtualServerType says how a virtual server treats connections.
type VirtualServerType string

// The types. The zero value means standard.
const (
	// Standard: a full proxy, which accepts the client before it asks a member.
	Standard VirtualServerType = "standard"
	// FastL4 forwards packets: the client's SYN goes on to a member, whose answer
	// is the client's (Performance (Layer 4)).
	FastL4 VirtualServerType = "fastl4"
	// Reject answers every connection with a RST.
	Reject VirtualServerType = "reject"
)

// VirtualServer is what the client connects to.
type VirtualServer struct {
	Name            string            `yaml:"-"` // full path, as in the Ethernet trailer
	Destination     netip.AddrPort    `yaml:"-"`
	Type            VirtualServerType `yaml:"type"`
	State           State             `yaml:"state"`
	Profiles        []Profile         `yaml:"profiles"` // of a standard one; nil means tcp and http
	ConnectionLimit int               `yaml:"connection-limit"`
	SourcePort      SourcePort        `yaml:"source-port"`
	// ServiceDown is service-down-immediate-action: what a SYN meets while no member
	// is up.
	ServiceDown ServiceDown `yaml:"service-down-immediate-action"`
}

// State of a virtual server or a pool member.
type State string

// The states. The zero value means enabled.
const (
	Enabled  State = "enabled"
	Disabled State = "disabled"
)

// Profile is what a virtual server understands of what passes.
type Profile string

// The profiles.
const (
	ProfileTCP        Profile = "tcp"
	ProfileHTTP       Profile = "http"
	ProfileHTTP2      Profile = "http2" // chosen by ALPN
	ProfileClientSSL  Profile = "client-ssl"
	ProfileOneConnect Profile = "oneconnect" // serverside connections are used again
)

// SourcePort says how the serverside source port is chosen.
type SourcePort string

// The ways. The zero value means change.
const (
	Change   SourcePort = "change"   // another one, see [SNATPort]
	Preserve SourcePort = "preserve" // the client's if it is free
)

// ServiceDown says what a virtual server without a usable member does with a SYN.
type ServiceDown string

// The ways. The zero value means none.
const (
	ServiceDownNone  ServiceDown = "none"  // the connection is accepted, and fails then
	ServiceDownReset ServiceDown = "reset" // the SYN is answered with a RST: "VIP down"
)

// Has says whether the virtual server has a profile.
func (v *VirtualServer) Has(p Profile) bool {
	if v.Profiles == nil {
		return v.standard() && (p == ProfileTCP || p == ProfileHTTP)
	}
	return slices.Contains(v.Profiles, p)
}

func (v *VirtualServer) standard() bool { return v.Type == "" || v.Type == Standard }

func (v *VirtualServer) validate(bad report) {
	oneOf(bad, "type", v.Type, Standard, FastL4, Reject)
	oneOf(bad, "state", v.State, Enabled, Disabled)
	oneOf(bad, "source-port", v.SourcePort, Change, Preserve)
	oneOf(bad, "service-down-immediate-action", v.ServiceDown, ServiceDownNone, ServiceDownReset)
	notNegative(bad, "connection-limit", v.ConnectionLimit)
	for _, p := range v.Profiles {
		if p == "" {
			bad("profiles: one has no name")
		}
		oneOf(bad, "profiles", p, ProfileTCP, ProfileHTTP, ProfileHTTP2, ProfileClientSSL, ProfileOneConnect)
	}
}
