package storage

import (
	"context"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/internal/devicewire"
	"github.com/openvic/vic/sdk/internal/wire"
	storagev1 "github.com/openvic/vic/sdk/proto/storage/v1"
)

// This file holds the adapters of Volumes: to and from protobuf, the client and the server.

func volumeToWire(v Volume) *storagev1.Volume {
	return &storagev1.Volume{
		Name: v.Name, Store: v.Store, Capacity: v.Capacity, Used: v.Used, Created: wire.FromTime(v.Created),
		Labels: v.Labels, Options: v.Options, Disk: devicewire.FromDisk(v.Disk),
	}
}

func volumeFromWire(v *storagev1.Volume) Volume {
	return Volume{
		Name: v.GetName(), Store: v.GetStore(), Capacity: v.GetCapacity(), Used: v.GetUsed(), Created: wire.ToTime(v.GetCreated()),
		Labels: v.GetLabels(), Options: v.GetOptions(), Disk: devicewire.ToDisk(v.GetDisk()),
	}
}

func createVolumeToWire(r CreateVolumeRequest) *storagev1.CreateVolumeRequest {
	return &storagev1.CreateVolumeRequest{Name: r.Name, Store: r.Store, Capacity: r.Capacity, Labels: r.Labels, Options: r.Options, Fresh: r.Fresh}
}

func createVolumeFromWire(r *storagev1.CreateVolumeRequest) CreateVolumeRequest {
	return CreateVolumeRequest{Name: r.GetName(), Store: r.GetStore(), Capacity: r.GetCapacity(),
		Labels: r.GetLabels(), Options: r.GetOptions(), Fresh: r.GetFresh()}
}

func (c *client) CreateVolume(ctx context.Context, req CreateVolumeRequest) (Volume, error) {
	resp, err := c.c.CreateVolume(ctx, createVolumeToWire(req))
	if err != nil {
		return Volume{}, errdef.FromGRPC(err)
	}
	return volumeFromWire(resp.GetVolume()), nil
}

func (c *client) GetVolume(ctx context.Context, name string) (Volume, error) {
	resp, err := c.c.GetVolume(ctx, &storagev1.GetVolumeRequest{Name: name})
	if err != nil {
		return Volume{}, errdef.FromGRPC(err)
	}
	return volumeFromWire(resp.GetVolume()), nil
}

func (c *client) ListVolumes(ctx context.Context) ([]Volume, error) {
	resp, err := c.c.ListVolumes(ctx, &storagev1.ListVolumesRequest{})
	if err != nil {
		return nil, errdef.FromGRPC(err)
	}
	return wire.Map(resp.GetVolumes(), volumeFromWire), nil
}

func (c *client) RemoveVolume(ctx context.Context, name string) error {
	_, err := c.c.RemoveVolume(ctx, &storagev1.RemoveVolumeRequest{Name: name})
	return errdef.FromGRPC(err)
}

func (c *client) GrowVolume(ctx context.Context, req GrowVolumeRequest) (Volume, error) {
	resp, err := c.c.GrowVolume(ctx, &storagev1.GrowVolumeRequest{Name: req.Name, Capacity: req.Capacity})
	if err != nil {
		return Volume{}, errdef.FromGRPC(err)
	}
	return volumeFromWire(resp.GetVolume()), nil
}

func (s *server) CreateVolume(ctx context.Context, req *storagev1.CreateVolumeRequest) (*storagev1.CreateVolumeResponse, error) {
	resp := &storagev1.CreateVolumeResponse{}
	return resp, s.call(func(d Driver) error {
		v, err := d.CreateVolume(ctx, createVolumeFromWire(req))
		resp.Volume = volumeToWire(v)
		return err
	})
}

func (s *server) GetVolume(ctx context.Context, req *storagev1.GetVolumeRequest) (*storagev1.GetVolumeResponse, error) {
	resp := &storagev1.GetVolumeResponse{}
	return resp, s.call(func(d Driver) error {
		v, err := d.GetVolume(ctx, req.GetName())
		resp.Volume = volumeToWire(v)
		return err
	})
}

func (s *server) ListVolumes(ctx context.Context, _ *storagev1.ListVolumesRequest) (*storagev1.ListVolumesResponse, error) {
	resp := &storagev1.ListVolumesResponse{}
	return resp, s.call(func(d Driver) error {
		vs, err := d.ListVolumes(ctx)
		resp.Volumes = wire.Map(vs, volumeToWire)
		return err
	})
}

func (s *server) RemoveVolume(ctx context.Context, req *storagev1.RemoveVolumeRequest) (*storagev1.RemoveVolumeResponse, error) {
	return &storagev1.RemoveVolumeResponse{}, s.call(func(d Driver) error { return d.RemoveVolume(ctx, req.GetName()) })
}

func (s *server) GrowVolume(ctx context.Context, req *storagev1.GrowVolumeRequest) (*storagev1.GrowVolumeResponse, error) {
	resp := &storagev1.GrowVolumeResponse{}
	return resp, s.call(func(d Driver) error {
		v, err := d.GrowVolume(ctx, GrowVolumeRequest{Name: req.GetName(), Capacity: req.GetCapacity()})
		resp.Volume = volumeToWire(v)
		return err
	})
}
