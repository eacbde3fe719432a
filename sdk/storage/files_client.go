package storage

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest/rootfs"
	"github.com/openvic/vic/sdk/internal/wire"
	storagev1 "github.com/openvic/vic/sdk/proto/storage/v1"
)

func (c *client) StatPath(ctx context.Context, req PathRequest) (rootfs.Stat, error) {
	resp, err := c.c.StatPath(ctx, &storagev1.StatPathRequest{Id: req.ID, Path: req.Path, Mounts: wire.Map(req.Mounts, mountToWire)})
	if err != nil {
		return rootfs.Stat{}, errdef.FromGRPC(err)
	}
	return statFromWire(resp.GetStat()), nil
}

// dataMessage is what the messages of byte streams have in common.
type dataMessage interface{ GetData() []byte }

// bytesOf makes a reader of a stream whose first message says that it stands; that one is returned.
func bytesOf[M dataMessage](ctx context.Context, open func(context.Context) (interface{ Recv() (M, error) }, error)) (M, io.ReadCloser, error) {
	ctx, cancel := context.WithCancel(ctx)
	var first M
	stream, err := open(ctx)
	if err == nil {
		first, err = stream.Recv()
	}
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("the driver gave no stream: %w", errdef.ErrUnavailable)
	}
	if err != nil {
		cancel()
		return first, nil, errdef.FromGRPC(err)
	}
	return first, &export{cancel: cancel, Reader: wire.NewReader(func() ([]byte, error) {
		m, err := stream.Recv()
		return m.GetData(), errdef.FromGRPC(err)
	})}, nil
}

func (c *client) CopyOut(ctx context.Context, req CopyOutRequest) (rootfs.Stat, io.ReadCloser, error) {
	first, r, err := bytesOf(ctx, func(ctx context.Context) (interface {
		Recv() (*storagev1.CopyOutResponse, error)
	}, error) {
		return c.c.CopyOut(ctx, &storagev1.CopyOutRequest{Id: req.ID, Path: req.Path, Mounts: wire.Map(req.Mounts, mountToWire), Whole: req.Whole})
	})
	return statFromWire(first.GetStat()), r, err
}

func (c *client) CopyIn(ctx context.Context, req CopyInRequest, tar io.Reader) error {
	// Only CloseAndRecv ends the stream well, every other way out cancels; see WriteLayer.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.c.CopyIn(ctx)
	if err != nil {
		return errdef.FromGRPC(err)
	}
	if err := stream.Send(copyInToWire(req)); err != nil && !errors.Is(err, io.EOF) {
		return errdef.FromGRPC(err)
	}
	err = wire.Send(tar, func(p []byte) error { return stream.Send(&storagev1.CopyInRequest{Data: p}) })
	var failed *wire.SendError
	if err != nil && !errors.As(err, &failed) {
		return err // the reader's error
	}
	_, err = stream.CloseAndRecv()
	return errdef.FromGRPC(err)
}

func (c *client) Changes(ctx context.Context, req ChangesRequest) ([]rootfs.Change, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.c.Changes(ctx, &storagev1.ChangesRequest{Id: req.ID, Layer: req.Layer})
	if err != nil {
		return nil, errdef.FromGRPC(err)
	}
	var all []rootfs.Change
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, errdef.FromGRPC(err)
		}
		some, err := wire.MapErr(m.GetChanges(), changeFromWire)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
}

func (c *client) Diff(ctx context.Context, req ChangesRequest) (io.ReadCloser, error) {
	_, r, err := bytesOf(ctx, func(ctx context.Context) (interface {
		Recv() (*storagev1.DiffResponse, error)
	}, error) {
		return c.c.Diff(ctx, &storagev1.DiffRequest{Id: req.ID, Layer: req.Layer})
	})
	return r, err
}

func (c *client) Tree(ctx context.Context, layer string) (io.ReadCloser, error) {
	_, r, err := bytesOf(ctx, func(ctx context.Context) (interface {
		Recv() (*storagev1.TreeResponse, error)
	}, error) {
		return c.c.Tree(ctx, &storagev1.TreeRequest{Layer: layer})
	})
	return r, err
}

func (c *client) Usage(ctx context.Context, id string) (int64, error) {
	resp, err := c.c.Usage(ctx, &storagev1.UsageRequest{Id: id})
	return resp.GetBytes(), errdef.FromGRPC(err)
}
