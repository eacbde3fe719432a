package vicd

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"reflect"
	"syscall"
	"time"

	"github.com/openvic/vic/core/config"
	"github.com/openvic/vic/core/engine"
	"github.com/openvic/vic/core/image"
	"github.com/openvic/vic/core/sdnotify"
	"github.com/openvic/vic/core/tlsfiles"
)

// restartPatience is how long a plugin may take to come up with its new configuration.
const restartPatience = time.Minute

// openTLS reads the certificates of the two APIs; nil for one that is not encrypted.
func openTLS(cfg config.Config) (docker, admin *tlsfiles.Server, err error) {
	c, d, a := cfg.TLS, cfg.Docker, cfg.Admin
	if c.Cert == "" {
		return nil, nil, nil
	}
	if cfg.HasEngine() {
		if docker, err = tlsfiles.Open(tlsfiles.Files{Cert: c.Cert, Key: c.Key, CA: d.TLSCA, CRL: d.TLSCRL}); err != nil {
			return nil, nil, fmt.Errorf("TLS of [docker]: %w", err)
		}
	}
	if a.Listen != "" {
		if admin, err = tlsfiles.Open(tlsfiles.Files{Cert: c.Cert, Key: c.Key, CA: a.TLSCA, CRL: a.TLSCRL, Optional: true}); err != nil {
			return nil, nil, fmt.Errorf("TLS of [admin]: %w", err)
		}
	}
	return docker, admin, nil
}

// reloadOnHangup puts changed files into effect at every SIGHUP, until ctx ends. What the daemon
// cannot change while it runs makes it end, for its supervisor to start it anew: containers do not
// notice, clients that are attached do.
func (d *daemon) reloadOnHangup(ctx context.Context, path string, end context.CancelFunc) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	go func() {
		defer signal.Stop(hangup)
		for {
			select {
			case <-hangup:
			case <-ctx.Done():
				return
			}
			if d.reloaded(ctx, path) {
				end()
				return
			}
		}
	}()
}

// reloaded reports how a reload went, and says whether the daemon has to start anew.
func (d *daemon) reloaded(ctx context.Context, path string) (restart bool) {
	restart, err := d.reload(ctx, path)
	state := ""
	switch {
	case err != nil:
		d.log.Error("the changed configuration is not used", "err", err)
		state = "ERRNO=1\nSTATUS=" + oneLine(err)
	case restart:
		d.log.Info("starting anew with a changed configuration")
		return true
	default:
		d.log.Info("changed files are in use")
		state = "STATUS=reloaded"
		select {
		case <-d.ready:
			state = "READY=1\n" + state
		default: // becomeReady will say so
		}
	}
	if err := sdnotify.Send(state); err != nil {
		d.log.Warn("supervisor cannot be told", "err", err)
	}
	return false
}

func (d *daemon) reload(ctx context.Context, path string) (restart bool, err error) {
	cfg, err := config.Load(path)
	if err != nil {
		return false, err
	}
	if _, _, err := openTLS(cfg); err != nil { // so that no bad file ends the daemon
		return false, err
	}
	use := func() {}
	if d.docker != nil {
		if use, err = d.docker.prepare(cfg); err != nil {
			return false, err
		}
	}
	if !reflect.DeepEqual(lasting(cfg), lasting(d.cfg)) {
		return true, nil
	}
	use()
	for _, s := range []*tlsfiles.Server{d.dockerTLS, d.adminTLS} {
		if s != nil {
			err = errors.Join(err, s.Reload())
		}
	}
	if err != nil {
		return false, err
	}
	return false, d.restartPlugins(ctx)
}

// prepare checks what can change while the engine runs and returns what puts it into effect.
func (e *docker) prepare(cfg config.Config) (use func(), err error) {
	useRegistries, err := e.images.PrepareRegistries(registries(cfg.Images))
	return func() {
		useRegistries()
		e.engine.SetLimits(limits(cfg.Engine))
	}, err
}

// registries are the settings of [images] that can change while the daemon runs.
func registries(i config.Images) image.Registries {
	return image.Registries{Mirrors: i.RegistryMirrors, Insecure: i.InsecureRegistries, CAs: i.RegistryCA, Allow: i.AllowRegistries, Deny: i.DenyRegistries}
}

// limits are the settings of [engine] that can change while the daemon runs.
func limits(e config.Engine) engine.Limits {
	return engine.Limits{DefaultCPUs: e.DefaultCPUs, DefaultMemoryMB: e.DefaultMemoryMB, MaxContainers: e.MaxContainers}
}

// lasting is a configuration without what can change while the daemon runs.
func lasting(c config.Config) config.Config {
	c.Images = config.Images{Root: c.Images.Root}
	c.Engine.DefaultCPUs, c.Engine.DefaultMemoryMB, c.Engine.MaxContainers = 0, 0, 0
	return c
}

// restartPlugins starts those plugins anew whose configuration files have changed. The links to the
// containers are dialled again and lose nothing.
func (d *daemon) restartPlugins(ctx context.Context) error {
	plugins, err := config.LoadPlugins(d.cfg.Plugins.Dir)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, restartPatience)
	defer cancel()
	now := pluginSums(plugins)
	var errs []error
	for name, sum := range now {
		if d.applied[name] == sum {
			continue
		}
		d.log.Info("plugin has a new configuration", "plugin", name)
		if _, err := d.host.Restart(ctx, name); err != nil {
			errs = append(errs, err)
			continue
		}
		d.applied[name] = sum
	}
	return errors.Join(errs...)
}

// pluginSums identifies the contents of the plugins' own configuration files.
func pluginSums(plugins []config.Plugin) map[string][sha256.Size]byte {
	sums := map[string][sha256.Size]byte{}
	for _, p := range plugins {
		b, err := os.ReadFile(p.Config)
		if err != nil {
			continue // the plugin will say so when it starts
		}
		sums[p.Name] = sha256.Sum256(b)
	}
	return sums
}

func oneLine(err error) string {
	b := []byte(err.Error())
	for i, c := range b {
		if c == '\n' {
			b[i] = ' '
		}
	}
	return string(b)
}
