package hub

import (
	"context"
	"fmt"
	"net"
	"strings"

	"github.com/distribution/reference"

	"github.com/openvic/vic/core/hub/audit"
	"github.com/openvic/vic/core/hub/fleet"
	"github.com/openvic/vic/core/hub/gc"
	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/hub/provision"
	"github.com/openvic/vic/core/hub/vchs"
	"github.com/openvic/vic/core/hub/webhook"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/sdk/outbound"
)

// kinds are all kinds of jobs of a hub. Whoever adds a kind adds it here: each hub of a database knows the same. What a kind
// needs is made later than the queue, and asked for when a job runs.
func (h *Hub) kinds() []jobs.Kind {
	reg := func() *registry.Registry { return h.registry }
	all := []jobs.Kind{
		gc.Jobs(reg),
		h.hooks.Jobs(),
		h.audit.Jobs(),
		h.keeping(reg),
		h.provisions.Jobs(),
		h.replication.Jobs(),
	}
	return append(all, h.scanning.Jobs()...)
}

// openJobs makes the queue, and what is told by it. Commands beside a hub add jobs, and leave them to hubs.
func (h *Hub) openJobs() error {
	var err error
	if h.outbound, err = outbound.New(h.cfg.Outbound.Allow, h.cfg.Outbound.Deny); err != nil {
		return fmt.Errorf("outbound: %w", err)
	}
	h.hooks = webhook.New(webhook.Options{DB: h.db, Sealer: h.sealer, Queue: func() *jobs.Queue { return h.jobs }, Log: h.log,
		Outbound: h.outbound})
	h.vchs = vchs.New(h.db, h.sealer, nil)
	h.fleet = fleet.New(fleet.Options{VCHs: h.vchs, Log: h.log})
	h.provisions = provision.New(provision.Options{DB: h.db, Sealer: h.sealer, Fleet: h.fleet, VCHs: h.vchs, Queue: func() *jobs.Queue { return h.jobs },
		Token: h.pullToken, Log: h.log})
	h.openScanning()
	h.openReplication()
	h.jobs = jobs.New(h.db, jobs.Options{Kinds: h.kinds(), Log: h.log})
	h.events.hooks, h.events.host, h.events.replication = h.hooks, h.host(), h.replication
	return nil
}

// prepareJobs sets what begins by itself, and opens where the audit log goes too.
func (h *Hub) prepareJobs(ctx context.Context) (err error) {
	if err := gc.Prepare(ctx, h.db, h.jobs, h.cfg.GC.Hourly, h.cfg.GC.OnStart); err != nil {
		return err
	}
	if to := (audit.Syslog{Address: h.cfg.Audit.Syslog, CA: h.cfg.Audit.SyslogCA, Host: h.cfg.Name}); to.Address != "" {
		if h.forwarder, err = audit.NewForwarder(h.audit, to); err != nil {
			return fmt.Errorf("audit.syslog: %w", err)
		}
	}
	return audit.Prepare(ctx, h.db, h.jobs, h.cfg.Audit.KeepDays)
}

// pullToken makes a token by which a VCH pulls an image of the hub's for a user, as far as that user may; "" for an image of
// another registry.
func (h *Hub) pullToken(ctx context.Context, principal, image string) (string, error) {
	ref, err := reference.ParseDockerRef(image)
	if err != nil || reference.Domain(ref) != h.host() {
		return "", nil //nolint:nilerr // the VCH says what is wrong with the name
	}
	return h.docker.PullToken(ctx, principal, reference.Path(ref))
}

// host is what clients write before the name of a repository, as far as the configuration tells.
func (h *Hub) host() string {
	if h.cfg.URL != "" {
		return strings.TrimPrefix(strings.TrimPrefix(h.cfg.URL, "https://"), "http://")
	}
	if len(h.cfg.TLS.Names) == 0 {
		return h.cfg.Name
	}
	_, port, err := net.SplitHostPort(h.cfg.Listen[strings.Index(h.cfg.Listen, "//")+2:])
	if err != nil || port == "443" {
		return h.cfg.TLS.Names[0]
	}
	return net.JoinHostPort(h.cfg.TLS.Names[0], port)
}
