package topology

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// UnsupportedError says that this machine cannot do something a lab needs, why,
// and what would change that. Tests skip on it and on nothing else.
type UnsupportedError struct {
	Feature string // what was asked for
	Why     string // what the kernel said
	Fix     string // what the user can do
	Err     error  // the cause, may be nil
}

func (e *UnsupportedError) Error() string {
	s := e.Feature + " is not possible on this machine: " + e.Why
	if e.Fix != "" {
		s += "; fix: " + e.Fix
	}
	return s
}

func (e *UnsupportedError) Unwrap() error { return e.Err }

// denied turns a permission error into an [UnsupportedError]; others pass.
func denied(feature string, err error) error {
	if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) && !errors.Is(err, unix.ENOSPC) {
		return err
	}
	return &UnsupportedError{Feature: feature, Why: err.Error(), Fix: namespaceFix(err), Err: err}
}

// namespaceFix looks up which of the known switches forbids namespaces here.
func namespaceFix(err error) string {
	switch {
	case errors.Is(err, unix.ENOSPC) || procIs("/proc/sys/user/max_user_namespaces", "0"):
		return "raise user.max_user_namespaces and user.max_net_namespaces (sysctl), or run as root"
	case procIs("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"):
		return "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu 24.04 forbids user namespaces by AppArmor), or run as root"
	case procIs("/proc/sys/kernel/unprivileged_userns_clone", "0"):
		return "sudo sysctl -w kernel.unprivileged_userns_clone=1, or run as root"
	}
	return "run as root, or where user namespaces are allowed (in a container: --cap-add SYS_ADMIN --cap-add NET_ADMIN)"
}

func procIs(path, value string) bool {
	b, err := os.ReadFile(path)
	return err == nil && strings.TrimSpace(string(b)) == value
}
