package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"google.golang.org/grpc"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/handover"
	"github.com/openvic/vic/sdk/internal/wire"
	storagev1 "github.com/openvic/vic/sdk/proto/storage/v1"
)

// NewClient makes a driver of a connection to a plugin that serves one.
func NewClient(conn grpc.ClientConnInterface) Driver {
	return &client{c: storagev1.NewStorageServiceClient(conn)}
}

type client struct {
	c storagev1.StorageServiceClient
}

var _ Driver = (*client)(nil)

func (c *client) StatLayer(ctx context.Context, id string) (Layer, error) {
	resp, err := c.c.StatLayer(ctx, &storagev1.StatLayerRequest{Id: id})
	if err != nil {
		return Layer{}, errdef.FromGRPC(err)
	}
	return layerFromWire(resp.GetLayer()), nil
}

func (c *client) WriteLayer(ctx context.Context, req WriteLayerRequest, tar io.Reader) (Layer, error) {
	// The driver must not take a stream for complete whose reader failed: only CloseAndRecv ends it
	// well, every other way out cancels.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	offer := handover.NewOffer()
	defer offer.Close()
	stream, err := c.c.WriteLayer(ctx, offer)
	if err != nil {
		return Layer{}, errdef.FromGRPC(err)
	}
	first := &storagev1.WriteLayerRequest{Id: req.ID, Parent: req.Parent}
	if err := stream.Send(first); err != nil && !errors.Is(err, io.EOF) {
		return Layer{}, errdef.FromGRPC(err)
	}
	err = sendLayer(ctx, stream, offer, tar)
	var failed *wire.SendError
	if err != nil && !errors.As(err, &failed) {
		return Layer{}, err // the reader's error
	}
	// A failed Send means that the driver has answered before the end; the answer says why.
	resp, err := stream.CloseAndRecv()
	if err != nil {
		return Layer{}, errdef.FromGRPC(err)
	}
	return layerFromWire(resp.GetLayer()), nil
}

func (c *client) CommitLayer(ctx context.Context, id string) error {
	_, err := c.c.CommitLayer(ctx, &storagev1.CommitLayerRequest{Id: id})
	return errdef.FromGRPC(err)
}

func (c *client) ListLayers(ctx context.Context) ([]Layer, error) {
	resp, err := c.c.ListLayers(ctx, &storagev1.ListLayersRequest{})
	if err != nil {
		return nil, errdef.FromGRPC(err)
	}
	return wire.Map(resp.GetLayers(), layerFromWire), nil
}

func (c *client) RemoveLayer(ctx context.Context, id string) error {
	_, err := c.c.RemoveLayer(ctx, &storagev1.RemoveLayerRequest{Id: id})
	return errdef.FromGRPC(err)
}

func (c *client) PrepareDisk(ctx context.Context, req PrepareDiskRequest) (Root, error) {
	resp, err := c.c.PrepareDisk(ctx, &storagev1.PrepareDiskRequest{Id: req.ID, Layer: req.Layer})
	if err != nil {
		return Root{}, errdef.FromGRPC(err)
	}
	return rootFromWire(resp)
}

func (c *client) RemoveDisk(ctx context.Context, id string) error {
	_, err := c.c.RemoveDisk(ctx, &storagev1.RemoveDiskRequest{Id: id})
	return errdef.FromGRPC(err)
}

func (c *client) Export(ctx context.Context, req ExportRequest) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancel(ctx)
	offer := handover.NewOffer()
	defer offer.Close()
	stream, err := c.c.Export(ctx, &storagev1.ExportRequest{Id: req.ID, Path: req.Path}, offer)
	if err == nil {
		_, err = stream.Recv()
	}
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("the driver gave no stream: %w", errdef.ErrUnavailable)
	}
	var pipe *os.File
	if err == nil {
		pipe, err = takePipe(ctx, stream, offer)
	}
	if err != nil {
		cancel()
		return nil, errdef.FromGRPC(err)
	}
	messages := wire.NewReader(func() ([]byte, error) {
		m, err := stream.Recv()
		return m.GetData(), errdef.FromGRPC(err)
	})
	if pipe == nil {
		return &export{cancel: cancel, Reader: messages}, nil
	}
	// The end of the pipe is the end of the bytes; whether it is a good one, the stream says.
	return &export{cancel: cancel, Reader: io.MultiReader(pipe, messages), pipe: pipe}, nil
}
