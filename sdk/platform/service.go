package platform

import (
	"context"

	"google.golang.org/grpc"

	"github.com/openvic/vic/sdk/errdef"
	platformv1 "github.com/openvic/vic/sdk/proto/platform/v1"
)

// Register serves a driver over gRPC. driver is asked with every call, so that it can answer
// errdef.ErrUnavailable until there is one.
func Register(r grpc.ServiceRegistrar, driver func() (Driver, error)) {
	platformv1.RegisterPlatformServiceServer(r, &server{driver: driver})
}

type server struct {
	platformv1.UnimplementedPlatformServiceServer
	driver func() (Driver, error)
}

func (s *server) Report(ctx context.Context, req *platformv1.ReportRequest) (*platformv1.ReportResponse, error) {
	d, err := s.driver()
	if err != nil {
		return nil, errdef.ToGRPC(err)
	}
	r, err := d.Report(ctx, bound(int(req.GetEvents())))
	if err != nil {
		return nil, errdef.ToGRPC(err)
	}
	return reportToWire(r), nil
}

// bound is a number of events as it may be.
func bound(events int) int { return min(max(events, 0), MaxEvents) }

// NewClient speaks to a driver at the other end of a connection.
func NewClient(conn grpc.ClientConnInterface) Driver {
	return &client{platformv1.NewPlatformServiceClient(conn)}
}

type client struct {
	api platformv1.PlatformServiceClient
}

var _ Driver = (*client)(nil)

func (c *client) Report(ctx context.Context, events int) (Report, error) {
	m, err := c.api.Report(ctx, &platformv1.ReportRequest{Events: int32(bound(events))})
	if err != nil {
		return Report{}, errdef.FromGRPC(err)
	}
	return reportFromWire(m), nil
}
