package vicd

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/openvic/vic/core/config"
	"github.com/openvic/vic/core/metrics"
	"github.com/openvic/vic/core/plugin"
	"github.com/openvic/vic/core/tlsfiles"
)

// daemon is everything in one vicd: the host with its plugins, its certificates, its metrics and the
// admin API, and, if the configuration names the engine's roles, what runs containers.
type daemon struct {
	cfg     config.Config
	path    string // of vicd.toml
	version string
	log     *slog.Logger

	host                *plugin.Host
	dockerTLS, adminTLS *tlsfiles.Server             // nil: not encrypted
	applied             map[string][sha256.Size]byte // what the plugins' configuration files held, by plugin
	metrics             *metrics.Metrics
	docker              *docker       // nil: no role of the engine is named
	ready               chan struct{} // closed when requests can be answered
}

// newDaemon makes all parts; nothing of it touches a plugin yet.
func newDaemon(ctx context.Context, cfg config.Config, version string, log *slog.Logger, level slog.Level) (*daemon, error) {
	d := &daemon{cfg: cfg, version: version, log: log, ready: make(chan struct{})}
	d.metrics = d.newMetrics()
	var err error
	if d.dockerTLS, d.adminTLS, err = openTLS(cfg); err != nil {
		return nil, err
	}
	if err := d.openPlugins(level); err != nil {
		return nil, err
	}
	if !cfg.HasEngine() {
		log.Info("no role of the engine is named: this host runs no containers and has no Docker API")
		return d, nil
	}
	if d.docker, err = d.newDocker(ctx); err != nil {
		return nil, err
	}
	return d, nil
}

func (d *daemon) openPlugins(level slog.Level) error {
	plugins, err := config.LoadPlugins(d.cfg.Plugins.Dir)
	if err != nil {
		return err
	}
	o := plugin.Options{Plugins: plugins, Roles: d.cfg.Roles, Log: d.log, LogLevel: level, Observe: d.metrics.Call}
	if s := d.cfg.Admin.Socket; s != "" {
		o.RunDir = filepath.Join(filepath.Dir(s), "plugins")
	}
	if d.host, err = plugin.New(o); err != nil {
		return err
	}
	d.applied = pluginSums(plugins)
	return nil
}

// run serves until ctx ends or something that the daemon cannot do without fails. cancel ends ctx.
func (d *daemon) run(ctx context.Context, cancel context.CancelFunc) error {
	defer d.close()
	g, gctx := errgroup.WithContext(ctx)
	context.AfterFunc(gctx, cancel)
	if d.docker != nil {
		d.docker.run(ctx, g)
	}
	g.Go(func() error { return d.host.Run(ctx) })
	g.Go(func() error { return d.becomeReady(ctx) })
	err := g.Wait()
	if d.docker != nil {
		d.log.Info("the containers go on")
	}
	d.log.Info("vicd ends")
	return err
}

func (d *daemon) close() {
	if d.docker != nil {
		d.docker.close()
	}
}
