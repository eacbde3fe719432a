package storage

import (
	"context"

	"google.golang.org/grpc"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/internal/wire"
	storagev1 "github.com/openvic/vic/sdk/proto/storage/v1"
)

// Register serves a driver over gRPC. driver is asked with every call, so that it can answer
// errdef.ErrUnavailable until there is one.
func Register(r grpc.ServiceRegistrar, driver func() (Driver, error)) {
	storagev1.RegisterStorageServiceServer(r, &server{driver: driver})
}

type server struct {
	storagev1.UnimplementedStorageServiceServer
	driver func() (Driver, error)
}

var _ storagev1.StorageServiceServer = (*server)(nil)

// call runs f with the driver and turns its error into a status.
func (s *server) call(f func(Driver) error) error {
	d, err := s.driver()
	if err != nil {
		return errdef.ToGRPC(err)
	}
	return errdef.ToGRPC(f(d))
}

func (s *server) StatLayer(ctx context.Context, req *storagev1.StatLayerRequest) (*storagev1.StatLayerResponse, error) {
	resp := &storagev1.StatLayerResponse{}
	return resp, s.call(func(d Driver) error {
		l, err := d.StatLayer(ctx, req.GetId())
		resp.Layer = layerToWire(l)
		return err
	})
}

func (s *server) WriteLayer(stream grpc.ClientStreamingServer[storagev1.WriteLayerRequest, storagev1.WriteLayerResponse]) error {
	return s.call(func(d Driver) error {
		first, err := stream.Recv()
		if err != nil {
			return err
		}
		tar, done, err := layerBytes(stream, wire.NewReader(func() ([]byte, error) {
			m, err := stream.Recv()
			return m.GetData(), errdef.FromGRPC(err)
		}))
		if err != nil {
			return err
		}
		defer func() { _ = done() }() // what was read is what counts
		req := WriteLayerRequest{ID: first.GetId(), Parent: first.GetParent()}
		l, err := d.WriteLayer(stream.Context(), req, tar)
		if err != nil {
			return err
		}
		return stream.SendAndClose(&storagev1.WriteLayerResponse{Layer: layerToWire(l)})
	})
}

func (s *server) CommitLayer(ctx context.Context, req *storagev1.CommitLayerRequest) (*storagev1.CommitLayerResponse, error) {
	return &storagev1.CommitLayerResponse{}, s.call(func(d Driver) error { return d.CommitLayer(ctx, req.GetId()) })
}

func (s *server) ListLayers(ctx context.Context, _ *storagev1.ListLayersRequest) (*storagev1.ListLayersResponse, error) {
	resp := &storagev1.ListLayersResponse{}
	return resp, s.call(func(d Driver) error {
		ls, err := d.ListLayers(ctx)
		resp.Layers = wire.Map(ls, layerToWire)
		return err
	})
}

func (s *server) RemoveLayer(ctx context.Context, req *storagev1.RemoveLayerRequest) (*storagev1.RemoveLayerResponse, error) {
	return &storagev1.RemoveLayerResponse{}, s.call(func(d Driver) error { return d.RemoveLayer(ctx, req.GetId()) })
}

func (s *server) PrepareDisk(ctx context.Context, req *storagev1.PrepareDiskRequest) (*storagev1.PrepareDiskResponse, error) {
	var resp *storagev1.PrepareDiskResponse
	err := s.call(func(d Driver) error {
		root, err := d.PrepareDisk(ctx, PrepareDiskRequest{ID: req.GetId(), Layer: req.GetLayer()})
		resp = rootToWire(root)
		return err
	})
	return resp, err
}

func (s *server) RemoveDisk(ctx context.Context, req *storagev1.RemoveDiskRequest) (*storagev1.RemoveDiskResponse, error) {
	return &storagev1.RemoveDiskResponse{}, s.call(func(d Driver) error { return d.RemoveDisk(ctx, req.GetId()) })
}

func (s *server) Export(req *storagev1.ExportRequest, stream grpc.ServerStreamingServer[storagev1.ExportResponse]) error {
	return s.call(func(d Driver) error {
		tar, err := d.Export(stream.Context(), ExportRequest{ID: req.GetId(), Path: req.GetPath()})
		if err != nil {
			return err
		}
		defer tar.Close()
		return exportBytes(stream, tar)
	})
}
