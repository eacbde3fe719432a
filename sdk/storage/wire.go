package storage

import (
	"fmt"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/internal/devicewire"
	"github.com/openvic/vic/sdk/internal/wire"
	storagev1 "github.com/openvic/vic/sdk/proto/storage/v1"
)

func layerToWire(l Layer) *storagev1.Layer {
	return &storagev1.Layer{
		Id: l.ID, Parent: l.Parent, Size: l.Size, Created: wire.FromTime(l.Created), Locator: l.Locator,
	}
}

func layerFromWire(l *storagev1.Layer) Layer {
	return Layer{
		ID: l.GetId(), Parent: l.GetParent(), Size: l.GetSize(),
		Created: wire.ToTime(l.GetCreated()), Locator: l.GetLocator(),
	}
}

func rootToWire(r Root) *storagev1.PrepareDiskResponse {
	return &storagev1.PrepareDiskResponse{Kind: rootKindToWire(r.Kind), Disks: wire.Map(r.Disks, devicewire.FromDisk)}
}

func rootFromWire(r *storagev1.PrepareDiskResponse) (Root, error) {
	kind, err := rootKindFromWire(r.GetKind())
	return Root{Kind: kind, Disks: wire.Map(r.GetDisks(), devicewire.ToDisk)}, err
}

func rootKindToWire(k RootKind) storagev1.RootKind {
	switch k {
	case RootSingle:
		return storagev1.RootKind_ROOT_KIND_SINGLE
	case RootOverlay:
		return storagev1.RootKind_ROOT_KIND_OVERLAY
	}
	return storagev1.RootKind_ROOT_KIND_UNSPECIFIED
}

func rootKindFromWire(k storagev1.RootKind) (RootKind, error) {
	switch k {
	case storagev1.RootKind_ROOT_KIND_SINGLE:
		return RootSingle, nil
	case storagev1.RootKind_ROOT_KIND_OVERLAY:
		return RootOverlay, nil
	}
	return "", fmt.Errorf("root kind %d: %w", k, errdef.ErrInvalid)
}
