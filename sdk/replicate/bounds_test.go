package replicate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/internal/wiretest"
	replicatev1 "github.com/openvic/vic/sdk/proto/replicate/v1"
	"github.com/openvic/vic/sdk/secret"
)

func long(n int) string { return strings.Repeat("x", n) }

func texts(n int) []string { return strings.Split(strings.Repeat("x,", n-1)+"x", ",") }

func TestRequestsHaveBounds(t *testing.T) {
	job := func(change func(r *CopyRequest)) CopyRequest {
		r := work
		change(&r)
		return r
	}
	at := func(address string) CheckRequest { return CheckRequest{Remote: Endpoint{URL: address}} }
	for name, c := range map[string]struct {
		request interface{ check() error }
		good    bool
	}{
		"a copy":                  {job(func(*CopyRequest) {}), true},
		"without an ID":           {job(func(r *CopyRequest) { r.ID = "" }), false},
		"without a digest":        {job(func(r *CopyRequest) { r.Digest = "" }), false},
		"to nowhere":              {job(func(r *CopyRequest) { r.To = Endpoint{} }), false},
		"with no blob at once":    {job(func(r *CopyRequest) { r.Parallel = 0 }), false},
		"with many at once":       {job(func(r *CopyRequest) { r.Parallel = MaxParallel + 1 }), false},
		"slower than nothing":     {job(func(r *CopyRequest) { r.BytesPerSecond = -1 }), false},
		"a large checkpoint":      {job(func(r *CopyRequest) { r.Checkpoint = secret.Text(long(MaxCheckpoint + 1)) }), false},
		"a way around the world":  {job(func(r *CopyRequest) { r.Via = texts(MaxVia + 1) }), false},
		"a header more":           {job(func(r *CopyRequest) { r.Via = []string{"a\r\nHost: b"} }), false},
		"a directory":             {at("file:///srv/layouts"), true},
		"a path":                  {at("/srv/layouts"), false},
		"a password in it":        {at("https://user:password@r"), false},
		"many options":            {CheckRequest{Endpoint{URL: "https://r", Options: options(MaxOptions + 1)}}, false},
		"a list":                  {ListRequest{Remote: hub, Tags: texts(MaxPatterns)}, true},
		"of many patterns":        {ListRequest{Remote: hub, Tags: texts(MaxPatterns + 1)}, false},
		"since a year of nobody":  {ListRequest{Remote: hub, Since: time.Unix(1<<40, 0)}, false},
		"a deletion":              {DeleteRequest{Remote: hub, Repository: "a", Tag: "t"}, true},
		"of everything":           {DeleteRequest{Remote: hub, Repository: "a"}, false},
		"a project":               {PrepareRequest{Remote: hub, Repository: "a"}, true},
		"without a name":          {PrepareRequest{Remote: hub}, false},
		"with a name of two rows": {PrepareRequest{Remote: hub, Repository: "a\nb"}, false},
	} {
		if err := c.request.check(); c.good != (err == nil) || err != nil && !errors.Is(err, errdef.ErrInvalid) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func options(n int) map[string]string {
	m := map[string]string{}
	for i := range n {
		m[fmt.Sprint(i)] = ""
	}
	return m
}

// rogue is a plugin that answers as it likes, without the SDK's checks.
type rogue struct {
	replicatev1.UnimplementedReplicateServiceServer
	describe *replicatev1.DescribeResponse
	check    *replicatev1.CheckResponse
	pages    []*replicatev1.ListResponse
	parts    []*replicatev1.CopyResponse
	err      error
	block    bool // say nothing, until the call ends
}

func (r *rogue) Describe(context.Context, *replicatev1.DescribeRequest) (*replicatev1.DescribeResponse, error) {
	return r.describe, nil
}

func (r *rogue) Check(context.Context, *replicatev1.CheckRequest) (*replicatev1.CheckResponse, error) {
	return r.check, nil
}

func (r *rogue) List(_ *replicatev1.ListRequest, s grpc.ServerStreamingServer[replicatev1.ListResponse]) error {
	for _, p := range r.pages {
		if err := s.Send(p); err != nil {
			return err
		}
	}
	if r.block {
		<-s.Context().Done()
	}
	return r.err
}

func (r *rogue) Copy(_ *replicatev1.CopyRequest, s grpc.ServerStreamingServer[replicatev1.CopyResponse]) error {
	for _, p := range r.parts {
		if err := s.Send(p); err != nil {
			return err
		}
	}
	if r.block {
		<-s.Context().Done()
	}
	return r.err
}

func (r *rogue) client(t *testing.T, silence time.Duration) Driver {
	c := wiretest.Memory(t, func(s grpc.ServiceRegistrar) { replicatev1.RegisterReplicateServiceServer(s, r) })
	return &client{c: replicatev1.NewReplicateServiceClient(c), silence: silence}
}

func progressPart(p *replicatev1.Progress) *replicatev1.CopyResponse {
	return &replicatev1.CopyResponse{Part: &replicatev1.CopyResponse_Progress{Progress: p}}
}

func TestAHostileAnswerIsNone(t *testing.T) {
	r := &rogue{}
	c := r.client(t, time.Minute)
	refused := func(name string, err error) {
		t.Helper()
		if !errors.Is(err, errdef.ErrInternal) || errors.Is(err, errdef.ErrInvalid) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for name, d := range map[string]*replicatev1.DescribeResponse{
		"no kind":         {Title: "T", Schemes: []string{"https"}},
		"no scheme":       {Kind: "k", Title: "T"},
		"a filter of own": {Kind: "k", Title: "T", Schemes: []string{"https"}, Filters: []string{"other"}},
	} {
		r.describe = d
		_, err := c.Describe(t.Context())
		refused(name, err)
	}
	r.check = &replicatev1.CheckResponse{Product: "a\nb"}
	_, err := c.Check(t.Context(), CheckRequest{Remote: hub})
	refused("a product of two rows", err)

	none := func([]Artifact) error { return nil }
	for name, a := range map[string]*replicatev1.Artifact{
		"an empty artifact": {},
		"no digest":         {Repository: "a"},
		"a long name":       {Repository: long(MaxRepository + 1), Digest: "d"},
		"a long tag":        {Repository: "a", Digest: "d", Tag: long(MaxTag + 1)},
		"an escape":         {Repository: "a", Digest: "d", Tag: "\x1b[2J"},
		"many labels":       {Repository: "a", Digest: "d", Labels: texts(MaxLabels + 1)},
		"a large message":   {Repository: "a", Digest: "d", MediaType: long(maxMessage)},
		"a year of nobody":  {Repository: "a", Digest: "d", Pushed: timestamppb.New(time.Unix(1<<40, 0))},
	} {
		r.pages = []*replicatev1.ListResponse{{Artifacts: []*replicatev1.Artifact{a}}}
		refused(name, c.List(t.Context(), ListRequest{Remote: hub}, none))
	}
	for name, parts := range map[string][]*replicatev1.CopyResponse{
		"no result":          {progressPart(&replicatev1.Progress{Bytes: 1})},
		"an empty part":      {{}},
		"a large checkpoint": {progressPart(&replicatev1.Progress{Checkpoint: make([]byte, MaxCheckpoint+1)})},
		"a huge number":      {progressPart(&replicatev1.Progress{Bytes: 1 << 63})},
		"a huge result":      {{Part: &replicatev1.CopyResponse_Result{Result: &replicatev1.Result{Bytes: 1 << 63}}}},
	} {
		r.parts = parts
		_, err := c.Copy(t.Context(), work, nil)
		refused(name, err)
	}
}

func TestProgressNeverFallsAndKeepsItsCheckpoint(t *testing.T) {
	r := &rogue{parts: []*replicatev1.CopyResponse{
		progressPart(&replicatev1.Progress{Bytes: 5, Skipped: 7, Checkpoint: []byte("c")}),
		progressPart(&replicatev1.Progress{Bytes: 2}),
		{Part: &replicatev1.CopyResponse_Result{Result: &replicatev1.Result{Bytes: 5}}},
	}}
	var got []Progress
	_, err := r.client(t, time.Minute).Copy(t.Context(), work, func(p Progress) error {
		got = append(got, p)
		return nil
	})
	if err != nil || len(got) != 2 || got[1] != (Progress{Bytes: 5, Skipped: 7, Checkpoint: "c"}) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestAPluginThatSaysNothingIsGivenUp(t *testing.T) {
	r := &rogue{block: true}
	c := r.client(t, 20*time.Millisecond)
	if _, err := c.Copy(t.Context(), work, nil); !errors.Is(err, errdef.ErrUnavailable) {
		t.Errorf("Copy: %v", err)
	}
	if err := c.List(t.Context(), ListRequest{Remote: hub}, nil); !errors.Is(err, errdef.ErrUnavailable) {
		t.Errorf("List: %v", err)
	}
}

func TestTheTimeToTryAgainIsBounded(t *testing.T) {
	r := &rogue{err: errdef.ToGRPC(fmt.Errorf("too many requests: %w", errdef.ErrUnavailable))}
	c := r.client(t, time.Minute)
	for _, x := range []struct{ said, want time.Duration }{{time.Minute, time.Minute}, {1000 * time.Hour, MaxLater}, {-time.Hour, 0}} {
		r.parts = []*replicatev1.CopyResponse{{Part: &replicatev1.CopyResponse_Later{Later: &replicatev1.Later{After: durationpb.New(x.said)}}}}
		_, err := c.Copy(t.Context(), work, nil)
		if got, _ := After(err); !errors.Is(err, errdef.ErrUnavailable) || got != x.want {
			t.Errorf("%v became %v, %v", x.said, got, err)
		}
	}
}

// script is a driver whose List and Copy are functions.
type script struct {
	Unsupported
	list func(page func([]Artifact) error) error
	copy func(ctx context.Context, progress func(Progress) error) (Result, error)
}

func (script) Describe(context.Context) (Description, error)       { return Description{}, nil }
func (script) Check(context.Context, CheckRequest) (Status, error) { return Status{}, nil }

func (s script) List(_ context.Context, _ ListRequest, page func([]Artifact) error) error {
	return s.list(page)
}

func (s script) Copy(ctx context.Context, _ CopyRequest, progress func(Progress) error) (Result, error) {
	return s.copy(ctx, progress)
}

func conn(t *testing.T, d Driver, beat time.Duration) *grpc.ClientConn {
	return wiretest.Memory(t, func(r grpc.ServiceRegistrar) {
		replicatev1.RegisterReplicateServiceServer(r, &server{driver: func() (Driver, error) { return d, nil }, beat: beat})
	})
}

func TestAListOf100000ArtifactsComesInSmallMessages(t *testing.T) {
	const count = 100_000
	all := make([]Artifact, count)
	for i := range all {
		all[i] = app
	}
	c := conn(t, script{list: func(page func([]Artifact) error) error { return page(all) }}, time.Hour)
	stream, err := replicatev1.NewReplicateServiceClient(c).List(t.Context(), listToWire(ListRequest{Remote: hub}))
	if err != nil {
		t.Fatal(err)
	}
	largest, got := 0, 0
	for {
		m, err := stream.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		largest, got = max(largest, proto.Size(m)), got+len(m.GetArtifacts())
	}
	if got != count || largest > batchBytes+4<<10 {
		t.Errorf("%d artifacts, the largest message has %d bytes", got, largest)
	}
}

func TestACarelessDriverSendsNothingWrong(t *testing.T) {
	c := NewClient(conn(t, script{
		list: func(page func([]Artifact) error) error {
			_ = page([]Artifact{{}}) // and its error ignored
			return nil
		},
		copy: func(_ context.Context, progress func(Progress) error) (Result, error) {
			_ = progress(Progress{Bytes: -1})
			return Result{}, nil
		},
	}, time.Hour))
	if err := c.List(t.Context(), ListRequest{Remote: hub}, func([]Artifact) error { return nil }); !errors.Is(err, errdef.ErrInternal) {
		t.Errorf("List: %v", err)
	}
	if _, err := c.Copy(t.Context(), work, nil); !errors.Is(err, errdef.ErrInternal) {
		t.Errorf("Copy: %v", err)
	}
}

func TestASlowDriverIsKeptAlive(t *testing.T) {
	beats := make(chan struct{}, 100)
	c := conn(t, script{copy: func(ctx context.Context, progress func(Progress) error) (Result, error) {
		if err := progress(Progress{Bytes: 4}); err != nil {
			return Result{}, err
		}
		for range 3 { // the driver's own one, and two that the SDK sends
			select {
			case <-beats:
			case <-ctx.Done():
				return Result{}, ctx.Err()
			}
		}
		return Result{Bytes: 4}, nil
	}}, 5*time.Millisecond)
	_, err := NewClient(c).Copy(t.Context(), work, func(p Progress) error {
		if p.Bytes != 4 {
			t.Errorf("got %+v", p)
		}
		beats <- struct{}{}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
