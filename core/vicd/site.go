package vicd

import (
	"context"
	"fmt"
	"net/http"

	"github.com/openvic/vic/core/admin"
	"github.com/openvic/vic/core/admin/site"
	"github.com/openvic/vic/core/config"
	"github.com/openvic/vic/core/engine"
	"github.com/openvic/vic/core/metrics"
	"github.com/openvic/vic/core/plugin"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/platform"
)

// certificates are the files whose end is watched, by what they are for.
func (d *daemon) certificates() map[string]string {
	all := map[string]string{}
	for name, file := range map[string]string{"server": d.cfg.TLS.Cert, "admin-ca": d.cfg.Admin.TLSCA} {
		if file != "" {
			all[name] = file
		}
	}
	if !d.cfg.HasEngine() {
		return all
	}
	for name, file := range map[string]string{"docker-ca": d.cfg.Docker.TLSCA, "link-ca": d.cfg.Link.CACert} {
		if file != "" {
			all[name] = file
		}
	}
	return all
}

// newMetrics makes the metrics; what they read is there later.
func (d *daemon) newMetrics() *metrics.Metrics {
	return metrics.New(metrics.Options{Name: d.cfg.Name, Version: d.version, Certificates: d.certificates(),
		Containers: d.containerStates, Ready: func() bool { return d.whyNotReady() == "" },
		Plugins: func() (all []metrics.Plugin) {
			if d.host == nil {
				return nil
			}
			for _, p := range d.host.List() {
				all = append(all, metrics.Plugin{Name: p.Name, Up: p.State == plugin.StateUp, Healthy: p.Healthy, Restarts: p.Restarts})
			}
			return all
		}})
}

// containerStates counts containers; each state that there is has a number, also when it is 0.
func (d *daemon) containerStates() map[string]int {
	n := map[string]int{}
	for _, s := range []engine.Status{engine.StatusCreated, engine.StatusRunning, engine.StatusPaused, engine.StatusExited, engine.StatusRemoving} {
		n[string(s)] = 0
	}
	for _, c := range d.containers() {
		n[c.Status]++
	}
	return n
}

// containers lists the containers for administrators: nothing of what may be secret.
func (d *daemon) containers() []site.Container {
	if d.docker == nil {
		return nil
	}
	all := []site.Container{}
	for _, c := range d.docker.engine.List() {
		row := site.Container{ID: c.ID, Name: c.Name, Image: c.Image.Ref, Status: string(c.State.Status), ExitCode: c.State.ExitCode,
			Created: c.Created, Started: c.State.Started, CPUs: c.CPUs, MemoryMB: c.MemoryMB, VM: c.Locator}
		for _, n := range c.Networks {
			for _, a := range n.Addresses {
				row.Addresses = append(row.Addresses, n.Name+" "+a.Addr().String())
			}
		}
		all = append(all, row)
	}
	return all
}

// whyNotReady says why Docker requests are not answered now; empty if they are. A plugin that is down
// later holds them up too.
func (d *daemon) whyNotReady() string {
	select {
	case <-d.ready:
	default:
		return d.waitingFor()
	}
	for _, p := range d.host.List() {
		if p.State != plugin.StateUp {
			return d.waitingFor()
		}
	}
	return ""
}

// newSite makes the administrators' web site.
func (d *daemon) newSite(logs *admin.Ring) (http.Handler, error) {
	return site.New(site.Options{Name: d.cfg.Name, Version: d.version, Plugins: d.host, WaitingFor: d.whyNotReady, Containers: d.containers,
		Platform:     d.platform,
		Authenticate: d.administrator,
		Metrics:      d.metrics, Logs: logs, Certificates: d.certificates(), Files: d.configFiles, Log: d.log})
}

// platform asks the first plugin that tells of its platform; errdef.ErrUnsupported if none does.
func (d *daemon) platform(ctx context.Context, events int) (platform.Report, error) {
	for _, p := range plugin.Offering(d.host, platform.Plugin()) {
		return p.Driver.Report(ctx, events)
	}
	return platform.Report{}, fmt.Errorf("no plugin tells of its platform: %w", errdef.ErrUnsupported)
}

// configFiles are the configuration files that go into a log bundle, their secrets removed.
func (d *daemon) configFiles() []string {
	var all []string
	if d.path != "" {
		all = append(all, d.path)
	}
	plugins, err := config.LoadPlugins(d.cfg.Plugins.Dir)
	if err != nil {
		d.log.Warn("the plugins' files are not in the log bundle", "err", err)
	}
	for _, p := range plugins {
		all = append(all, p.File)
		if p.Config != "" {
			all = append(all, p.Config)
		}
	}
	return all
}
