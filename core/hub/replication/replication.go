package replication

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/hub/labels"
	"github.com/openvic/vic/core/hub/registries"
	"github.com/openvic/vic/core/hub/seal"
	"github.com/openvic/vic/core/hub/upstream"
	"github.com/openvic/vic/core/hub/webhook"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/outbound"
	"github.com/openvic/vic/sdk/replicate"
)

// Kind is the name of the jobs, Harbor's. Their subject is the rule's number.
const Kind = "REPLICATION"

// Caller is who pushes and pulls for a rule, in events and the audit log.
const Caller = "replication"

// Driver is a plugin that replicates.
type Driver struct {
	Name string
	replicate.Driver
	Capabilities []string
}

// Options are what a Replication works with. Those that are functions are asked for when they are needed: they are made later.
type Options struct {
	DB         *store.Store
	Sealer     *seal.Sealer
	Queue      func() *jobs.Queue
	Registry   func() *registry.Registry
	Registries func() *registries.Registries
	Labels     *labels.Labels
	Hooks      *webhook.Hooks
	Outbound   *outbound.Policy
	Drivers    func() []Driver
	// Local is this hub as a plugin reaches it for a task, which may pull from one of its repositories, and push if push is set.
	Local func(ctx context.Context, task int64, repository string, push bool) (replicate.Endpoint, error)
	// Host is the hub's name, for webhooks.
	Host string
	// Parallel is how many artifacts one hub copies at once; Blobs how many blobs of each. 0: 4.
	Parallel, Blobs int
	Now             func() time.Time // nil: time.Now
}

// Replication keeps the rules and carries them out. It may be used by several goroutines.
type Replication struct {
	o Options

	mu       sync.Mutex // guards what follows
	kinds    map[string]Driver
	prepared map[string]time.Time // projects that were there: endpoint and name
}

// New makes a Replication over a store that was opened with Schema.
func New(o Options) *Replication {
	if o.Now == nil {
		o.Now = time.Now
	}
	const standard = 4
	if o.Parallel == 0 {
		o.Parallel = standard
	}
	if o.Blobs == 0 {
		o.Blobs = standard
	}
	return &Replication{o: o, kinds: map[string]Driver{}, prepared: map[string]time.Time{}}
}

// describePatience is how long a plugin may take to say what it is.
const describePatience = 10 * time.Second

// kindOCI is what registries that speak OCI's protocol are to plugins, whatever Harbor calls them.
const kindOCI = "oci"

// drivers are the plugins by the kind of registries that each is for. One that does not answer now is asked again later.
func (r *Replication) drivers(ctx context.Context) map[string]Driver {
	r.mu.Lock()
	known := make(map[string]bool, len(r.kinds))
	for _, d := range r.kinds {
		known[d.Name] = true
	}
	r.mu.Unlock()
	for _, d := range r.o.Drivers() {
		if known[d.Name] {
			continue
		}
		dctx, cancel := context.WithTimeout(ctx, describePatience)
		is, err := d.Describe(dctx)
		cancel()
		if err != nil {
			continue
		}
		r.mu.Lock()
		if _, taken := r.kinds[is.Kind]; !taken {
			r.kinds[is.Kind] = d
		}
		r.mu.Unlock()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make(map[string]Driver, len(r.kinds))
	for _, d := range r.o.Drivers() { // capabilities are known when a plugin runs
		for kind, known := range r.kinds {
			if known.Name == d.Name {
				all[kind] = d
			}
		}
	}
	return all
}

// Kinds are the kinds of registries that plugins bring beside those that speak OCI's protocol.
func (r *Replication) Kinds(ctx context.Context) (all []string) {
	for kind := range r.drivers(ctx) {
		if kind != kindOCI {
			all = append(all, kind)
		}
	}
	return all
}

// driver finds the plugin for a kind of registries; errdef.ErrUnavailable if there is none at the moment.
func (r *Replication) driver(ctx context.Context, kind string) (Driver, error) {
	want := kind
	if upstream.Known(kind) {
		want = kindOCI
	}
	d, ok := r.drivers(ctx)[want]
	if !ok {
		return d, fmt.Errorf("no plugin replicates to registries of type %q: name one in [roles] replicate of hub.toml: %w", kind, errdef.ErrUnavailable)
	}
	return d, nil
}

// remote is an endpoint as plugins get it.
func (r *Replication) remote(e registries.Endpoint) (replicate.Endpoint, error) {
	x := replicate.Endpoint{URL: e.URL, Username: e.Username, Secret: e.Password, CA: []byte(e.CA), SkipVerify: e.Insecure, Options: map[string]string{}}
	return x, r.o.Outbound.Options(x.Options, replicate.MaxOption)
}

// Check asks a plugin about a registry that is none of package upstream's: registries.Others.
func (r *Replication) Check(ctx context.Context, e registries.Endpoint) error {
	if upstream.Known(e.Kind) {
		return invalid("type: %s is asked by the hub itself", e.Kind)
	}
	d, ok := r.drivers(ctx)[e.Kind]
	if !ok {
		return invalid("type: %.40q is none of the hub's, and of no plugin that runs", e.Kind)
	}
	remote, err := r.remote(e)
	if err != nil {
		return err
	}
	_, err = d.Check(ctx, replicate.CheckRequest{Remote: remote})
	return err
}
