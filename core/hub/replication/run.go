package replication

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/hub/registries"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/replicate"
)

// What a task does, in Harbor's words; "" finds what there is to do.
const (
	opCopy   = "copy"
	opDelete = "deletion"
)

// params are what a task is told.
type params struct {
	Policy     int64    `json:"policy"`
	Operation  string   `json:"operation,omitempty"`
	Repository string   `json:"repository,omitempty"` // at the source
	Digest     string   `json:"digest,omitempty"`
	Tags       []string `json:"tags,omitempty"`
	To         string   `json:"to,omitempty"`  // the repository at the destination
	Via        []string `json:"via,omitempty"` // hubs that it has passed before this one
}

// Work is what a task is to do, as lists show it.
type Work struct {
	Operation, Repository, Digest, To string
	Tags                              []string
}

// Describe reads what a task's payload says.
func Describe(payload json.RawMessage) (Work, error) {
	var w params
	err := json.Unmarshal(payload, &w)
	return Work{w.Operation, w.Repository, w.Digest, w.To, w.Tags}, err
}

// Report is what a task tells of itself, for people.
type Report struct {
	Project   string   `json:"project,omitempty"` // of this hub
	Kind      string   `json:"kind,omitempty"`
	Artifact  string   `json:"artifact"`
	From      string   `json:"from"`
	To        string   `json:"to"`
	Tags      []string `json:"tags,omitempty"`
	Operation string   `json:"operation"`
	Outcome   string   `json:"outcome,omitempty"` // "": not yet, or not at all
	Sent      int64    `json:"sent"`              // bytes, of all attempts
	Skipped   int64    `json:"skipped"`
	Referrers int      `json:"referrers,omitempty"`
}

// report is what a task tells before it has done anything.
func (w params) report() Report {
	return Report{Artifact: w.Repository + "@" + w.Digest, From: w.Repository, To: w.To, Tags: w.Tags, Operation: w.Operation, Project: project(w.Repository),
		Kind: Image}
}

// Bounds of a run.
const (
	longest   = 12 * time.Hour // one attempt of a task
	attempts  = 30
	firstWait = 2 * time.Second
	longWait  = 5 * time.Minute
	maxTasks  = 1_000_000 // of one run
	maxTags   = 1000      // of one artifact
	keepRuns  = 200
	batch     = 100
)

// Jobs is the kind.
func (r *Replication) Jobs() jobs.Kind {
	return jobs.Kind{Name: Kind, Timeout: longest, Attempts: attempts, Parallel: r.o.Parallel, Keep: keepRuns, Run: r.run, Ended: r.ended,
		Backoff: func(failures int) time.Duration { return min(firstWait<<min(failures-1, 10), longWait) }}
}

// Start begins a run of a rule by hand. errdef.ErrNotFound, errdef.ErrConflict for one that is disabled.
func (r *Replication) Start(ctx context.Context, policy int64) (id int64, err error) {
	p, err := r.Get(ctx, policy)
	if err != nil {
		return 0, err
	}
	if !p.Enabled {
		return 0, fmt.Errorf("the replication policy %s is disabled: %w", p.Name, errdef.ErrConflict)
	}
	err = r.o.DB.Tx(ctx, func(tx *store.Tx) error {
		id, err = r.o.Queue().Enqueue(tx, jobs.Request{Kind: Kind, Subject: policy, Payload: params{Policy: policy}})
		return err
	})
	return id, err
}

func (r *Replication) run(ctx context.Context, j *jobs.Job) error {
	var w params
	if err := j.Decode(&w); err != nil {
		return err
	}
	p, err := r.Get(ctx, w.Policy)
	if errors.Is(err, errdef.ErrNotFound) {
		return jobs.Permanent(errors.New("the policy has been removed"))
	}
	if err != nil {
		return err
	}
	if !p.Enabled {
		j.Logf("the policy is disabled: nothing is done")
		return nil
	}
	e, err := r.o.Registries().Get(ctx, p.Endpoint)
	if err != nil {
		return err
	}
	d, err := r.driver(ctx, e.Kind)
	if err != nil {
		return err
	}
	switch w.Operation {
	case "":
		return r.spread(ctx, j, p, e, d)
	case opDelete:
		return r.remove(ctx, j, e, d, w)
	}
	return r.copy(ctx, j, p, e, d, w)
}

// outcome is what the queue makes of an error of a plugin: what trying again does not change is tried once.
func outcome(err error) error {
	for _, class := range []error{errdef.ErrInvalid, errdef.ErrExhausted, errdef.ErrUnsupported, errdef.ErrExists, errdef.ErrConflict} {
		if errors.Is(err, class) {
			return jobs.Permanent(err)
		}
	}
	return err
}

// project is the first part of a repository's name.
func project(repository string) string {
	name, _, _ := strings.Cut(repository, "/")
	return name
}

// work is one copy.
type work struct {
	r      *Replication
	j      *jobs.Job
	p      Policy
	d      Driver
	w      params
	report Report
	base   int64 // bytes that earlier attempts and tags sent
	mark   mark
}

func (r *Replication) copy(ctx context.Context, j *jobs.Job, p Policy, e registries.Endpoint, d Driver, w params) error {
	x := &work{r: r, j: j, p: p, d: d, w: w, mark: mark{r: r, task: j.ID}}
	x.report = w.report()
	need := replicate.CapPush
	if p.Pull {
		x.report.Project, need = project(w.To), replicate.CapPull
	}
	x.before()
	if !d.can(need) {
		return jobs.Permanent(fmt.Errorf("the plugin %s cannot %s: %w", d.Name, need, errdef.ErrUnsupported))
	}
	req, err := x.request(ctx, e)
	if err != nil {
		return err
	}
	tags := w.Tags
	if len(tags) == 0 {
		tags = []string{""}
	}
	for _, tag := range tags {
		req.ToTag = tag
		if err := x.one(ctx, req); err != nil {
			return err
		}
	}
	x.report.Outcome = "Success"
	j.Tell(x.report)
	return x.mark.forget(ctx)
}

// before takes over what earlier attempts have told.
func (x *work) before() {
	var old Report
	if readJSON(x.j.Report, &old) == nil {
		x.base = old.Sent
	}
	x.report.Sent = x.base
	x.j.Tell(x.report)
}

// request makes ready at the destination, and says what is copied.
func (x *work) request(ctx context.Context, e registries.Endpoint) (req replicate.CopyRequest, err error) {
	remote, err := x.r.remote(e)
	if err != nil {
		return req, jobs.Permanent(err)
	}
	here := x.w.Repository
	if x.p.Pull {
		here = x.w.To
	}
	local, err := x.r.o.Local(ctx, x.j.ID, here, x.p.Pull)
	if err != nil {
		return req, err
	}
	req = replicate.CopyRequest{ID: fmt.Sprintf("%s-%d", Kind, x.j.ID), From: local, To: remote, Repository: x.w.Repository, Digest: x.w.Digest,
		ToRepository: x.w.To, Override: x.p.Override, Referrers: true, BytesPerSecond: x.p.Speed, Parallel: x.r.o.Blobs}
	if x.p.Pull {
		req.From, req.To = remote, local
		err = x.r.makeProject(ctx, project(x.w.To))
	} else {
		req.Via = append(x.w.Via[:len(x.w.Via):len(x.w.Via)], x.r.o.Registry().ID())
		err = x.r.prepare(ctx, x.d, e.ID, remote, x.w)
	}
	if err == nil {
		req.Checkpoint, err = x.mark.load(ctx)
	}
	return req, err
}

// patience is how long a task waits where it is when a registry says when to try again.
const patience = 2 * time.Minute

// one copies for one tag. What is gone, and a tag that may not be moved, is no failure.
func (x *work) one(ctx context.Context, req replicate.CopyRequest) error {
	name := req.Repository + "@" + req.Digest
	res, err := x.d.Copy(ctx, req, func(p replicate.Progress) error { return x.progress(ctx, p) })
	if after, ok := replicate.After(err); ok && after <= patience {
		x.j.Logf("the registry asks to wait for %s", after)
		select {
		case <-time.After(after):
		case <-ctx.Done():
		}
	}
	switch {
	case errors.Is(err, errdef.ErrNotFound):
		x.j.Logf("%s is not there any more", name)
		return nil
	case errors.Is(err, errdef.ErrExists) && (!x.p.Override || len(x.w.Via) > 0):
		x.j.Logf("%s stays as it is at the destination: %v", req.ToTag, err)
		return nil
	case errors.Is(err, errdef.ErrDenied) && len(x.w.Via) > 0 && strings.Contains(err.Error(), "went out from here"):
		x.j.Logf("%s stays as it is at the destination: %v", req.ToTag, err)
		return nil
	case err != nil:
		return outcome(err)
	}
	x.base += res.Bytes
	x.report.Sent = x.base
	x.report.Skipped += res.Skipped
	x.report.Referrers = res.Referrers
	x.j.Logf("copied %s to %s:%s: %d bytes sent, %d were there, %d referrers", name, req.ToRepository, req.ToTag, res.Bytes, res.Skipped, res.Referrers)
	x.j.Tell(x.report)
	return nil
}

func (x *work) progress(ctx context.Context, p replicate.Progress) error {
	x.report.Sent = x.base + p.Bytes
	x.j.Tell(x.report)
	x.j.Progress(p.Bytes+p.Skipped, p.Total)
	return x.mark.keep(ctx, p.Checkpoint)
}

func (r *Replication) remove(ctx context.Context, j *jobs.Job, e registries.Endpoint, d Driver, w params) error {
	rep := w.report()
	j.Tell(rep)
	if !d.can(replicate.CapDelete) {
		return jobs.Permanent(fmt.Errorf("the plugin %s cannot delete: %w", d.Name, errdef.ErrUnsupported))
	}
	remote, err := r.remote(e)
	if err != nil {
		return jobs.Permanent(err)
	}
	tags := w.Tags
	if len(tags) == 0 {
		tags = []string{""}
	}
	for _, tag := range tags {
		err := d.Delete(ctx, replicate.DeleteRequest{Remote: remote, Repository: w.To, Tag: tag, Digest: w.Digest})
		if errors.Is(err, errdef.ErrConflict) && tag != "" {
			j.Logf("tag %s stays: %v", tag, err)
			continue
		}
		if err != nil {
			return outcome(err)
		}
		j.Logf("deleted %s:%s %s", w.To, tag, w.Digest)
	}
	rep.Outcome = "Success"
	j.Tell(rep)
	return nil
}

// makeProject makes a project of this hub that is not there: private, and without a bound.
func (r *Replication) makeProject(ctx context.Context, name string) error {
	_, err := r.o.Registry().FindProject(ctx, r.o.DB, name)
	if !errors.Is(err, errdef.ErrNotFound) {
		return err
	}
	err = r.o.DB.Tx(ctx, func(tx *store.Tx) error {
		_, err := r.o.Registry().CreateProject(tx, registry.Project{Name: name, Quota: -1, RepoQuota: -1})
		return err
	})
	if errors.Is(err, errdef.ErrExists) {
		return nil
	}
	return outcome(err)
}

const (
	preparedLife = time.Minute
	maxPrepared  = 10_000
)

// prepare has a plugin make the project at the destination, once in a while.
func (r *Replication) prepare(ctx context.Context, d Driver, endpoint int64, remote replicate.Endpoint, w params) error {
	if !d.can(replicate.CapPrepare) {
		return nil
	}
	key := fmt.Sprintf("%d %s", endpoint, project(w.To))
	r.mu.Lock()
	fresh := r.o.Now().Sub(r.prepared[key]) < preparedLife
	r.mu.Unlock()
	if fresh {
		return nil
	}
	public := false
	if p, err := r.o.Registry().FindProject(ctx, r.o.DB, project(w.Repository)); err == nil {
		public = p.Public
	}
	if err := d.Prepare(ctx, replicate.PrepareRequest{Remote: remote, Repository: w.To, Public: public}); err != nil {
		return outcome(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.prepared) >= maxPrepared {
		clear(r.prepared)
	}
	r.prepared[key] = r.o.Now()
	return nil
}
