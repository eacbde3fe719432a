package network

import (
	"context"

	"google.golang.org/grpc"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/internal/wire"
	networkv1 "github.com/openvic/vic/sdk/proto/network/v1"
)

// NewClient makes a driver of a connection to a plugin that serves one.
func NewClient(conn grpc.ClientConnInterface) Driver {
	return &client{c: networkv1.NewNetworkServiceClient(conn)}
}

type client struct {
	c networkv1.NetworkServiceClient
}

var _ Driver = (*client)(nil)

func (c *client) Create(ctx context.Context, req CreateRequest) (Network, error) {
	resp, err := c.c.Create(ctx, createToWire(req))
	if err != nil {
		return Network{}, errdef.FromGRPC(err)
	}
	return networkFromWire(resp.GetNetwork())
}

func (c *client) Remove(ctx context.Context, id string) error {
	_, err := c.c.Remove(ctx, &networkv1.RemoveRequest{Id: id})
	return errdef.FromGRPC(err)
}

func (c *client) Get(ctx context.Context, id string) (Network, error) {
	resp, err := c.c.Get(ctx, &networkv1.GetRequest{Id: id})
	if err != nil {
		return Network{}, errdef.FromGRPC(err)
	}
	return networkFromWire(resp.GetNetwork())
}

func (c *client) List(ctx context.Context) ([]Network, error) {
	resp, err := c.c.List(ctx, &networkv1.ListRequest{})
	if err != nil {
		return nil, errdef.FromGRPC(err)
	}
	return wire.MapErr(resp.GetNetworks(), networkFromWire)
}

func (c *client) Join(ctx context.Context, req JoinRequest) (Endpoint, error) {
	resp, err := c.c.Join(ctx, joinToWire(req))
	if err != nil {
		return Endpoint{}, errdef.FromGRPC(err)
	}
	return endpointFromWire(resp.GetEndpoint())
}

func (c *client) Leave(ctx context.Context, req LeaveRequest) error {
	_, err := c.c.Leave(ctx, &networkv1.LeaveRequest{Network: req.Network, Container: req.Container})
	return errdef.FromGRPC(err)
}

func (c *client) Publish(ctx context.Context, req PublishRequest) ([]Port, error) {
	resp, err := c.c.Publish(ctx, publishToWire(req))
	if err != nil {
		return nil, errdef.FromGRPC(err)
	}
	return wire.MapErr(resp.GetPorts(), portFromWire)
}

func (c *client) Unpublish(ctx context.Context, req UnpublishRequest) error {
	_, err := c.c.Unpublish(ctx, &networkv1.UnpublishRequest{Container: req.Container})
	return errdef.FromGRPC(err)
}
