package compute

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/internal/wire"
	computev1 "github.com/openvic/vic/sdk/proto/compute/v1"
)

// Register serves a driver over gRPC. driver is asked with every call, so that it can answer
// errdef.ErrUnavailable until there is one.
func Register(r grpc.ServiceRegistrar, driver func() (Driver, error)) {
	computev1.RegisterComputeServiceServer(r, &server{driver: driver})
}

type server struct {
	computev1.UnimplementedComputeServiceServer
	driver func() (Driver, error)
}

var _ computev1.ComputeServiceServer = (*server)(nil)

// call runs f with the driver and turns its error into a status.
func (s *server) call(f func(Driver) error) error {
	d, err := s.driver()
	if err != nil {
		return errdef.ToGRPC(err)
	}
	return errdef.ToGRPC(f(d))
}

func (s *server) Create(ctx context.Context, req *computev1.CreateRequest) (*computev1.CreateResponse, error) {
	resp := &computev1.CreateResponse{}
	return resp, s.call(func(d Driver) error {
		vm, err := d.Create(ctx, createFromWire(req))
		resp.Vm = vmToWire(vm)
		return err
	})
}

func (s *server) Start(ctx context.Context, req *computev1.StartRequest) (*computev1.StartResponse, error) {
	return &computev1.StartResponse{}, s.call(func(d Driver) error { return d.Start(ctx, req.GetId()) })
}

func (s *server) Stop(ctx context.Context, req *computev1.StopRequest) (*computev1.StopResponse, error) {
	return &computev1.StopResponse{}, s.call(func(d Driver) error { return d.Stop(ctx, req.GetId()) })
}

func (s *server) Kill(ctx context.Context, req *computev1.KillRequest) (*computev1.KillResponse, error) {
	return &computev1.KillResponse{}, s.call(func(d Driver) error { return d.Kill(ctx, req.GetId()) })
}

func (s *server) Remove(ctx context.Context, req *computev1.RemoveRequest) (*computev1.RemoveResponse, error) {
	return &computev1.RemoveResponse{}, s.call(func(d Driver) error { return d.Remove(ctx, req.GetId()) })
}

func (s *server) Get(ctx context.Context, req *computev1.GetRequest) (*computev1.GetResponse, error) {
	resp := &computev1.GetResponse{}
	return resp, s.call(func(d Driver) error {
		vm, err := d.Get(ctx, req.GetId())
		resp.Vm = vmToWire(vm)
		return err
	})
}

func (s *server) List(ctx context.Context, _ *computev1.ListRequest) (*computev1.ListResponse, error) {
	resp := &computev1.ListResponse{}
	return resp, s.call(func(d Driver) error {
		vms, err := d.List(ctx)
		resp.Vms = wire.Map(vms, vmToWire)
		return err
	})
}

func (s *server) Update(ctx context.Context, req *computev1.UpdateRequest) (*computev1.UpdateResponse, error) {
	return &computev1.UpdateResponse{}, s.call(func(d Driver) error { return d.Update(ctx, updateFromWire(req)) })
}

func (s *server) Watch(_ *computev1.WatchRequest, stream grpc.ServerStreamingServer[computev1.WatchResponse]) error {
	return s.call(func(d Driver) error {
		return d.Watch(stream.Context(), func(e Event) error { return stream.Send(eventToWire(e)) })
	})
}

func (s *server) Capacity(ctx context.Context, _ *computev1.CapacityRequest) (*computev1.CapacityResponse, error) {
	resp := &computev1.CapacityResponse{}
	return resp, s.call(func(d Driver) error {
		r, ok := d.(Reporter)
		if !ok {
			return fmt.Errorf("the driver does not tell its capacity: %w", errdef.ErrUnsupported)
		}
		c, err := r.Capacity(ctx)
		resp = capacityToWire(c)
		return err
	})
}

func (s *server) Connect(stream grpc.BidiStreamingServer[computev1.ConnectRequest, computev1.ConnectResponse]) error {
	return s.call(func(d Driver) error {
		first, err := stream.Recv()
		if err != nil {
			return err
		}
		conn, err := d.Connect(stream.Context(), first.GetId())
		if err != nil {
			return err
		}
		defer conn.Close()
		if given, err := give(stream, conn); given {
			return err
		}
		if err := stream.Send(&computev1.ConnectResponse{}); err != nil {
			return err
		}
		return tunnel(stream, conn)
	})
}

// tunnel copies both ways until one of them ends. The caller then closes the connection and returns,
// which ends the other one.
func tunnel(stream grpc.BidiStreamingServer[computev1.ConnectRequest, computev1.ConnectResponse], conn io.ReadWriter) error {
	ended := make(chan error, 2)
	go func() {
		in := wire.NewReader(func() ([]byte, error) {
			m, err := stream.Recv()
			return m.GetData(), err
		})
		_, err := in.WriteTo(conn)
		ended <- err
	}()
	go func() {
		ended <- wire.Send(conn, func(p []byte) error { return stream.Send(&computev1.ConnectResponse{Data: p}) })
	}()
	err := <-ended
	if errors.Is(err, io.ErrClosedPipe) || stream.Context().Err() != nil {
		return nil
	}
	return err
}
