package service

import (
	"context"
	"net/http"
	"os"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/certs"
	"github.com/openvic/vic/drivers/vsphere/machine/operation"
	"github.com/openvic/vic/drivers/vsphere/machine/option"
	"github.com/openvic/vic/drivers/vsphere/machine/precheck"
	"github.com/openvic/vic/drivers/vsphere/machine/progress"
	"github.com/openvic/vic/drivers/vsphere/machine/vch"
)

// VCHs is the answer to a list.
type VCHs struct {
	VCHs []vch.Entry `json:"vchs"`
}

// Made is what a create has made.
type Made struct {
	VCH    *vch.Details    `json:"vch,omitempty"`
	Checks precheck.Report `json:"checks"`
	// CertPath are the files that the command line writes into --cert-path, keys among them. The service
	// keeps them no longer than the task.
	CertPath map[string]string `json:"cert-path,omitempty"`
}

// Planned is what a create would do.
type Planned struct {
	Checks precheck.Report `json:"checks"`
	Plan   *vch.Outline    `json:"plan"`
}

// Changed is what a change has changed.
type Changed struct {
	Changed []string `json:"changed"` // names of options
}

// Removed is what a delete has done.
type Removed struct {
	Message string `json:"message"`
}

// Firewall is the traffic that has to pass. The firewalls of the ESXi hosts need no change.
type Firewall struct {
	Openings []operation.Opening `json:"openings"`
}

func (c *call) hello() (*reply, error) {
	return ok("You have reached vic-machine's service. /openapi.json describes it.\n", nil)
}

func (c *call) version() (*reply, error) { return ok(c.cfg.Version+"\n", nil) }

func (c *call) document() (*reply, error) { return ok(Document(), nil) }

func (c *call) list(ctx context.Context) (*reply, error) {
	all, err := vch.List(ctx, c.sess)
	return ok(VCHs{append([]vch.Entry{}, all...)}, err)
}

func (c *call) inspect(ctx context.Context) (*reply, error) {
	return ok(vch.Inspect(ctx, c.sess, c.vch()))
}

func (c *call) firewall(context.Context) (*reply, error) {
	return ok(Firewall{operation.Openings()}, nil)
}

// input reads the options of create.
func (c *call) input() (precheck.Input, error) {
	in, err := operation.ReadCreate(c.withImages(operation.CreateOptions()), c.local())
	for _, own := range []string{"appliance-iso", "bootstrap-iso"} {
		delete(in.Spec.Options, own) // where this service has its images is not the VCH's
	}
	in.Session = c.sess
	return in, err
}

func (c *call) plan(ctx context.Context) (*reply, error) {
	in, err := c.input()
	if err != nil {
		return nil, err
	}
	made, err := operation.Create(ctx, in, operation.CreateHow{DryRun: true}, nil)
	return ok(Planned{made.Checks, made.Plan}, err)
}

func (c *call) create(context.Context) (*reply, error) {
	in, err := c.input()
	if err != nil {
		return nil, err
	}
	files := c.files
	return c.begin(in.Spec.Name, func(ctx context.Context, log *progress.Log) (any, error) {
		made, err := operation.Create(ctx, in, operation.CreateHow{}, log)
		if err != nil {
			return nil, err
		}
		res := Made{Checks: made.Checks, CertPath: newFiles(files, made.Certs.NewFiles())}
		if res.VCH, err = vch.Inspect(ctx, in.Session, vch.Query{ID: made.Ready.VM}); err != nil {
			log.Printf("the VCH serves, but cannot be described: %v", err)
		}
		return res, nil
	})
}

func newFiles(files certs.Files, names []string) map[string]string {
	out := map[string]string{}
	for _, n := range names {
		out[n] = string(files[n])
	}
	return out
}

func (c *call) configure(ctx context.Context) (*reply, error) {
	d, err := vch.Inspect(ctx, c.sess, c.vch())
	if err != nil {
		return nil, err
	}
	s, q, values, local := c.sess, c.vch(), option.Of(operation.ConfigureOptions(), c.values.Given()), c.local()
	return c.begin(d.ID, func(ctx context.Context, log *progress.Log) (any, error) {
		changed, err := operation.Configure(ctx, s, q, values, local, log)
		return Changed{append([]string{}, changed...)}, err
	})
}

func (c *call) delete(context.Context) (*reply, error) { return c.remove(c.vch()) }

func (c *call) deleteByName(context.Context) (*reply, error) {
	q := vch.Query{Name: c.r.URL.Query().Get("name"), Compute: c.r.URL.Query().Get("compute-resource")}
	if q.Name == "" {
		return nil, advice.Wrap(invalid("no name is given"), "say which VCH shall go with ?name=")
	}
	return c.remove(q)
}

func (c *call) remove(q vch.Query) (*reply, error) {
	s, force := c.sess, c.flag("force")
	id := q.ID
	if id == "" {
		id = q.Name
	}
	return c.begin(id, func(ctx context.Context, log *progress.Log) (any, error) {
		d, err := operation.Delete(ctx, s, vch.DeleteOptions{Query: q, Force: force}, log)
		if d.Nothing != nil {
			return Removed{"nothing to delete: " + d.Nothing.Error() + d.Others}, nil
		}
		return Removed{"VCH " + q.String() + " is gone"}, err
	})
}

func (c *call) upgrade(ctx context.Context) (*reply, error) {
	im, err := operation.ReadUpgrade(c.withImages(operation.UpgradeOptions()), c.local())
	if err != nil {
		return nil, err
	}
	return c.serving(ctx, func(ctx context.Context, q vch.Query, log *progress.Log) error {
		return operation.Upgrade(ctx, c.sess, q, im, log)
	})
}

func (c *call) rollback(ctx context.Context) (*reply, error) {
	values := option.Of(operation.RollbackOptions(), c.values.Given())
	return c.serving(ctx, func(ctx context.Context, q vch.Query, log *progress.Log) error {
		return operation.Rollback(ctx, c.sess, q, values, log)
	})
}

// serving starts a task after which the VCH is described anew.
func (c *call) serving(ctx context.Context, do func(context.Context, vch.Query, *progress.Log) error) (*reply, error) {
	q := c.vch()
	if _, err := vch.Inspect(ctx, c.sess, q); err != nil {
		return nil, err
	}
	return c.begin(q.ID, func(ctx context.Context, log *progress.Log) (any, error) {
		if err := do(ctx, q, log); err != nil {
			return nil, err
		}
		return vch.Inspect(ctx, c.sess, q)
	})
}

// config answers the options of a VCH.
func (c *call) config(ctx context.Context) (*reply, error) {
	options, err := vch.Options(ctx, c.sess, c.vch())
	if err != nil {
		return nil, err
	}
	if c.r.URL.Query().Get("format") == "toml" {
		text, err := option.TOML(operation.CreateOptions(), options)
		return &reply{status: http.StatusOK, body: text, header: http.Header{"Content-Type": {"application/toml"}}}, err
	}
	e, err := vch.Open(ctx, c.sess, c.vch(), nil)
	if err != nil {
		return nil, err
	}
	for _, o := range operation.CreateOptions() {
		if o.File || o.Folder {
			delete(options, o.Name) // names of files that only their owner has
		}
	}
	for name, texts := range e.Authorities() {
		options[name] = texts
	}
	return ok(option.Document(createOptions(), options), nil)
}

// bundle is written aside first: an error half-way must not look like a bundle.
func (c *call) bundle(ctx context.Context) (*reply, error) {
	e, err := vch.Open(ctx, c.sess, c.vch(), nil)
	if err != nil {
		return nil, err
	}
	details, err := vch.Inspect(ctx, c.sess, c.vch())
	if err != nil {
		return nil, err
	}
	admin, _ := operation.AdminOf(option.Of(operation.DebugOptions(), c.values.Given()), c.local(), e, details) // the bundle names what is missing
	f, err := os.CreateTemp("", "vic-machine-bundle-")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	defer os.Remove(f.Name())
	if _, err := operation.Bundle(ctx, f, c.sess, e, details, admin); err != nil {
		return nil, err
	}
	c.w.Header().Set("Content-Type", "application/gzip")
	c.w.Header().Set("Content-Disposition", `attachment; filename="vch-logs.tar.gz"`)
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	http.ServeContent(c.w, c.r, "", info.ModTime(), f)
	return nil, nil
}

func (c *call) logLevel(ctx context.Context) (*reply, error) {
	level := c.values.String("log-level")
	if level == "" {
		return nil, invalid("log-level is not given")
	}
	if err := operation.CheckLevel(level); err != nil {
		return nil, err
	}
	if _, err := vch.Inspect(ctx, c.sess, c.vch()); err != nil {
		return nil, err
	}
	s, q := c.sess, c.vch()
	return c.begin(q.ID, func(ctx context.Context, log *progress.Log) (any, error) {
		e, err := vch.Open(ctx, s, q, log)
		if err != nil {
			return nil, err
		}
		return Changed{[]string{"debug"}}, operation.SetLevel(ctx, e, level, log)
	})
}
