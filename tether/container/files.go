package container

import (
	"fmt"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest/rootfs"
	"github.com/openvic/vic/tether/linkserver"
)

// Spaces implements linkserver.Machine. The container's own mounts (tmpfs, what it mounts itself) are not in
// them: docker cp does not show those either.
func (m *Machine) Spaces() (linkserver.Spaces, error) {
	if !m.ready.Load() {
		return linkserver.Spaces{}, fmt.Errorf("the container's disks are not mounted: %w", errdef.ErrConflict)
	}
	s := linkserver.Spaces{Root: rootfs.View{Root: m.space.Root}, Container: rootfs.View{Root: m.space.Root, ReadOnly: m.space.ReadOnly}}
	for _, b := range m.space.Binds {
		s.Container.Binds = append(s.Container.Binds, rootfs.Bind{Source: b.Source, Target: b.Target, ReadOnly: b.ReadOnly})
	}
	return s, nil
}
