package service

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/drivers/vsphere/machine/certs"
	"github.com/openvic/vic/drivers/vsphere/machine/operation"
	"github.com/openvic/vic/drivers/vsphere/machine/progress"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/drivers/vsphere/machine/simtest"
)

func newTasksOf(t *testing.T, cfg Config) (*tasks, func(vch string, do work) (*task, error)) {
	t.Helper()
	cfg.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	ts := newTasks(t.Context(), cfg)
	sim := simtest.New(t)
	return ts, func(vch string, do work) (*task, error) {
		s, err := session.Connect(t.Context(), sim.Target)
		if err != nil {
			t.Fatal(err)
		}
		x, _, err := ts.start(job{operation: "test", vch: vch, sess: s, timeout: time.Minute, do: do})
		return x, err
	}
}

func TestTasksAreBoundedInNumberAndTime(t *testing.T) {
	ts, start := newTasksOf(t, Config{MaxRunning: 2, MaxTasks: 3, KeepTasks: time.Hour})
	quick := func(context.Context, *progress.Log) (any, error) { return "x", nil }
	stop := make(chan struct{})
	slow := func(context.Context, *progress.Log) (any, error) { <-stop; return nil, nil }
	var first []*task
	for _, name := range []string{"a", "b", "c", "d"} {
		x, err := start(name, quick)
		if err != nil {
			t.Fatal(err)
		}
		first = append(first, x)
		if err := ts.wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if ts.get(first[0].view.ID) != nil || ts.get(first[3].view.ID) == nil {
		t.Error("the oldest is not the one that is forgotten")
	}
	for _, name := range []string{"e", "f"} {
		if _, err := start(name, slow); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := start("e", quick); problemOf(err).Status != http.StatusConflict {
		t.Errorf("the same VCH: %v", err)
	}
	if _, err := start("g", quick); problemOf(err).Status != http.StatusServiceUnavailable || problemOf(err).RetryAfter == 0 {
		t.Errorf("too many: %v", err)
	}
	close(stop)
	if err := ts.wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	ts.now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	if ts.get(first[3].view.ID) != nil || len(ts.all) != 0 {
		t.Errorf("%d tasks are kept for too long", len(ts.all))
	}
	ts.drain()
	if _, err := start("h", quick); problemOf(err).Status != http.StatusServiceUnavailable {
		t.Errorf("while it ends: %v", err)
	}
}

func TestAMistakeInOneTaskLeavesTheOthersAlone(t *testing.T) {
	ts, start := newTasksOf(t, Config{MaxRunning: 2, MaxTasks: 3, KeepTasks: time.Hour})
	x, err := start("a", func(context.Context, *progress.Log) (any, error) {
		none := []int{}
		return none[ts.cfg.MaxRunning], nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := ts.wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if v := x.snapshot(); v.State != Failed || v.Error.Status != http.StatusInternalServerError {
		t.Errorf("%+v %+v", v, v.Error)
	}
}

func TestMessagesOfATaskAreBounded(t *testing.T) {
	x := &task{changed: make(chan struct{}), now: time.Now}
	for range maxMessages + 5 {
		x.event(progress.Event{Text: "line"})
	}
	if v := x.snapshot(); len(v.Messages) != maxMessages || v.Messages[0].Number != 6 {
		t.Errorf("%d messages from %d", len(v.Messages), v.Messages[0].Number)
	}
}

// started runs a service as the program does, and returns its address, its certificate and its end.
func started(t *testing.T, ctx context.Context, s *Service, l Listen) (url, text string, end chan error) {
	t.Helper()
	out, end := &simtest.Output{}, make(chan error, 1)
	go func() { end <- s.Run(ctx, l, out) }()
	return out.Await(t, `serving on (\S+);`)[1], out.String(), end
}

func TestTheEndInterruptsWhatRunsAndWaitsForIt(t *testing.T) {
	log := &buffer{}
	s := New(t.Context(), Config{Version: "v9", Log: slog.New(slog.NewTextHandler(log, nil))})
	ctx, stop := context.WithCancel(t.Context())
	url, text, end := started(t, ctx, s, Listen{Address: "127.0.0.1:0"})
	// The certificate that it printed is the one that it shows.
	block, _ := pem.Decode([]byte(text[strings.Index(text, "-----BEGIN"):]))
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}}
	res, err := client.Get(url + "/container/version")
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	if err != nil || string(b) != "v9\n" || res.Body.Close() != nil {
		t.Errorf("%s %v", b, err)
	}
	sim := simtest.New(t)
	sess, err := session.Connect(t.Context(), sim.Target)
	if err != nil {
		t.Fatal(err)
	}
	cleaning, goOn, cleaned := make(chan struct{}), make(chan struct{}), make(chan struct{})
	x, _, err := s.tasks.start(job{operation: "test", vch: "a", sess: sess, timeout: time.Minute, do: func(ctx context.Context, _ *progress.Log) (any, error) {
		<-ctx.Done()
		close(cleaning)
		<-goOn
		close(cleaned)
		return nil, ctx.Err()
	}})
	if err != nil {
		t.Fatal(err)
	}
	stop()
	<-cleaning
	select {
	case err := <-end:
		t.Errorf("it ended while the task cleaned up: %v", err)
	default:
	}
	close(goOn)
	if err := <-end; err != nil {
		t.Error(err)
	}
	select {
	case <-cleaned:
	default:
		t.Error("it ended before the task had cleaned up")
	}
	if v := x.snapshot(); v.State != Canceled {
		t.Errorf("%+v", v)
	}
}

func TestTasksMayGoOnForAWhile(t *testing.T) {
	log, goOn := &simtest.Output{}, make(chan struct{})
	s := New(t.Context(), Config{Log: slog.New(slog.NewTextHandler(log, nil))})
	ctx, stop := context.WithCancel(t.Context())
	_, _, end := started(t, ctx, s, Listen{Address: "127.0.0.1:0", Plain: true, Drain: 20 * time.Second})
	sim := simtest.New(t)
	sess, err := session.Connect(t.Context(), sim.Target)
	if err != nil {
		t.Fatal(err)
	}
	x, _, err := s.tasks.start(job{operation: "test", vch: "a", sess: sess, timeout: time.Minute, do: func(ctx context.Context, _ *progress.Log) (any, error) {
		<-goOn
		return "done", ctx.Err()
	}})
	if err != nil {
		t.Fatal(err)
	}
	stop()
	log.Await(t, "service is ending")
	if _, _, err := s.tasks.start(job{operation: "test", vch: "b", sess: sess, timeout: time.Minute}); problemOf(err).Status != http.StatusServiceUnavailable {
		t.Errorf("a task that begins while it ends: %v", err)
	}
	close(goOn)
	if err := <-end; err != nil || x.snapshot().State != Succeeded {
		t.Errorf("%v %+v", err, x.snapshot())
	}
}

func TestWhatCannotBeListenedOn(t *testing.T) {
	for _, c := range []struct {
		l    Listen
		want string
	}{
		{Listen{Address: "nonsense"}, "host:port"},
		{Listen{Address: "0.0.0.0:0", Plain: true}, "--plain-http"},
		{Listen{Address: "127.0.0.1:0", Cert: "x"}, "--key"},
		{Listen{Address: "127.0.0.1:0", Cert: "nosuch", Key: "nosuch"}, "--cert"},
		{Listen{Address: "192.0.2.1:1"}, "--listen"},
	} {
		s := New(t.Context(), Config{Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
		err := s.Run(t.Context(), c.l, &bytes.Buffer{})
		if operation.OutcomeOf(err) != operation.Invalid || !strings.Contains(problemOf(err).Detail+problemOf(err).Advice, c.want) {
			t.Errorf("%+v: %v", c.l, err)
		}
	}
	pair, err := certs.SelfSigned([]string{"10.0.0.1", "vic.example.com"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if i, err := certs.Describe(pair.Cert); err != nil || len(i.Names) != 2 || errors.Is(err, context.Canceled) {
		t.Errorf("%+v %v", i, err)
	}
}
