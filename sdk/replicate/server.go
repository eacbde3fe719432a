package replicate

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/internal/wire"
	replicatev1 "github.com/openvic/vic/sdk/proto/replicate/v1"
)

// Register serves a driver over gRPC. driver is asked with every call, so that it can answer
// errdef.ErrUnavailable until there is one. The driver sees no request that breaks a bound, and an
// answer that does leaves the plugin as errdef.ErrInternal.
func Register(r grpc.ServiceRegistrar, driver func() (Driver, error)) {
	replicatev1.RegisterReplicateServiceServer(r, &server{driver: driver, beat: wire.Heartbeat})
}

type server struct {
	replicatev1.UnimplementedReplicateServiceServer
	driver func() (Driver, error)
	beat   time.Duration // after so much silence there is a sign of life
}

var _ replicatev1.ReplicateServiceServer = (*server)(nil)

// serve checks a request, runs method with the driver, and checks the answer. The error has its class.
func serve[Answer any](s *server, wrong error, method func(Driver) (Answer, error), check func(Answer) error) (Answer, error) {
	var none Answer
	d, err := s.driver()
	if err == nil {
		err = wrong
	}
	if err != nil {
		return none, err
	}
	answer, err := method(d)
	if err == nil {
		err = wire.Answer(check(answer))
	}
	if err != nil {
		return none, err
	}
	return answer, nil
}

// done is the answer of methods that have none.
type done struct{}

func (done) check() error { return nil }

func (s *server) Describe(ctx context.Context, _ *replicatev1.DescribeRequest) (*replicatev1.DescribeResponse, error) {
	d, err := serve(s, nil, func(d Driver) (Description, error) { return d.Describe(ctx) }, Description.check)
	return descriptionToWire(d), errdef.ToGRPC(err)
}

func (s *server) Check(ctx context.Context, req *replicatev1.CheckRequest) (*replicatev1.CheckResponse, error) {
	r := CheckRequest{Remote: endpointFromWire(req.GetRemote())}
	status, err := serve(s, r.check(), func(d Driver) (Status, error) { return d.Check(ctx, r) }, Status.check)
	return statusToWire(status), errdef.ToGRPC(err)
}

func (s *server) Delete(ctx context.Context, req *replicatev1.DeleteRequest) (*replicatev1.DeleteResponse, error) {
	r := deleteFromWire(req)
	_, err := serve(s, r.check(), func(d Driver) (done, error) { return done{}, d.Delete(ctx, r) }, done.check)
	return &replicatev1.DeleteResponse{}, errdef.ToGRPC(err)
}

func (s *server) Prepare(ctx context.Context, req *replicatev1.PrepareRequest) (*replicatev1.PrepareResponse, error) {
	r := prepareFromWire(req)
	_, err := serve(s, r.check(), func(d Driver) (done, error) { return done{}, d.Prepare(ctx, r) }, done.check)
	return &replicatev1.PrepareResponse{}, errdef.ToGRPC(err)
}

func (s *server) List(req *replicatev1.ListRequest, stream grpc.ServerStreamingServer[replicatev1.ListResponse]) error {
	r := listFromWire(req)
	ctx := stream.Context()
	var out wire.Outbound
	stop := out.Beats(ctx, s.beat, func() error { return stream.Send(&replicatev1.ListResponse{}) })
	defer stop()
	count := 0
	page := func(list []Artifact) error {
		return out.Do(func() error {
			if err := counted(&count, list); err != nil {
				return wire.Answer(err)
			}
			return sendArtifacts(list, stream.Send)
		})
	}
	_, err := serve(s, r.check(), func(d Driver) (done, error) { return done{}, d.List(ctx, r, page) },
		func(done) error { return out.Do(func() error { return nil }) })
	return errdef.ToGRPC(err)
}

// counted checks a page and adds it up.
func counted(count *int, list []Artifact) error {
	if *count += len(list); *count > MaxArtifacts {
		return fmt.Errorf("artifacts: there are more than %d: %w", MaxArtifacts, errdef.ErrInvalid)
	}
	for _, a := range list {
		if err := a.check(); err != nil {
			return fmt.Errorf("artifact %.40q: %w", a.Repository, err)
		}
	}
	return nil
}

// sendArtifacts sends a page in messages of bounded size.
func sendArtifacts(list []Artifact, send func(*replicatev1.ListResponse) error) error {
	m, size := &replicatev1.ListResponse{}, 0
	for _, a := range list {
		w := artifactToWire(a)
		n := proto.Size(w) + 4 // and its tag and length
		if size+n > batchBytes && size > 0 {
			if err := send(m); err != nil {
				return err
			}
			m, size = &replicatev1.ListResponse{}, 0
		}
		m.Artifacts, size = append(m.Artifacts, w), size+n
	}
	if size == 0 {
		return nil
	}
	return send(m)
}

func (s *server) Copy(req *replicatev1.CopyRequest, stream grpc.ServerStreamingServer[replicatev1.CopyResponse]) error {
	r := copyFromWire(req)
	ctx := stream.Context()
	var out wire.Outbound
	var last Progress // used within Do
	send := func(p Progress) error {
		return stream.Send(&replicatev1.CopyResponse{Part: &replicatev1.CopyResponse_Progress{Progress: progressToWire(p)}})
	}
	stop := out.Beats(ctx, s.beat, func() error { return send(Progress{Bytes: last.Bytes, Skipped: last.Skipped, Total: last.Total}) })
	progress := func(p Progress) error {
		return out.Do(func() error {
			if err := p.check(); err != nil {
				return wire.Answer(err)
			}
			last = forward(last, p)
			return send(last)
		})
	}
	result, err := serve(s, r.check(), func(d Driver) (Result, error) { return d.Copy(ctx, r, progress) },
		func(r Result) error { return out.Do(r.check) })
	stop()
	if err == nil {
		return stream.Send(&replicatev1.CopyResponse{Part: &replicatev1.CopyResponse_Result{Result: resultToWire(result)}})
	}
	if after, ok := After(err); ok && after > 0 {
		later := &replicatev1.Later{After: durationpb.New(min(after, MaxLater))}
		if err := stream.Send(&replicatev1.CopyResponse{Part: &replicatev1.CopyResponse_Later{Later: later}}); err != nil {
			return err
		}
	}
	return errdef.ToGRPC(err)
}
