package compute

import (
	"context"
	"io"
	"net"
	"os"

	"google.golang.org/grpc"

	"github.com/openvic/vic/sdk/handover"
	computev1 "github.com/openvic/vic/sdk/proto/compute/v1"
)

// socket returns the connection that the driver gave to us, or nil if its bytes come over gRPC. It
// stays a file: net.FileConn would set keep-alive times of its own.
func socket(ctx context.Context, stream connectStream, offer *handover.Offer) (*os.File, error) {
	header, err := stream.Header()
	if err != nil {
		return nil, err
	}
	f, err := offer.Take(ctx, header)
	if f == nil || err != nil {
		return nil, err
	}
	return f, nil
}

// given is the host's end of a tunnel that the driver handed over. It outlives the plugin's process:
// the tether and we need nobody between us.
type given struct {
	*os.File
	cancel context.CancelFunc
}

var _ net.Conn = (*given)(nil)

// Close ends the tunnel and tells the driver, which holds a descriptor too. What was written arrives.
func (g *given) Close() error {
	err := g.File.Close()
	g.cancel()
	return err
}

// LocalAddr is the host; the addresses are the driver's business.
func (g *given) LocalAddr() net.Addr { return addr("host") }

// RemoteAddr is the guest.
func (g *given) RemoteAddr() net.Addr { return addr("guest") }

type addr string

func (a addr) Network() string { return "tunnel" }
func (a addr) String() string  { return string(a) }

// giver is a stream that can be handed over; handover.Conn is one.
type giver interface {
	Handover(*handover.Sink) error
}

// give hands a driver's stream to the host, if both can. It then returns when the host has closed
// its end.
func give(stream grpc.BidiStreamingServer[computev1.ConnectRequest, computev1.ConnectResponse], conn io.ReadWriteCloser) (bool, error) {
	g, ok := conn.(giver)
	sink := handover.FromContext(stream.Context())
	if !ok || sink == nil || g.Handover(sink) != nil {
		return false, nil
	}
	if err := stream.SetHeader(handover.Given()); err != nil {
		return true, err
	}
	if err := stream.Send(&computev1.ConnectResponse{}); err != nil {
		return true, err
	}
	for {
		if _, err := stream.Recv(); err != nil {
			return true, nil
		}
	}
}
