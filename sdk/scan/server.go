package scan

import (
	"context"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/internal/wire"
	scanv1 "github.com/openvic/vic/sdk/proto/scan/v1"
)

// Register serves a driver over gRPC. driver is asked with every call, so that it can answer
// errdef.ErrUnavailable until there is one. The driver sees no request that breaks a bound, and an
// answer that does leaves the plugin as errdef.ErrInternal.
func Register(r grpc.ServiceRegistrar, driver func() (Driver, error)) {
	scanv1.RegisterScanServiceServer(r, &server{driver: driver, beat: wire.Heartbeat})
}

type server struct {
	scanv1.UnimplementedScanServiceServer
	driver func() (Driver, error)
	beat   time.Duration // after so much silence the last progress is repeated
}

var _ scanv1.ScanServiceServer = (*server)(nil)

// serve checks a request, runs method with the driver, checks the answer, and turns the error into a
// status.
func serve[Answer any](s *server, wrong error, method func(Driver) (Answer, error), check func(Answer) error) (Answer, error) {
	var none Answer
	d, err := s.driver()
	if err == nil {
		err = wrong
	}
	if err != nil {
		return none, errdef.ToGRPC(err)
	}
	answer, err := method(d)
	if err == nil {
		err = wire.Answer(check(answer))
	}
	if err != nil {
		return none, errdef.ToGRPC(err)
	}
	return answer, nil
}

func (s *server) Describe(ctx context.Context, _ *scanv1.DescribeRequest) (*scanv1.DescribeResponse, error) {
	d, err := serve(s, nil, func(d Driver) (Description, error) { return d.Describe(ctx) }, Description.check)
	if err != nil {
		return nil, err
	}
	return descriptionToWire(d), nil
}

func (s *server) Database(ctx context.Context, _ *scanv1.DatabaseRequest) (*scanv1.DatabaseResponse, error) {
	db, err := serve(s, nil, func(d Driver) (Database, error) { return d.Database(ctx) }, Database.check)
	if err != nil {
		return nil, err
	}
	return &scanv1.DatabaseResponse{Database: databaseToWire(db)}, nil
}

func (s *server) Changes(ctx context.Context, req *scanv1.ChangesRequest) (*scanv1.ChangesResponse, error) {
	r := ChangesRequest{Since: req.GetSince()}
	c, err := serve(s, r.check(), func(d Driver) (Changes, error) { return d.Changes(ctx, r) }, Changes.check)
	if err != nil {
		return nil, err
	}
	return changesToWire(c), nil
}

func (s *server) Scan(req *scanv1.ScanRequest, stream grpc.ServerStreamingServer[scanv1.ScanResponse]) error {
	r := scanFromWire(req)
	ctx := stream.Context()
	out := newSender(newLedger(r.Wants...), func(p *scanv1.Part) error { return stream.Send(&scanv1.ScanResponse{Part: p}) })
	return s.report(ctx, out, r.check(), func(d Driver) (Report, error) { return d.Scan(ctx, r, out) })
}

func (s *server) Match(stream grpc.BidiStreamingServer[scanv1.MatchRequest, scanv1.MatchResponse]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	r := MatchRequest{ID: first.GetHeader().GetId(), Format: wantFromWire(first.GetHeader().GetFormat())}
	r.SBOM = bounded(pieces(func() ([]byte, bool, error) {
		m, err := stream.Recv()
		_, ok := m.GetPart().(*scanv1.MatchRequest_Data)
		return m.GetData(), ok, err
	}), MaxDocument, "SBOM")
	ctx := stream.Context()
	out := newSender(newLedger(Vulnerability), func(p *scanv1.Part) error { return stream.Send(&scanv1.MatchResponse{Part: p}) })
	return s.report(ctx, out, r.check(), func(d Driver) (Report, error) { return d.Match(ctx, r, out) })
}

// report runs a scan and sends its report last.
func (s *server) report(ctx context.Context, out *sender, wrong error, scan func(Driver) (Report, error)) error {
	stop := out.Beats(ctx, s.beat, out.alive)
	r, err := serve(s, wrong, scan, out.finish)
	stop()
	if err != nil {
		return err
	}
	report := reportToWire(r)
	report.Findings, report.DocumentBytes = out.ledger.findings, out.ledger.bytes()
	return out.send(&scanv1.Part{Part: &scanv1.Part_Report{Report: report}})
}

func (s *server) Import(stream grpc.ClientStreamingServer[scanv1.ImportRequest, scanv1.ImportResponse]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	r := importFromWire(first.GetHeader())
	r.Data = pieces(func() ([]byte, bool, error) {
		m, err := stream.Recv()
		_, ok := m.GetPart().(*scanv1.ImportRequest_Data)
		return m.GetData(), ok, err
	})
	db, err := serve(s, r.check(), func(d Driver) (Database, error) { return d.Import(stream.Context(), r) }, Database.check)
	if err != nil {
		return err
	}
	return stream.SendAndClose(&scanv1.ImportResponse{Database: databaseToWire(db)})
}

// pieces reads the data of messages; recv says whether a message is one of data.
func pieces(recv func() ([]byte, bool, error)) io.Reader {
	return wire.NewReader(func() ([]byte, error) {
		data, ok, err := recv()
		switch {
		case err != nil:
			return nil, err
		case !ok || len(data) > wire.ChunkSize:
			return nil, fmt.Errorf("data: a message has none, or more than %d bytes: %w", wire.ChunkSize, errdef.ErrInvalid)
		}
		return data, nil
	})
}

func (s *server) Update(_ *scanv1.UpdateRequest, stream grpc.ServerStreamingServer[scanv1.UpdateResponse]) error {
	ctx := stream.Context()
	out := newSender(newLedger(), func(p *scanv1.Part) error {
		return stream.Send(&scanv1.UpdateResponse{Part: &scanv1.UpdateResponse_Progress{Progress: p.GetProgress()}})
	})
	stop := out.Beats(ctx, s.beat, out.alive)
	db, err := serve(s, nil, func(d Driver) (Database, error) { return d.Update(ctx, out.Progress) }, Database.check)
	stop()
	if err != nil {
		return err
	}
	return stream.Send(&scanv1.UpdateResponse{Part: &scanv1.UpdateResponse_Database{Database: databaseToWire(db)}})
}
