package storage

import (
	"context"
	"io"

	"google.golang.org/grpc"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/internal/wire"
	storagev1 "github.com/openvic/vic/sdk/proto/storage/v1"
)

// changesPerMessage keeps a message far below gRPC's limit.
const changesPerMessage = 512

func (s *server) StatPath(ctx context.Context, req *storagev1.StatPathRequest) (*storagev1.StatPathResponse, error) {
	resp := &storagev1.StatPathResponse{}
	return resp, s.call(func(d Driver) error {
		st, err := d.StatPath(ctx, pathFromWire(req.GetId(), req.GetPath(), req.GetMounts()))
		resp.Stat = statToWire(st)
		return err
	})
}

func (s *server) CopyOut(req *storagev1.CopyOutRequest, stream grpc.ServerStreamingServer[storagev1.CopyOutResponse]) error {
	return s.call(func(d Driver) error {
		r := CopyOutRequest{PathRequest: pathFromWire(req.GetId(), req.GetPath(), req.GetMounts()), Whole: req.GetWhole()}
		st, tar, err := d.CopyOut(stream.Context(), r)
		if err != nil {
			return err
		}
		defer tar.Close()
		if err := stream.Send(&storagev1.CopyOutResponse{Stat: statToWire(st)}); err != nil {
			return err
		}
		return wire.Send(tar, func(p []byte) error { return stream.Send(&storagev1.CopyOutResponse{Data: p}) })
	})
}

func (s *server) CopyIn(stream grpc.ClientStreamingServer[storagev1.CopyInRequest, storagev1.CopyInResponse]) error {
	return s.call(func(d Driver) error {
		first, err := stream.Recv()
		if err != nil {
			return err
		}
		tar := wire.NewReader(func() ([]byte, error) {
			m, err := stream.Recv()
			return m.GetData(), errdef.FromGRPC(err)
		})
		if err := d.CopyIn(stream.Context(), copyInFromWire(first), tar); err != nil {
			return err
		}
		return stream.SendAndClose(&storagev1.CopyInResponse{})
	})
}

func (s *server) Changes(req *storagev1.ChangesRequest, stream grpc.ServerStreamingServer[storagev1.ChangesResponse]) error {
	return s.call(func(d Driver) error {
		all, err := d.Changes(stream.Context(), ChangesRequest{ID: req.GetId(), Layer: req.GetLayer()})
		for err == nil && len(all) > 0 {
			n := min(len(all), changesPerMessage)
			err = stream.Send(&storagev1.ChangesResponse{Changes: wire.Map(all[:n], changeToWire)})
			all = all[n:]
		}
		return err
	})
}

func (s *server) Diff(req *storagev1.DiffRequest, stream grpc.ServerStreamingServer[storagev1.DiffResponse]) error {
	return s.call(func(d Driver) error {
		r, err := d.Diff(stream.Context(), ChangesRequest{ID: req.GetId(), Layer: req.GetLayer()})
		return relay(r, err, func(p []byte) error { return stream.Send(&storagev1.DiffResponse{Data: p}) })
	})
}

func (s *server) Tree(req *storagev1.TreeRequest, stream grpc.ServerStreamingServer[storagev1.TreeResponse]) error {
	return s.call(func(d Driver) error {
		r, err := d.Tree(stream.Context(), req.GetLayer())
		return relay(r, err, func(p []byte) error { return stream.Send(&storagev1.TreeResponse{Data: p}) })
	})
}

// relay sends a stream: first an empty message that says that it stands.
func relay(r io.ReadCloser, err error, send func([]byte) error) error {
	if err != nil {
		return err
	}
	defer r.Close()
	if err := send(nil); err != nil {
		return err
	}
	return wire.Send(r, send)
}

func (s *server) Usage(ctx context.Context, req *storagev1.UsageRequest) (*storagev1.UsageResponse, error) {
	resp := &storagev1.UsageResponse{}
	return resp, s.call(func(d Driver) error {
		n, err := d.Usage(ctx, req.GetId())
		resp.Bytes = n
		return err
	})
}
