package topology_test

import (
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hopblame/hopblame/topology"
)

// TestNoPortOffloads asks the kernel by the older way, which shares nothing with how
// the features were switched.
func TestNoPortOffloads(t *testing.T) {
	lab := buildFor(t, standard(t, topology.IPv4))
	defer func() {
		if err := lab.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, feature := range []struct {
		name string
		get  uint32 // include/uapi/linux/ethtool.h
	}{
		{"TCP segmentation", unix.ETHTOOL_GTSO},
		{"generic segmentation", unix.ETHTOOL_GGSO},
		{"generic receive offload", unix.ETHTOOL_GGRO},
	} {
		t.Run(feature.name, func(t *testing.T) {
			for _, port := range []topology.Endpoint{
				{Node: topology.Client, Interface: topology.ClientFace}, {Node: topology.F5, Interface: topology.Internal},
				{Node: topology.Switch, Interface: "port3"}, {Node: topology.Server2, Interface: topology.ServerFace},
			} {
				if err := lab.Host(port.Node).Run(func() error {
					fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
					if err != nil {
						return err
					}
					defer unix.Close(fd)
					value := &struct{ command, data uint32 }{command: feature.get}
					request := &struct {
						name [unix.IFNAMSIZ]byte
						data unsafe.Pointer
					}{data: unsafe.Pointer(value)}
					copy(request.name[:], port.Interface)
					if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(request))); errno != 0 {
						return errno
					}
					if value.data != 0 {
						t.Errorf("%+v: on", port)
					}
					return nil
				}); err != nil {
					t.Errorf("%+v: %v", port, err)
				}
			}
		})
	}
}
