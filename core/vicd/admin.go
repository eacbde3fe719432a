package vicd

import (
	"context"

	"github.com/openvic/vic/core/admin"
)

// logKept is how much of the daemon's log "vic logs" can show.
const logKept = 1 << 20

// serveAdmin serves the administrator's API until ctx ends; the result comes in the channel. It does
// not wait for the plugins: it is there to see why they do not come up.
func (d *daemon) serveAdmin(ctx context.Context, logs *admin.Ring) (<-chan error, error) {
	a := d.cfg.Admin
	l := admin.Listeners{Socket: a.Socket, Listen: a.Listen, Interfaces: a.Interfaces, TLS: d.adminTLS}
	listeners, err := l.Open()
	if err != nil {
		return nil, err
	}
	for _, l := range listeners {
		d.log.Info("admin API listens", "address", l.Addr().String())
	}
	pages, err := d.newSite(logs)
	if err != nil {
		return nil, err
	}
	o := admin.Options{Plugins: d.host, Name: d.cfg.Name, Version: d.version, Log: d.log, Logs: logs, Site: pages}
	if d.docker != nil {
		o.Volumes = volumes{d.docker.engine}
	}
	api := admin.New(o)
	served := make(chan error, 1)
	go func() { served <- admin.Serve(ctx, api, listeners, d.log) }()
	return served, nil
}
