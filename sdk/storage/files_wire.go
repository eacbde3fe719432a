package storage

import (
	"fmt"
	"io/fs"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest/rootfs"
	"github.com/openvic/vic/sdk/internal/devicewire"
	"github.com/openvic/vic/sdk/internal/wire"
	storagev1 "github.com/openvic/vic/sdk/proto/storage/v1"
)

func mountToWire(m Mount) *storagev1.Mount {
	return &storagev1.Mount{Disk: devicewire.FromDisk(m.Disk), Subdir: m.SubDir, Target: m.Target, ReadOnly: m.ReadOnly}
}

func mountFromWire(m *storagev1.Mount) Mount {
	return Mount{Disk: devicewire.ToDisk(m.GetDisk()), SubDir: m.GetSubdir(), Target: m.GetTarget(), ReadOnly: m.GetReadOnly()}
}

func statToWire(s rootfs.Stat) *storagev1.PathStat {
	return &storagev1.PathStat{Name: s.Name, Size: s.Size, Mode: uint32(s.Mode), ModTime: wire.FromTime(s.ModTime), LinkTarget: s.LinkTarget}
}

func statFromWire(s *storagev1.PathStat) rootfs.Stat {
	return rootfs.Stat{Name: s.GetName(), Size: s.GetSize(), Mode: fs.FileMode(s.GetMode()),
		ModTime: wire.ToTime(s.GetModTime()), LinkTarget: s.GetLinkTarget()}
}

func changeToWire(c rootfs.Change) *storagev1.Change {
	return &storagev1.Change{Kind: storagev1.ChangeKind(c.Kind), Path: c.Path}
}

func changeFromWire(c *storagev1.Change) (rootfs.Change, error) {
	out := rootfs.Change{Kind: rootfs.ChangeKind(c.GetKind()), Path: c.GetPath()}
	if out.Kind < rootfs.Modified || out.Kind > rootfs.Deleted {
		return out, fmt.Errorf("change %d of %s: %w", out.Kind, out.Path, errdef.ErrInvalid)
	}
	return out, nil
}

func pathFromWire(id, path string, mounts []*storagev1.Mount) PathRequest {
	return PathRequest{ID: id, Path: path, Mounts: wire.Map(mounts, mountFromWire)}
}

func copyInToWire(r CopyInRequest) *storagev1.CopyInRequest {
	return &storagev1.CopyInRequest{Id: r.ID, Path: r.Path, Mounts: wire.Map(r.Mounts, mountToWire), ReadOnlyRoot: r.ReadOnlyRoot,
		KeepKinds: r.KeepKinds, Owner: r.Owner}
}

func copyInFromWire(r *storagev1.CopyInRequest) CopyInRequest {
	return CopyInRequest{ID: r.GetId(), Mounts: wire.Map(r.GetMounts(), mountFromWire), ReadOnlyRoot: r.GetReadOnlyRoot(),
		UnpackOptions: rootfs.UnpackOptions{Path: r.GetPath(), KeepKinds: r.GetKeepKinds(), Owner: r.GetOwner()}}
}
