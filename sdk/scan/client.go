package scan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/internal/wire"
	scanv1 "github.com/openvic/vic/sdk/proto/scan/v1"
)

// NewClient makes a driver of a connection to a plugin that serves one. It sends no request that breaks
// a bound and returns no answer that does. Sinks are called by the goroutine that calls the method. A
// reader in a request is not used after the method has returned; the method waits for a Read that is
// under way.
func NewClient(conn grpc.ClientConnInterface) Driver {
	return &client{c: scanv1.NewScanServiceClient(conn), silence: wire.Silence}
}

type client struct {
	c       scanv1.ScanServiceClient
	silence time.Duration // for a scan or an update
}

var _ Driver = (*client)(nil)

func (c *client) Describe(ctx context.Context) (Description, error) {
	resp, err := wire.Call(ctx, c.c.Describe, &scanv1.DescribeRequest{}, maxMessage)
	if err != nil {
		return Description{}, err
	}
	d := descriptionFromWire(resp)
	if err := wire.Answer(d.check()); err != nil {
		return Description{}, err
	}
	return d, nil
}

func (c *client) Database(ctx context.Context) (Database, error) {
	resp, err := wire.Call(ctx, c.c.Database, &scanv1.DatabaseRequest{}, maxMessage)
	if err != nil {
		return Database{}, err
	}
	return database(resp.GetDatabase())
}

func database(w *scanv1.Database) (Database, error) {
	d := databaseFromWire(w)
	if err := wire.Answer(d.check()); err != nil {
		return Database{}, err
	}
	return d, nil
}

func (c *client) Changes(ctx context.Context, req ChangesRequest) (Changes, error) {
	if err := req.check(); err != nil {
		return Changes{}, err
	}
	resp, err := wire.Call(ctx, c.c.Changes, &scanv1.ChangesRequest{Since: req.Since}, maxChanges)
	if err != nil {
		return Changes{}, err
	}
	changes := changesFromWire(resp)
	if err := wire.Answer(changes.check()); err != nil {
		return Changes{}, err
	}
	return changes, nil
}

func (c *client) Scan(ctx context.Context, req ScanRequest, to Sink) (Report, error) {
	if err := req.check(); err != nil {
		return Report{}, err
	}
	in := wire.NewInbound(ctx, c.silence, maxMessage)
	defer in.Close()
	stream, err := c.c.Scan(in.Context(), scanToWire(req), in.Options())
	if err != nil {
		return Report{}, errdef.FromGRPC(err)
	}
	r := &receiver{ledger: newLedger(req.Wants...), to: to, in: in, stream: stream}
	return r.all(func() (*scanv1.Part, error) {
		m, err := stream.Recv()
		return m.GetPart(), err
	})
}

func (c *client) Match(ctx context.Context, req MatchRequest, to Sink) (Report, error) {
	if err := req.check(); err != nil {
		return Report{}, err
	}
	in := wire.NewInbound(ctx, c.silence, maxMessage)
	stream, err := c.c.Match(in.Context(), in.Options())
	if err != nil {
		in.Close()
		return Report{}, errdef.FromGRPC(err)
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		header := &scanv1.MatchHeader{Id: req.ID, Format: wantToWire(req.Format)}
		err := stream.Send(&scanv1.MatchRequest{Part: &scanv1.MatchRequest_Header{Header: header}})
		if err == nil {
			err = wire.Send(bounded(req.SBOM, MaxDocument, "SBOM"), func(p []byte) error {
				return stream.Send(&scanv1.MatchRequest{Part: &scanv1.MatchRequest_Data{Data: p}})
			})
		}
		var refused *wire.SendError
		switch {
		case err == nil:
			_ = stream.CloseSend()
		case !errors.As(err, &refused) && !errors.Is(err, io.EOF):
			in.Stop(fmt.Errorf("read the SBOM: %w", err))
		}
	}()
	defer func() {
		in.Close()
		<-sent
	}()
	r := &receiver{ledger: newLedger(Vulnerability), to: to, in: in, stream: stream}
	return r.all(func() (*scanv1.Part, error) {
		m, err := stream.Recv()
		return m.GetPart(), err
	})
}

func (c *client) Import(ctx context.Context, req ImportRequest) (Database, error) {
	if err := req.check(); err != nil {
		return Database{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.c.Import(ctx, grpc.MaxCallRecvMsgSize(maxMessage))
	if err != nil {
		return Database{}, errdef.FromGRPC(err)
	}
	err = stream.Send(&scanv1.ImportRequest{Part: &scanv1.ImportRequest_Header{Header: importToWire(req)}})
	if err == nil {
		err = wire.Send(bounded(req.Data, MaxImport, "data"), func(p []byte) error {
			return stream.Send(&scanv1.ImportRequest{Part: &scanv1.ImportRequest_Data{Data: p}})
		})
	}
	var refused *wire.SendError
	if err != nil && !errors.As(err, &refused) && !errors.Is(err, io.EOF) {
		return Database{}, fmt.Errorf("read the data to import: %w", err)
	}
	resp, err := stream.CloseAndRecv() // has the plugin's reason, if it refused
	if err != nil {
		return Database{}, wire.Error(err, stream.Trailer(), maxMessage)
	}
	return database(resp.GetDatabase())
}

func (c *client) Update(ctx context.Context, progress func(Progress) error) (Database, error) {
	in := wire.NewInbound(ctx, c.silence, maxMessage)
	defer in.Close()
	stream, err := c.c.Update(in.Context(), &scanv1.UpdateRequest{}, in.Options())
	if err != nil {
		return Database{}, errdef.FromGRPC(err)
	}
	r := &receiver{ledger: newLedger(), to: progressOnly(progress), in: in, stream: stream}
	for {
		var m *scanv1.UpdateResponse
		err := r.next(func() (err error) {
			m, err = stream.Recv()
			return err
		})
		if err != nil {
			return Database{}, err
		}
		if db, ok := m.GetPart().(*scanv1.UpdateResponse_Database); ok {
			return database(db.Database)
		}
		if err := r.progress(m.GetProgress()); err != nil {
			return Database{}, err
		}
	}
}

// progressOnly is the sink of an update.
type progressOnly func(Progress) error

func (f progressOnly) Progress(p Progress) error {
	if f == nil {
		return nil
	}
	return f(p)
}

func (progressOnly) Findings([]Finding) error    { return errdef.ErrInternal }
func (progressOnly) Document(Want, []byte) error { return errdef.ErrInternal }
