// Package gc runs the registry's collector as jobs: by hand, on a schedule, every hour, and when the hub starts.
package gc

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

// Kind is the name of the jobs, Harbor's.
const Kind = "GARBAGE_COLLECTION"

// The subjects: whose run it is. Runs of all take turns.
const (
	ByUser int64 = iota // on request or by the schedule that users set
	Hourly              // the hub's own
)

// Params of a run.
type Params struct {
	// DryRun changes nothing, and tells what would go.
	DryRun bool `json:"dry_run"`
	// Untagged removes manifests without a tag also in projects that have no rule for them.
	Untagged bool `json:"delete_untagged"`
}

// Report is what a run has done so far, or would do. The first three have Harbor's names.
type Report struct {
	FreedSpace   int64 `json:"freed_space"`  // bytes
	Blobs        int   `json:"purged_blobs"` // objects in the storage
	Manifests    int   `json:"purged_manifests"`
	Unlinked     int   `json:"unlinked_blobs"` // blobs taken from repositories; their content goes later
	Repositories int   `json:"purged_repositories"`
	Uploads      int   `json:"purged_uploads"`
	Failed       int   `json:"failed"` // objects that the storage did not remove
	Reviewed     int   `json:"reviewed"`
}

func reportOf(x registry.Collected) Report {
	return Report{FreedSpace: x.Bytes, Blobs: x.Objects, Manifests: x.Manifests, Unlinked: x.Unlinked, Repositories: x.Repositories, Uploads: x.Uploads,
		Failed: x.Failed, Reviewed: x.Reviewed}
}

// longest is how long a run may take; the next one goes on where it ended.
const longest = 24 * time.Hour

// Jobs is the kind. reg is asked for when a run begins.
func Jobs(reg func() *registry.Registry) jobs.Kind {
	return jobs.Kind{Name: Kind, Parallel: 1, Timeout: longest, Alone: func(int64) string { return "gc" },
		Run: func(ctx context.Context, j *jobs.Job) error { return run(ctx, reg(), j) }}
}

func run(ctx context.Context, reg *registry.Registry, j *jobs.Job) error {
	var p Params
	if err := j.Decode(&p); err != nil {
		return err
	}
	j.Logf("garbage collection begins; dry run: %t, manifests without tags: %t", p.DryRun, p.Untagged)
	done, err := reg.Collect(ctx, registry.CollectOptions{DryRun: p.DryRun, Untagged: p.Untagged, Progress: func(x registry.Collected) { j.Tell(reportOf(x)) }})
	r := reportOf(done)
	j.Tell(r)
	would := "removed"
	if p.DryRun {
		would = "of what is due now, this and later runs would remove"
	}
	j.Logf("%s %d objects of %d bytes, %d manifests, %d blobs from repositories, %d repositories, %d uploads; %d rows looked at", would, r.Blobs, r.FreedSpace,
		r.Manifests, r.Unlinked, r.Repositories, r.Uploads, r.Reviewed)
	if err != nil && ctx.Err() == nil && r.Failed > 0 {
		return fmt.Errorf("%d objects could not be removed from the storage; a later run tries them again: %w", r.Failed, err)
	}
	return err
}

// Start adds a run, within a transaction. errdef.ErrConflict if one is under way.
func Start(tx *store.Tx, q *jobs.Queue, cause jobs.Cause, subject int64, p Params) (int64, error) {
	id, err := q.Enqueue(tx, jobs.Request{Kind: Kind, Subject: subject, Cause: cause, Payload: p})
	if errors.Is(err, errdef.ErrConflict) {
		err = fmt.Errorf("a garbage collection is under way; wait until it has ended, or stop it: %w", errdef.ErrConflict)
	}
	return id, err
}

// Prepare has the collector run by itself: every hour if hourly, at a minute that is drawn once for each database, and now if
// now. One that is under way already is enough.
func Prepare(ctx context.Context, db *store.Store, q *jobs.Queue, hourly, now bool) error {
	return db.Tx(ctx, func(tx *store.Tx) error {
		_, err := q.Schedule(ctx, tx, Kind, Hourly)
		switch {
		case hourly && errors.Is(err, errdef.ErrNotFound):
			err = q.SetSchedule(tx, Kind, Hourly, fmt.Sprintf("0 %d * * * *", rand.N(60)), Params{})
		case err == nil && !hourly:
			err = q.Unschedule(tx, Kind, Hourly)
		case errors.Is(err, errdef.ErrNotFound):
			err = nil
		}
		if err != nil || !now {
			return err
		}
		if _, err = Start(tx, q, jobs.ByEvent, Hourly, Params{}); errors.Is(err, errdef.ErrConflict) {
			err = nil
		}
		return err
	})
}
