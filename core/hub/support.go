package hub

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"

	"github.com/openvic/vic/core/bundle"
)

const bundleReadme = `A log bundle of the hub %s, made %s by vic-hub %s for %s.

hub.log          the latest lines of this process of the hub, and of its plugins
health.json      each part of the hub: what is wrong with it, or nothing
plugins.json     the plugins' states
metrics.txt      what Prometheus would have been told
goroutines.txt   what vic-hub does just now
config/          configuration files
system/          of this machine's kernel

Values of secret keys, private keys, passwords in URLs and authorization headers were removed from every file; look through it
before you pass it on all the same. The audit log is not in it.
`

// supportBundle gathers what tells why this process of the hub does not do as it should.
func (h *Hub) supportBundle(ctx context.Context, who string) *bundle.Bundle {
	all := &bundle.Bundle{}
	if u, err := url.Parse(h.cfg.Database.URL); err == nil {
		password, _ := u.User.Password()
		all.Secret(password)
	}
	all.Add("README.txt", fmt.Sprintf(bundleReadme, h.cfg.Name, time.Now().UTC().Format(time.RFC3339), h.version, who))
	if h.cfg.File != "" {
		all.Config(h.cfg.File)
	}
	plugins := h.plugins.List()
	for i, p := range plugins {
		plugins[i].Example = ""
		for _, file := range []string{p.File, p.Config} {
			if file != "" {
				all.Config(file)
			}
		}
	}
	all.JSON("plugins.json", plugins)
	health := map[string]string{}
	for part, err := range h.health(ctx) {
		health[part] = "healthy"
		if err != nil {
			health[part] = err.Error()
		}
	}
	all.JSON("health.json", health)
	all.Add("metrics.txt", h.metrics.text())
	all.Process()
	var log strings.Builder
	_ = h.logs.Write(&log) // a strings.Builder takes all
	all.Add("hub.log", log.String())
	return all
}

// text is what Prometheus would be told.
func (m *metrics) text() string {
	var out strings.Builder
	families, err := m.registry.Gather()
	if err != nil {
		fmt.Fprintln(&out, "#", err) // the rest is there all the same
	}
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&out, f); err != nil {
			fmt.Fprintln(&out, "#", err)
		}
	}
	return out.String()
}
