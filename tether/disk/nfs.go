package disk

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/openvic/vic/sdk/errdef"
)

// NFS is a network share to mount. There is no mount.nfs(8) in the guest: the kernel is told what
// that would tell it.
type NFS struct {
	Source   string     // "host:/path"
	Address  netip.Addr // of the host
	Options  string     // "vers=4.1,soft"
	ReadOnly bool
}

// defaultVersion is the protocol's if the options name none.
const defaultVersion = "4.1"

func (n *NFS) version() string {
	v := defaultVersion
	for o := range strings.SplitSeq(n.Options, ",") {
		if key, value, _ := strings.Cut(o, "="); key == "vers" || key == "nfsvers" {
			v = value
		}
	}
	return v
}

// Modules are the kernel modules that the share needs.
func (n *NFS) Modules() []string {
	if strings.HasPrefix(n.version(), "3") {
		return []string{"nfsv3"}
	}
	return []string{"nfsv4"}
}

// data is what the kernel reads: nfs(5) of an already resolved mount. With version 3 locks are the
// guest's own, since nothing in it answers the server's lock manager (rpc.statd).
func (n *NFS) data() string {
	var out []string
	for o := range strings.SplitSeq(n.Options, ",") {
		switch key, _, _ := strings.Cut(o, "="); key {
		case "", "vers", "nfsvers", "addr", "proto", "lock", "nolock":
		default:
			out = append(out, o)
		}
	}
	out = append(out, "vers="+n.version(), "addr="+n.Address.String(), "proto="+n.proto())
	if strings.HasPrefix(n.version(), "3") {
		out = append(out, "nolock")
	}
	return strings.Join(out, ",")
}

func (n *NFS) proto() string {
	if n.Address.Is6() {
		return "tcp6"
	}
	return "tcp"
}

// Mount mounts the share on target. The kernel does not look at ctx: when it ends the call is left
// to itself.
func (n *NFS) Mount(ctx context.Context, target string) error {
	if err := os.MkdirAll(target, 0o755); err != nil {
		return fmt.Errorf("mount %s: %w", n.Source, err)
	}
	flags := uintptr(unix.MS_NOATIME)
	if n.ReadOnly {
		flags |= unix.MS_RDONLY
	}
	done := make(chan error, 1)
	go func() { done <- unix.Mount(n.Source, target, "nfs", flags, n.data()) }()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("mount %s (NFS %s, %s): %w", n.Source, n.version(), n.Address, explainNFS(err))
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("mount %s: the server %s does not answer: %w", n.Source, n.Address, errdef.ErrUnavailable)
	}
}

// explainNFS adds what mount.nfs(8) says of the kernel's numbers.
func explainNFS(err error) error {
	switch {
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w: the server does not export it to this address", err)
	case errors.Is(err, unix.EPROTONOSUPPORT):
		return fmt.Errorf("%w: the server does not speak this version", err)
	}
	return err
}
