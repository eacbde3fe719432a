package replicate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/internal/wire"
	replicatev1 "github.com/openvic/vic/sdk/proto/replicate/v1"
)

// NewClient makes a driver of a connection to a plugin that serves one. It sends no request that breaks
// a bound and returns no answer that does. Functions in a call are called by the goroutine that calls the
// method.
func NewClient(conn grpc.ClientConnInterface) Driver {
	return &client{c: replicatev1.NewReplicateServiceClient(conn), silence: wire.Silence}
}

type client struct {
	c       replicatev1.ReplicateServiceClient
	silence time.Duration // of a list or a copy
}

var _ Driver = (*client)(nil)

func (c *client) Describe(ctx context.Context) (Description, error) {
	resp, err := wire.Call(ctx, c.c.Describe, &replicatev1.DescribeRequest{}, maxMessage)
	if err != nil {
		return Description{}, err
	}
	d := descriptionFromWire(resp)
	if err := wire.Answer(d.check()); err != nil {
		return Description{}, err
	}
	return d, nil
}

func (c *client) Check(ctx context.Context, req CheckRequest) (Status, error) {
	if err := req.check(); err != nil {
		return Status{}, err
	}
	resp, err := wire.Call(ctx, c.c.Check, &replicatev1.CheckRequest{Remote: endpointToWire(req.Remote)}, maxMessage)
	if err != nil {
		return Status{}, err
	}
	s := statusFromWire(resp)
	if err := wire.Answer(s.check()); err != nil {
		return Status{}, err
	}
	return s, nil
}

func (c *client) Delete(ctx context.Context, req DeleteRequest) error {
	if err := req.check(); err != nil {
		return err
	}
	_, err := wire.Call(ctx, c.c.Delete, deleteToWire(req), maxMessage)
	return err
}

func (c *client) Prepare(ctx context.Context, req PrepareRequest) error {
	if err := req.check(); err != nil {
		return err
	}
	_, err := wire.Call(ctx, c.c.Prepare, prepareToWire(req), maxMessage)
	return err
}

func (c *client) List(ctx context.Context, req ListRequest, page func([]Artifact) error) error {
	if err := req.check(); err != nil {
		return err
	}
	in := wire.NewInbound(ctx, c.silence, maxMessage)
	defer in.Close()
	stream, err := c.c.List(in.Context(), listToWire(req), in.Options())
	if err != nil {
		return errdef.FromGRPC(err)
	}
	count := 0
	for {
		var m *replicatev1.ListResponse
		err := in.Receive(stream, func() (err error) {
			m, err = stream.Recv()
			return err
		})
		if err == io.EOF { //nolint:errorlint // the end of the stream itself
			return nil
		}
		if err != nil {
			return err
		}
		list := wire.Map(m.GetArtifacts(), artifactFromWire)
		if err := counted(&count, list); err != nil {
			return wire.Answer(err)
		}
		if len(list) == 0 {
			continue
		}
		if err := page(list); err != nil {
			return err
		}
	}
}

func (c *client) Copy(ctx context.Context, req CopyRequest, progress func(Progress) error) (Result, error) {
	if err := req.check(); err != nil {
		return Result{}, err
	}
	in := wire.NewInbound(ctx, c.silence, maxMessage)
	defer in.Close()
	stream, err := c.c.Copy(in.Context(), copyToWire(req), in.Options())
	if err != nil {
		return Result{}, errdef.FromGRPC(err)
	}
	var last Progress
	var later time.Duration
	for {
		var m *replicatev1.CopyResponse
		err := in.Receive(stream, func() (err error) {
			m, err = stream.Recv()
			return err
		})
		switch {
		case err == io.EOF: //nolint:errorlint // the end of the stream itself
			return Result{}, fmt.Errorf("the plugin ended without a result: %w", errdef.ErrInternal)
		case err != nil && later > 0:
			return Result{}, &Later{After: later, Err: err}
		case err != nil:
			return Result{}, err
		}
		switch p := m.GetPart().(type) {
		case *replicatev1.CopyResponse_Result:
			r := resultFromWire(p.Result)
			if err := wire.Answer(r.check()); err != nil {
				return Result{}, err
			}
			return r, nil
		case *replicatev1.CopyResponse_Progress:
			got := progressFromWire(p.Progress)
			if err := wire.Answer(got.check()); err != nil {
				return Result{}, err
			}
			if got.Checkpoint == "" {
				got.Checkpoint = last.Checkpoint
			}
			if last = forward(last, got); progress == nil {
				continue
			}
			if err := progress(last); err != nil {
				return Result{}, err
			}
		case *replicatev1.CopyResponse_Later:
			later = min(max(p.Later.GetAfter().AsDuration(), 0), MaxLater)
		default: // of a later version
			return Result{}, wire.Answer(errors.New("part: is none that this host knows"))
		}
	}
}
