package scan

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/internal/wiretest"
	scanv1 "github.com/openvic/vic/sdk/proto/scan/v1"
)

var request = ScanRequest{ID: "i", Registry: Registry{URL: "https://r"}, Repository: "a/b", Digest: "sha256:1", MediaType: "m",
	Wants: []Want{Vulnerability, SPDX}}

// script is a driver whose Scan is a function.
type script struct {
	Unsupported
	scan func(ctx context.Context, to Sink) (Report, error)
}

func (script) Describe(context.Context) (Description, error) { return Description{}, nil }
func (script) Database(context.Context) (Database, error)    { return Database{}, nil }

func (s script) Scan(ctx context.Context, _ ScanRequest, to Sink) (Report, error) {
	return s.scan(ctx, to)
}

func conn(t *testing.T, d Driver, beat time.Duration) *grpc.ClientConn {
	return wiretest.Memory(t, func(r grpc.ServiceRegistrar) {
		scanv1.RegisterScanServiceServer(r, &server{driver: func() (Driver, error) { return d, nil }, beat: beat})
	})
}

func TestAReportOf100000FindingsComesInSmallMessages(t *testing.T) {
	const count, document = 100_000, 3 << 20
	all := make([]Finding, count)
	for i := range all {
		all[i] = bash
	}
	c := conn(t, script{scan: func(_ context.Context, to Sink) (Report, error) {
		return Report{Generated: then, Database: "1"}, errors.Join(to.Findings(all), to.Document(SPDX, make([]byte, document)))
	}}, time.Hour)
	stream, err := scanv1.NewScanServiceClient(c).Scan(t.Context(), scanToWire(request))
	if err != nil {
		t.Fatal(err)
	}
	largest, findings, messages := 0, 0, 0
	for {
		m, err := stream.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		largest, messages = max(largest, proto.Size(m)), messages+1
		findings += len(m.GetPart().GetFindings().GetFindings())
	}
	t.Logf("%d findings in %d messages, the largest %d bytes", findings, messages, largest)
	if findings != count || largest > batchBytes+4<<10 {
		t.Errorf("%d findings, the largest message has %d bytes", findings, largest)
	}
	var got counter
	if _, err := NewClient(c).Scan(t.Context(), request, &got); err != nil || got.findings != count || got.bytes != document {
		t.Errorf("%+v, %v", got, err)
	}
}

// counter keeps nothing but numbers.
type counter struct{ findings, bytes int }

func (*counter) Progress(Progress) error { return nil }

func (c *counter) Findings(f []Finding) error {
	c.findings += len(f)
	return nil
}

func (c *counter) Document(_ Want, data []byte) error {
	c.bytes += len(data)
	return nil
}

// rogue is a plugin that sends any parts, without the SDK's checks.
type rogue struct {
	scanv1.UnimplementedScanServiceServer
	parts []*scanv1.Part
	block bool // then say nothing, until the call ends
}

func (r *rogue) Scan(_ *scanv1.ScanRequest, stream grpc.ServerStreamingServer[scanv1.ScanResponse]) error {
	for _, p := range r.parts {
		if err := stream.Send(&scanv1.ScanResponse{Part: p}); err != nil {
			return err
		}
	}
	if r.block {
		<-stream.Context().Done()
	}
	return nil
}

func (r *rogue) client(t *testing.T, silence time.Duration) Driver {
	c := wiretest.Memory(t, func(s grpc.ServiceRegistrar) { scanv1.RegisterScanServiceServer(s, r) })
	return &client{c: scanv1.NewScanServiceClient(c), silence: silence}
}

func findingsPart(list ...Finding) *scanv1.Part {
	f := &scanv1.Findings{}
	for _, one := range list {
		f.Findings = append(f.Findings, findingToWire(one))
	}
	return &scanv1.Part{Part: &scanv1.Part_Findings{Findings: f}}
}

func progressPart(percent uint32) *scanv1.Part {
	return &scanv1.Part{Part: &scanv1.Part_Progress{Progress: &scanv1.Progress{Step: "match", Percent: percent}}}
}

func documentPart(w scanv1.Want, size int) *scanv1.Part {
	return &scanv1.Part{Part: &scanv1.Part_Document{Document: &scanv1.DocumentPiece{Want: w, Data: make([]byte, size)}}}
}

func reportPart(change func(r *scanv1.Report)) *scanv1.Part {
	r := reportToWire(Report{Generated: then, Database: "1"})
	r.Findings, r.DocumentBytes = 1, 3
	change(r)
	return &scanv1.Part{Part: &scanv1.Part_Report{Report: r}}
}

func TestAHostileReportIsNone(t *testing.T) {
	f, d := findingsPart(bash), documentPart(scanv1.Want_WANT_SBOM_SPDX, 3)
	good := reportPart(func(*scanv1.Report) {})
	cases := map[string][]*scanv1.Part{
		"nothing":                  nil,
		"no report":                {f, d, progressPart(100)},
		"an empty part":            {{}, f, d, good},
		"a finding lost":           {d, good},
		"a finding more":           {f, f, d, good},
		"a document cut":           {f, documentPart(scanv1.Want_WANT_SBOM_SPDX, 2), good},
		"no document":              {f, reportPart(func(r *scanv1.Report) { r.DocumentBytes = 0 })},
		"a document of nobody":     {f, d, documentPart(scanv1.Want_WANT_SBOM_CYCLONEDX, 3), good},
		"findings as a document":   {f, documentPart(scanv1.Want_WANT_VULNERABILITY, 3), good},
		"a number as a document":   {f, documentPart(77, 3), good},
		"percents":                 {progressPart(101), f, d, good},
		"many percents":            {progressPart(1 << 31), f, d, good},
		"a report without time":    {f, d, reportPart(func(r *scanv1.Report) { r.Generated = nil })},
		"a report without data":    {f, d, reportPart(func(r *scanv1.Report) { r.DatabaseVersion = "" })},
		"many warnings":            {f, d, reportPart(func(r *scanv1.Report) { r.Warnings = texts(MaxWarnings+1, "w") })},
		"a long warning":           {f, d, reportPart(func(r *scanv1.Report) { r.Warnings = texts(1, long(MaxWarning+1)) })},
		"a message that is large":  {f, documentPart(scanv1.Want_WANT_SBOM_SPDX, maxMessage+1), good},
		"findings that are large":  {findingsPart(slices.Repeat([]Finding{bash}, 10_000)...), d, good},
		"a report that is nothing": {f, d, {Part: &scanv1.Part_Report{}}},
	}
	for name, bad := range hostile() {
		cases["a finding with "+name] = []*scanv1.Part{findingsPart(bad), d, good}
	}
	r := &rogue{}
	c := r.client(t, time.Minute)
	for name, parts := range cases {
		r.parts = parts
		var got Collector
		if _, err := c.Scan(t.Context(), request, &got); !errors.Is(err, errdef.ErrInternal) || errors.Is(err, errdef.ErrInvalid) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	r.parts = []*scanv1.Part{progressPart(50), progressPart(20), f, d, good, f}
	var got Collector
	if _, err := c.Scan(t.Context(), request, &got); err != nil || len(got.Found) != 1 || len(got.Documents[SPDX]) != 3 || got.Severity() != Critical {
		t.Errorf("a good report is refused: %+v, %v", got, err)
	}
	if len(got.Steps) != 2 || got.Steps[1].Percent != 50 {
		t.Errorf("progress fell: %+v", got.Steps)
	}
	only := request
	only.Wants = []Want{SPDX}
	if _, err := c.Scan(t.Context(), only, &got); !errors.Is(err, errdef.ErrInternal) {
		t.Errorf("findings that nobody wants: %v", err)
	}
}

func TestAPluginThatSaysNothingIsGivenUp(t *testing.T) {
	r := &rogue{parts: []*scanv1.Part{progressPart(1)}, block: true}
	_, err := r.client(t, 20*time.Millisecond).Scan(t.Context(), request, &Collector{})
	if !errors.Is(err, errdef.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

func TestASlowDriverIsKeptAlive(t *testing.T) {
	beats := make(chan struct{}, 100)
	c := conn(t, script{scan: func(ctx context.Context, to Sink) (Report, error) {
		if err := to.Progress(Progress{Step: "match", Percent: 40}); err != nil {
			return Report{}, err
		}
		for range 3 { // the driver's own one, and two that the SDK sends
			select {
			case <-beats:
			case <-ctx.Done():
				return Report{}, ctx.Err()
			}
		}
		return Report{Generated: then}, to.Document(SPDX, []byte("{}"))
	}}, 5*time.Millisecond)
	only := request
	only.Wants = []Want{SPDX}
	to := beating{beats: beats}
	if _, err := NewClient(c).Scan(t.Context(), only, &to); err != nil {
		t.Fatal(err)
	}
	if len(to.Steps) < 3 || to.Steps[2] != (Progress{Step: "match", Percent: 40}) {
		t.Errorf("got %+v", to.Steps)
	}
}

// beating tells of each progress.
type beating struct {
	Collector
	beats chan struct{}
}

func (b *beating) Progress(p Progress) error {
	b.beats <- struct{}{}
	return b.Collector.Progress(p)
}

func TestACarelessDriverSendsNothingWrong(t *testing.T) {
	good := Report{Generated: then, Database: "1"}
	for name, scan := range map[string]func(ctx context.Context, to Sink) (Report, error){
		"a bad finding, and its error ignored": func(_ context.Context, to Sink) (Report, error) {
			_ = to.Findings([]Finding{{}})
			_ = to.Document(SPDX, []byte("{}"))
			return good, nil
		},
		"no document":  func(context.Context, Sink) (Report, error) { return good, nil },
		"no report":    func(_ context.Context, to Sink) (Report, error) { return Report{}, to.Document(SPDX, []byte("{}")) },
		"bad progress": func(_ context.Context, to Sink) (Report, error) { return good, to.Progress(Progress{Percent: 101}) },
	} {
		_, err := NewClient(conn(t, script{scan: scan}, time.Hour)).Scan(t.Context(), request, &Collector{})
		if !errors.Is(err, errdef.ErrInternal) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestTheEndOfACallReachesTheDriver(t *testing.T) {
	ended := make(chan error, 1)
	c := conn(t, script{scan: func(ctx context.Context, to Sink) (Report, error) {
		if err := to.Progress(Progress{}); err != nil {
			return Report{}, err
		}
		<-ctx.Done()
		ended <- ctx.Err()
		return Report{}, ctx.Err()
	}}, time.Hour)
	reason := errors.New("the disk is full")
	if _, err := NewClient(c).Scan(t.Context(), request, fullSink{reason}); !errors.Is(err, reason) {
		t.Errorf("got %v", err)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the driver's context ended with %v", err)
	}
}

type fullSink struct{ err error }

func (f fullSink) Progress(Progress) error     { return f.err }
func (f fullSink) Findings([]Finding) error    { return f.err }
func (f fullSink) Document(Want, []byte) error { return f.err }
