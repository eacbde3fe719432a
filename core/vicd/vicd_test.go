package vicd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/core/admin"
	"github.com/openvic/vic/core/admin/client"
	"github.com/openvic/vic/core/config"
	"github.com/openvic/vic/core/engine/enginetest"
)

func TestGateHoldsRequestsAndSaysWhy(t *testing.T) {
	ready := make(chan struct{})
	g := &gate{next: http.NotFoundHandler(), ready: ready, reason: func() string { return "plugin vsphere is refused" }, patience: time.Millisecond}
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		g.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w
	}
	if w := get("/v1.50/containers/json"); w.Code != 503 || !strings.Contains(w.Body.String(), "plugin vsphere is refused") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := get("/_ping"); w.Code != 404 {
		t.Errorf("a ping does not pass: %d", w.Code)
	}
	close(ready)
	if w := get("/v1.50/containers/json"); w.Code != 404 {
		t.Errorf("not let in: %d", w.Code)
	}
}

// setup writes a configuration with one plugin whose pin is wrong.
func setup(t *testing.T) config.Config {
	t.Helper()
	dir, err := os.MkdirTemp("", "vicd") // short: sockets lie in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	file := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	cert, key := enginetest.NewCA(t)
	file("plugins.d/vsphere.toml", fmt.Sprintf("name=\"vsphere\"\npath=\"/bin/true\"\nsha256=%q\n", strings.Repeat("0", 64)))
	c := config.Default()
	c.Name = "vch1"
	c.Docker.Listen = []string{"unix://" + filepath.Join(dir, "docker.sock")}
	c.Admin.Socket = filepath.Join(dir, "admin.sock")
	c.Link.CACert, c.Link.CAKey = file("ca.pem", string(cert)), file("key.pem", string(key))
	c.Images.Root = filepath.Join(dir, "images")
	c.Roles = config.Roles{"compute": {"vsphere"}, "storage": {"vsphere"}, "network": {"vsphere"}}
	c.Plugins.Dir = filepath.Join(dir, "plugins.d")
	return c
}

func TestARefusedPluginIsNamedAndTheDaemonEndsInTime(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var log bytes.Buffer
	d, err := newDaemon(ctx, setup(t), "test", slog.New(slog.NewTextHandler(&log, nil)), slog.LevelInfo)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- d.run(ctx, cancel) }()
	look, end := time.NewTicker(5*time.Millisecond), time.After(time.Minute)
	defer look.Stop()
	for !strings.Contains(d.waitingFor(), "sha256") {
		select {
		case <-look.C:
		case <-end:
			t.Fatalf("waiting for %q", d.waitingFor())
		}
	}
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Error("the daemon does not end")
	}
}

// TestThePluginThatGoesAwayLaterIsToldToTheSupervisor: it listens only after the daemon was ready.
func TestThePluginThatGoesAwayLaterIsToldToTheSupervisor(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c := setup(t)
	socket := filepath.Join(filepath.Dir(c.Admin.Socket), "notify")
	t.Setenv("NOTIFY_SOCKET", socket)
	d, err := newDaemon(ctx, c, "test", slog.New(slog.DiscardHandler), slog.LevelInfo)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- d.run(ctx, cancel) }()
	defer func() { cancel(); <-done }()
	close(d.ready)
	l, err := net.ListenPacket("unixgram", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4096)
	for got := ""; !strings.HasPrefix(got, "STATUS=plugin vsphere is") || !strings.Contains(got, "sha256"); {
		n, _, err := l.ReadFrom(b)
		if err != nil {
			t.Fatalf("%v; last %q", err, got)
		}
		got = string(b[:n])
	}
}

func TestATakenPortIsNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := setup(t)
	c.Docker.Listen = []string{"tcp://" + l.Addr().String()}
	_, err = newDaemon(context.Background(), c, "test", slog.Default(), slog.LevelInfo)
	if err == nil || !strings.Contains(err.Error(), l.Addr().String()+" is in use by another program") {
		t.Errorf("err %v", err)
	}
}

// A host whose roles name no engine, such as one for a registry alone, serves its admin API.
func TestAHostWithoutAnEngineServesItsAdminAPI(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c := setup(t)
	c.Roles = nil
	c.Link, c.Images, c.Docker = config.Link{}, config.Images{}, config.Docker{}
	logs := admin.NewRing(1 << 16)
	d, err := newDaemon(ctx, c, "test", slog.New(slog.NewTextHandler(logs, nil)), slog.LevelInfo)
	if err != nil {
		t.Fatal(err)
	}
	served, err := d.serveAdmin(ctx, logs)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- d.run(ctx, cancel) }()
	<-d.ready
	remote := client.Socket(c.Admin.Socket)
	if v, err := remote.Version(ctx); err != nil || v.Name != "vch1" {
		t.Errorf("version %+v, %v", v, err)
	}
	if all, err := remote.Plugins(ctx); err != nil || len(all) != 1 || all[0].Name != "vsphere" {
		t.Errorf("plugins %+v, %v", all, err)
	}
	if _, err := remote.Volumes(ctx); err == nil {
		t.Error("there are volumes without an engine")
	}
	if d.docker != nil || d.containers() != nil {
		t.Error("there is an engine")
	}
	c.Name = "other"
	if !d.reloaded(ctx, written(t, c)) {
		t.Error("another name needs a new start")
	}
	cancel()
	if err := errors.Join(<-done, <-served); err != nil {
		t.Error(err)
	}
}
