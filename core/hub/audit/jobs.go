package audit

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

// Purge is the name of the jobs that forget old lines, Harbor's.
const Purge = "PURGE_AUDIT_LOG"

// purgeParams are the payload of such a job.
type purgeParams struct {
	KeepDays int `json:"keep_days"`
}

// Jobs is the kind of jobs that forget old lines.
func (l *Log) Jobs() jobs.Kind {
	return jobs.Kind{Name: Purge, Parallel: 1, Attempts: 3, Alone: func(int64) string { return "purge" }, Run: func(ctx context.Context, j *jobs.Job) error {
		var p purgeParams
		if err := j.Decode(&p); err != nil {
			return err
		}
		if p.KeepDays <= 0 {
			return jobs.Permanent(errors.New("keep_days is not above 0"))
		}
		before := l.now().AddDate(0, 0, -p.KeepDays)
		n, err := l.Forget(ctx, before)
		j.Logf("%d lines from before %s are removed", n, before.UTC().Format(time.RFC3339))
		return err
	}}
}

// Prepare has old lines forgotten each night, or never if days is 0.
func Prepare(ctx context.Context, db *store.Store, q *jobs.Queue, days int) error {
	return db.Tx(ctx, func(tx *store.Tx) error {
		if days == 0 {
			return q.Unschedule(tx, Purge, 0)
		}
		const nightly = "0 30 1 * * *"
		s, err := q.Schedule(ctx, tx, Purge, 0)
		if err != nil && !errors.Is(err, errdef.ErrNotFound) {
			return err
		}
		var is purgeParams
		if err == nil && json.Unmarshal(s.Params, &is) == nil && is.KeepDays == days {
			return nil // a run that was missed is not put off
		}
		return q.SetSchedule(tx, Purge, 0, nightly, purgeParams{days})
	})
}
