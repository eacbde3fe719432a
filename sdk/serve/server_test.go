package serve_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/internal/wiretest"
	"github.com/openvic/vic/sdk/kind"
	"github.com/openvic/vic/sdk/network"
	pluginv1 "github.com/openvic/vic/sdk/proto/plugin/v1"
	"github.com/openvic/vic/sdk/serve"
)

type config struct {
	Name string `toml:"name"`
	Size int    `toml:"size"`
}

// connect serves a plugin in memory.
func connect(t *testing.T, configure func(context.Context, config) (serve.Instance, error)) (pluginv1.PluginServiceClient, network.Driver) {
	t.Helper()
	s := serve.NewServer(t.Context(), serve.Plugin[config]{
		Name: "p", Version: "1", Example: "# e\n", Defaults: config{Size: 8}, Configure: configure,
		Components: []kind.Component{network.Plugin().Component("n", "makes-nic:x")},
	})
	conn := wiretest.TLS(t, func(r grpc.ServiceRegistrar) {
		if err := s.Register(r); err != nil {
			t.Fatal(err)
		}
	})
	return pluginv1.NewPluginServiceClient(conn), network.NewClient(conn)
}

func good(context.Context, config) (serve.Instance, error) {
	return serve.Instance{Drivers: []kind.Driver{network.Plugin().Serve(network.NewFake())}}, nil
}

func configure(t *testing.T, api pluginv1.PluginServiceClient, toml string) error {
	t.Helper()
	_, err := api.Configure(t.Context(), &pluginv1.ConfigureRequest{Source: "p.toml", Toml: toml})
	return errdef.FromGRPC(err)
}

func TestDescribeNeedsNoConfiguration(t *testing.T) {
	api, _ := connect(t, good)
	d, err := api.Describe(t.Context(), &pluginv1.DescribeRequest{})
	if err != nil || d.GetName() != "p" || d.GetVersion() != "1" || d.GetExampleConfig() != "# e\n" ||
		len(d.GetComponents()) != 1 || d.GetComponents()[0].GetCapabilities()[0] != "makes-nic:x" {
		t.Errorf("%v, %v", d, err)
	}
}

func TestDriversServeAfterConfigureAlone(t *testing.T) {
	var got config
	api, driver := connect(t, func(ctx context.Context, c config) (serve.Instance, error) {
		got = c
		return good(ctx, c)
	})
	if _, err := driver.List(t.Context()); !errors.Is(err, errdef.ErrUnavailable) {
		t.Errorf("List before Configure: %v", err)
	}
	if err := configure(t, api, "name = \"n\"\n"); err != nil {
		t.Fatal(err)
	}
	if got.Name != "n" || got.Size != 8 {
		t.Errorf("configuration %+v", got)
	}
	if _, err := driver.List(t.Context()); err != nil {
		t.Errorf("List after Configure: %v", err)
	}
	if err := configure(t, api, ""); !errors.Is(err, errdef.ErrConflict) {
		t.Errorf("second Configure: %v", err)
	}
}

func TestConfigureFailsWithTheReason(t *testing.T) {
	denied := func(context.Context, config) (serve.Instance, error) { return serve.Instance{}, errdef.ErrDenied }
	none := func(context.Context, config) (serve.Instance, error) { return serve.Instance{}, nil }
	for name, tc := range map[string]struct {
		configure func(context.Context, config) (serve.Instance, error)
		toml      string
		class     error
		text      string
	}{
		"unknown key":        {good, "\nnmae = \"n\"\n", errdef.ErrInvalid, `p.toml:2: unknown key "nmae" (did you mean "name"?): invalid argument`},
		"author's error":     {denied, "", errdef.ErrDenied, "permission denied"},
		"a driver forgotten": {none, "", errdef.ErrInternal, "plugin p: Configure made no network driver: internal error"},
	} {
		t.Run(name, func(t *testing.T) {
			api, driver := connect(t, tc.configure)
			if err := configure(t, api, tc.toml); !errors.Is(err, tc.class) || err.Error() != tc.text {
				t.Errorf("got %v", err)
			}
			if _, err := driver.List(t.Context()); !errors.Is(err, errdef.ErrUnavailable) {
				t.Errorf("List: %v", err)
			}
		})
	}
}

func TestHealthComesAtOnceAndWithEveryChange(t *testing.T) {
	reports := make(chan error)
	api, _ := connect(t, func(ctx context.Context, c config) (serve.Instance, error) {
		d, err := good(ctx, c)
		d.Health = func(ctx context.Context, report func(error)) {
			for {
				select {
				case e := <-reports:
					report(e)
				case <-ctx.Done():
					return
				}
			}
		}
		return d, err
	})
	stream, err := api.WatchHealth(t.Context(), &pluginv1.WatchHealthRequest{})
	if err != nil {
		t.Fatal(err)
	}
	next := func(healthy bool, message string) {
		t.Helper()
		m, err := stream.Recv()
		if err != nil || m.GetHealthy() != healthy || m.GetMessage() != message {
			t.Fatalf("got %v, %v, want %v %q", m, err, healthy, message)
		}
	}
	next(false, "not configured yet")
	if err := configure(t, api, ""); err != nil {
		t.Fatal(err)
	}
	next(true, "")
	reports <- errors.New("vCenter is gone")
	next(false, "vCenter is gone")
	reports <- nil
	next(true, "")
}

func TestStopClosesTheDriversAndEndsTheirContext(t *testing.T) {
	var life context.Context
	closed := false
	api, driver := connect(t, func(ctx context.Context, c config) (serve.Instance, error) {
		life = ctx
		d, err := good(ctx, c)
		d.Close = func(context.Context) error { closed = true; return nil }
		return d, err
	})
	if err := configure(t, api, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := api.Stop(t.Context(), &pluginv1.StopRequest{}); err != nil || !closed {
		t.Errorf("Stop: %v, closed %v", err, closed)
	}
	select {
	case <-life.Done():
	case <-time.After(5 * time.Second):
		t.Error("the drivers' context did not end")
	}
	if _, err := driver.List(t.Context()); !errors.Is(err, errdef.ErrUnavailable) {
		t.Errorf("List after Stop: %v", err)
	}
}

func TestEachKindIsOfferedOnce(t *testing.T) {
	s := serve.NewServer(t.Context(), serve.Plugin[config]{Name: "p", Components: []kind.Component{
		network.Plugin().Component("a"), network.Plugin().Component("b")}})
	if err := s.Register(grpc.NewServer()); !errors.Is(err, errdef.ErrInvalid) || !strings.Contains(err.Error(), "network is among Components twice") {
		t.Errorf("got %v", err)
	}
}
