package vicd

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	dockerevents "github.com/docker/docker/daemon/events"
	"github.com/docker/docker/pkg/namesgenerator"
	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/openvic/vic/core/access"
	"github.com/openvic/vic/core/config"
	"github.com/openvic/vic/core/dockerapi"
	"github.com/openvic/vic/core/engine"
	"github.com/openvic/vic/core/event"
	"github.com/openvic/vic/core/image"
	"github.com/openvic/vic/core/link"
	"github.com/openvic/vic/core/metrics"
	"github.com/openvic/vic/core/plugin"
	"github.com/openvic/vic/core/tlsfiles"
	"github.com/openvic/vic/sdk/compute"
	"github.com/openvic/vic/sdk/network"
	"github.com/openvic/vic/sdk/storage"
)

// daemon is everything in one vicd.
type daemon struct {
	cfg     config.Config
	path    string // of vicd.toml
	version string
	log     *slog.Logger

	host    *plugin.Host
	compute compute.Driver
	storage storage.Driver
	network network.Driver

	dockerTLS, adminTLS *tlsfiles.Server             // nil: not encrypted
	applied             map[string][sha256.Size]byte // what the plugins' configuration files held, by plugin

	metrics   *metrics.Metrics
	hub       *event.Hub
	events    *dockerevents.Events
	images    *image.Service
	engine    *engine.Engine
	listeners []net.Listener
	handler   http.Handler
	ready     chan struct{} // closed when requests can be answered
}

// newDaemon makes all parts; nothing of it touches a plugin yet. The listeners come first: a port
// that is taken is found out at once, and clients that are early wait in the queue.
func newDaemon(ctx context.Context, cfg config.Config, version string, log *slog.Logger, level slog.Level) (*daemon, error) {
	d := &daemon{cfg: cfg, version: version, log: log, hub: &event.Hub{}, events: dockerevents.New(), ready: make(chan struct{})}
	d.metrics = d.newMetrics()
	logLives(d.hub, log)
	var err error
	if err = d.openTLS(); err != nil {
		return nil, err
	}
	var t *tls.Config
	if d.dockerTLS != nil {
		t = d.dockerTLS.Config()
	}
	if d.listeners, err = dockerapi.Listen(cfg.Docker.Listen, cfg.Docker.Interface, t); err != nil {
		return nil, err
	}
	steps := []func() error{
		func() error { return d.openPlugins(level) },
		func() error { return d.openImages(ctx) },
		func() error { return d.openEngine(ctx) },
		func() error { return d.openAPI(ctx) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			d.close()
			return nil, err
		}
	}
	return d, nil
}

func (d *daemon) openPlugins(level slog.Level) error {
	e := d.cfg.Engine
	plugins, err := config.LoadPlugins(e.PluginDir)
	if err != nil {
		return err
	}
	o := plugin.Options{Plugins: plugins, Roles: plugin.Roles{"compute": {e.Compute}, "storage": {e.Storage}, "network": {e.Network}}, Log: d.log, LogLevel: level,
		Observe: d.metrics.Call}
	if s := d.cfg.Admin.Socket; s != "" {
		o.RunDir = filepath.Join(filepath.Dir(s), "plugins")
	}
	if d.host, err = plugin.New(o); err != nil {
		return err
	}
	d.applied = pluginSums(plugins)
	var errs [3]error
	d.compute, errs[0] = plugin.Driver(d.host, compute.Kind(), e.Compute)
	d.storage, errs[1] = plugin.Driver(d.host, storage.Kind(), e.Storage)
	d.network, errs[2] = plugin.Driver(d.host, network.Kind(), e.Network)
	return errors.Join(errs[:]...)
}

func (d *daemon) openImages(ctx context.Context) (err error) {
	d.images, err = image.New(ctx, image.Options{Root: d.cfg.Images.Root, Layers: d.storage, Registries: registries(d.cfg.Images),
		Events: d.events, UsedBy: func() []image.ContainerUse { return usedBy(d.engine) }, Log: d.log})
	return err
}

func (d *daemon) openEngine(ctx context.Context) error {
	cert, err := os.ReadFile(d.cfg.Link.CACert)
	if err != nil {
		return fmt.Errorf("link.ca_cert: %w", err)
	}
	key, err := os.ReadFile(d.cfg.Link.CAKey)
	if err != nil {
		return fmt.Errorf("link.ca_key: %w", err)
	}
	authority, err := link.NewAuthority(cert, key)
	if err != nil {
		return err
	}
	d.engine, err = engine.New(ctx, engine.Options{Compute: d.compute, Storage: d.storage, Network: d.network, Images: d.images,
		Authority: authority, Events: d.hub, Log: d.log, Limits: limits(d.cfg.Engine), Names: namesgenerator.GetRandomName})
	return err
}

func (d *daemon) openAPI(ctx context.Context) error {
	e := d.cfg.Engine
	api, err := dockerapi.New(ctx, dockerapi.Options{Engine: d.engine, Images: images{d.images.Backend(), d.images, d.metrics.Pull}, Hub: d.hub, Events: d.events,
		Name: d.cfg.Name, Version: d.version, ID: d.id(), Drivers: [3]string{e.Compute, e.Storage, e.Network},
		Registries: d.images.RegistryConfig})
	if err != nil {
		return err
	}
	gated := &gate{next: api, ready: d.ready, reason: d.waitingFor, patience: gatePatience}
	d.handler = access.Audit(gated, access.LogTrail{Log: d.log})
	return nil
}

// id is the same for a VCH whatever becomes of its endpoint VM: it is made from its authority.
func (d *daemon) id() string {
	cert, err := os.ReadFile(d.cfg.Link.CACert)
	if err != nil {
		cert = []byte(d.cfg.Name)
	}
	sum := sha256.Sum256(cert)
	id, err := uuid.FromBytes(sum[:16])
	if err != nil {
		return d.cfg.Name
	}
	return id.String()
}

// run serves until ctx ends or something that the daemon cannot do without fails. cancel ends ctx.
func (d *daemon) run(ctx context.Context, cancel context.CancelFunc) error {
	defer d.close()
	g, gctx := errgroup.WithContext(ctx)
	context.AfterFunc(gctx, cancel)
	server := &http.Server{Handler: d.handler, ReadHeaderTimeout: 5 * time.Minute, ErrorLog: slog.NewLogLogger(d.log.Handler(), slog.LevelInfo),
		BaseContext: func(net.Listener) context.Context { return dockerapi.WithLog(context.Background(), d.log) }}
	for _, l := range d.listeners {
		d.log.Info("docker API listens", "address", l.Addr().String())
		g.Go(func() error { return serve(server, l) })
	}
	g.Go(func() error { return d.host.Run(ctx) })
	g.Go(func() error { d.engine.Run(); return nil })
	g.Go(func() error { return d.becomeReady(ctx) })
	g.Go(func() error {
		<-ctx.Done() // attached clients do not hold the end up: their containers go on
		return server.Close()
	})
	err := g.Wait()
	d.log.Info("vicd ends; the containers go on")
	return err
}

func serve(s *http.Server, l net.Listener) error {
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("docker API: %w", err)
	}
	return nil
}

func (d *daemon) close() {
	for _, l := range d.listeners {
		_ = l.Close()
	}
	if d.images != nil {
		d.images.Close()
	}
}
