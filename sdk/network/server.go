package network

import (
	"context"

	"google.golang.org/grpc"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/internal/wire"
	networkv1 "github.com/openvic/vic/sdk/proto/network/v1"
)

// Register serves a driver over gRPC. driver is asked with every call, so that it can answer
// errdef.ErrUnavailable until there is one.
func Register(r grpc.ServiceRegistrar, driver func() (Driver, error)) {
	networkv1.RegisterNetworkServiceServer(r, &server{driver: driver})
}

type server struct {
	networkv1.UnimplementedNetworkServiceServer
	driver func() (Driver, error)
}

var _ networkv1.NetworkServiceServer = (*server)(nil)

// call runs f with the driver and turns its error into a status.
func (s *server) call(f func(Driver) error) error {
	d, err := s.driver()
	if err != nil {
		return errdef.ToGRPC(err)
	}
	return errdef.ToGRPC(f(d))
}

func (s *server) Create(ctx context.Context, req *networkv1.CreateRequest) (*networkv1.CreateResponse, error) {
	resp := &networkv1.CreateResponse{}
	return resp, s.call(func(d Driver) error {
		r, err := createFromWire(req)
		if err != nil {
			return err
		}
		n, err := d.Create(ctx, r)
		resp.Network = networkToWire(n)
		return err
	})
}

func (s *server) Remove(ctx context.Context, req *networkv1.RemoveRequest) (*networkv1.RemoveResponse, error) {
	return &networkv1.RemoveResponse{}, s.call(func(d Driver) error { return d.Remove(ctx, req.GetId()) })
}

func (s *server) Get(ctx context.Context, req *networkv1.GetRequest) (*networkv1.GetResponse, error) {
	resp := &networkv1.GetResponse{}
	return resp, s.call(func(d Driver) error {
		n, err := d.Get(ctx, req.GetId())
		resp.Network = networkToWire(n)
		return err
	})
}

func (s *server) List(ctx context.Context, _ *networkv1.ListRequest) (*networkv1.ListResponse, error) {
	resp := &networkv1.ListResponse{}
	return resp, s.call(func(d Driver) error {
		ns, err := d.List(ctx)
		resp.Networks = wire.Map(ns, networkToWire)
		return err
	})
}

func (s *server) Join(ctx context.Context, req *networkv1.JoinRequest) (*networkv1.JoinResponse, error) {
	resp := &networkv1.JoinResponse{}
	return resp, s.call(func(d Driver) error {
		r, err := joinFromWire(req)
		if err != nil {
			return err
		}
		e, err := d.Join(ctx, r)
		resp.Endpoint = endpointToWire(e)
		return err
	})
}

func (s *server) Leave(ctx context.Context, req *networkv1.LeaveRequest) (*networkv1.LeaveResponse, error) {
	return &networkv1.LeaveResponse{}, s.call(func(d Driver) error {
		return d.Leave(ctx, LeaveRequest{Network: req.GetNetwork(), Container: req.GetContainer()})
	})
}

func (s *server) Publish(ctx context.Context, req *networkv1.PublishRequest) (*networkv1.PublishResponse, error) {
	resp := &networkv1.PublishResponse{}
	return resp, s.call(func(d Driver) error {
		r, err := publishFromWire(req)
		if err != nil {
			return err
		}
		ports, err := d.Publish(ctx, r)
		resp.Ports = wire.Map(ports, portToWire)
		return err
	})
}

func (s *server) Unpublish(ctx context.Context, req *networkv1.UnpublishRequest) (*networkv1.UnpublishResponse, error) {
	return &networkv1.UnpublishResponse{}, s.call(func(d Driver) error {
		return d.Unpublish(ctx, UnpublishRequest{Container: req.GetContainer()})
	})
}
