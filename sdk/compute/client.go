package compute

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/handover"
	"github.com/openvic/vic/sdk/internal/wire"
	computev1 "github.com/openvic/vic/sdk/proto/compute/v1"
)

// NewClient makes a driver of a connection to a plugin that serves one.
func NewClient(conn grpc.ClientConnInterface) Driver {
	return &client{c: computev1.NewComputeServiceClient(conn)}
}

type client struct {
	c computev1.ComputeServiceClient
}

var (
	_ Driver   = (*client)(nil)
	_ Reporter = (*client)(nil)
)

func (c *client) Create(ctx context.Context, req CreateRequest) (VM, error) {
	resp, err := c.c.Create(ctx, createToWire(req))
	if err != nil {
		return VM{}, errdef.FromGRPC(err)
	}
	return vmFromWire(resp.GetVm())
}

func (c *client) Start(ctx context.Context, id string) error {
	_, err := c.c.Start(ctx, &computev1.StartRequest{Id: id})
	return errdef.FromGRPC(err)
}

func (c *client) Stop(ctx context.Context, id string) error {
	_, err := c.c.Stop(ctx, &computev1.StopRequest{Id: id})
	return errdef.FromGRPC(err)
}

func (c *client) Kill(ctx context.Context, id string) error {
	_, err := c.c.Kill(ctx, &computev1.KillRequest{Id: id})
	return errdef.FromGRPC(err)
}

func (c *client) Remove(ctx context.Context, id string) error {
	_, err := c.c.Remove(ctx, &computev1.RemoveRequest{Id: id})
	return errdef.FromGRPC(err)
}

func (c *client) Get(ctx context.Context, id string) (VM, error) {
	resp, err := c.c.Get(ctx, &computev1.GetRequest{Id: id})
	if err != nil {
		return VM{}, errdef.FromGRPC(err)
	}
	return vmFromWire(resp.GetVm())
}

func (c *client) List(ctx context.Context) ([]VM, error) {
	resp, err := c.c.List(ctx, &computev1.ListRequest{})
	if err != nil {
		return nil, errdef.FromGRPC(err)
	}
	return wire.MapErr(resp.GetVms(), vmFromWire)
}

func (c *client) Update(ctx context.Context, req UpdateRequest) error {
	_, err := c.c.Update(ctx, updateToWire(req))
	return errdef.FromGRPC(err)
}

func (c *client) Watch(ctx context.Context, fn func(Event) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.c.Watch(ctx, &computev1.WatchRequest{})
	if err != nil {
		return errdef.FromGRPC(err)
	}
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("the driver ended its watch: %w", errdef.ErrUnavailable)
		}
		if err != nil {
			return errdef.FromGRPC(err)
		}
		e, err := eventFromWire(m)
		if err != nil {
			return err
		}
		if err := fn(e); err != nil {
			return err
		}
	}
}

// Capacity implements Reporter.
func (c *client) Capacity(ctx context.Context) (Capacity, error) {
	resp, err := c.c.Capacity(ctx, &computev1.CapacityRequest{})
	if err != nil {
		return Capacity{}, errdef.FromGRPC(err)
	}
	return capacityFromWire(resp), nil
}

// Connect lets ctx bound the waiting, not the life of the tunnel, as a driver in the same process
// would.
func (c *client) Connect(ctx context.Context, id string) (io.ReadWriteCloser, error) {
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, cancel)
	offer := handover.NewOffer()
	defer offer.Close()
	stream, err := c.connect(life, id, offer)
	var own *os.File
	if err == nil {
		own, err = socket(life, stream, offer)
	}
	if err == nil && !stop() {
		err = ctx.Err()
	}
	if err != nil {
		stop()
		cancel()
		if own != nil {
			_ = own.Close()
		}
		return nil, errdef.FromGRPC(err)
	}
	if own != nil {
		return &given{File: own, cancel: cancel}, nil
	}
	return newConn(stream, cancel), nil
}

func (c *client) connect(ctx context.Context, id string, offer *handover.Offer) (connectStream, error) {
	stream, err := c.c.Connect(ctx, offer)
	if err != nil {
		return nil, err
	}
	// io.EOF from Send means that the reason comes from Recv.
	if err := stream.Send(&computev1.ConnectRequest{Id: id}); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if _, err := stream.Recv(); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("the driver gave no tunnel: %w", errdef.ErrUnavailable)
		}
		return nil, err
	}
	return stream, nil
}

type connectStream = grpc.BidiStreamingClient[computev1.ConnectRequest, computev1.ConnectResponse]

// closeGrace is how long a closed tunnel may take to deliver what was written before.
const closeGrace = 2 * time.Second

// conn is the host's end of a tunnel.
type conn struct {
	stream connectStream
	cancel context.CancelFunc
	closed atomic.Bool
	*wire.Reader

	mu sync.Mutex // one Send at a time
}

func newConn(stream connectStream, cancel context.CancelFunc) *conn {
	c := &conn{stream: stream, cancel: cancel}
	c.Reader = wire.NewReader(c.recv)
	return c
}

func (c *conn) recv() ([]byte, error) {
	m, err := c.stream.Recv()
	if err != nil && c.closed.Load() {
		return nil, net.ErrClosed
	}
	return m.GetData(), errdef.FromGRPC(err)
}

// Write returns io.ErrClosedPipe when the other side is gone.
func (c *conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed.Load() {
		return 0, net.ErrClosed
	}
	n, err := wire.Write(p, func(b []byte) error { return c.stream.Send(&computev1.ConnectRequest{Data: b}) })
	if errors.Is(err, io.EOF) {
		return n, io.ErrClosedPipe
	}
	return n, errdef.FromGRPC(err)
}

// Close lets what was written arrive and ends the tunnel; a second Close does nothing.
func (c *conn) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	// A Write that waits for the other side holds mu: it ends with the grace.
	time.AfterFunc(closeGrace, c.cancel)
	if c.mu.TryLock() {
		defer c.mu.Unlock()
		return errdef.FromGRPC(c.stream.CloseSend())
	}
	c.cancel()
	return nil
}
