package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/openvic/vic/core/hub/gc"
	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

// collect is vic-hub gc: a run like any other, which this process or a hub does.
func collect(args []string, stdout, stderr io.Writer) int {
	c := newCommand("gc", stdout, stderr)
	var p gc.Params
	c.flags.BoolVar(&p.DryRun, "dry-run", false, "change nothing, and tell what would go in the end of what is due now")
	c.flags.BoolVar(&p.Untagged, "delete-untagged", false, "also remove manifests without a tag that no rule keeps and that are older than an hour")
	return c.run(args, func(ctx context.Context, h *Hub) (report, error) { return h.collectOnce(ctx, p) })
}

// turnPatience is how long vic-hub gc waits for its turn.
const turnPatience = time.Minute

// collectOnce starts a run and waits for its end; if ctx ends it stops the run.
func (h *Hub) collectOnce(ctx context.Context, p gc.Params) (report, error) {
	kind := gc.Jobs(func() *registry.Registry { return h.registry })
	q := jobs.New(h.db, jobs.Options{Kinds: []jobs.Kind{kind}, Guest: true, Log: h.log, Worker: "vic-hub gc"})
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	worked := make(chan struct{})
	go func() { q.Run(work); close(worked) }()
	defer func() { stop(); <-worked }()
	id, err := h.startCollect(ctx, q, p)
	if err != nil {
		return report{}, err
	}
	e, err := q.Wait(ctx, id)
	if ctx.Err() != nil {
		return report{}, errors.Join(ctx.Err(), h.db.Tx(work, func(tx *store.Tx) error { return q.Stop(tx, id) }))
	}
	if err != nil {
		return report{}, err
	}
	tasks, _, err := q.Tasks(ctx, id, 1, 0)
	if err != nil || len(tasks) == 0 {
		return report{}, errors.Join(errors.New("the run has left no report"), err)
	}
	var did gc.Report
	if len(tasks[0].Report) > 0 {
		if err := json.Unmarshal(tasks[0].Report, &did); err != nil {
			return report{}, fmt.Errorf("report of the run: %w", err)
		}
	}
	if e.Status != jobs.Success {
		if did.Failed == 0 || e.Status != jobs.Error {
			return report{}, fmt.Errorf("garbage collection %d: %s: %s", id, e.Status, e.Message)
		}
		h.log.Warn("the storage did not remove all", "err", e.Message) // it did the rest
	}
	return collected(did, p.DryRun), nil
}

// startCollect waits for its turn while another run is under way.
func (h *Hub) startCollect(ctx context.Context, q *jobs.Queue, p gc.Params) (id int64, err error) {
	patience, cancel := context.WithTimeout(ctx, turnPatience)
	defer cancel()
	for {
		err = h.db.Tx(ctx, func(tx *store.Tx) (err error) {
			id, err = gc.Start(tx, q, jobs.ByHand, gc.ByUser, p)
			return err
		})
		if !errors.Is(err, errdef.ErrConflict) {
			return id, err
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-patience.Done():
			return 0, err
		}
	}
}

// collected is for JSON what the collector did or would do, and for people.
func collected(x gc.Report, dry bool) report {
	text := "removed"
	if dry {
		text = "of what is due now, this and later runs would remove"
	}
	text += fmt.Sprintf(" %d objects of %d bytes, %d manifests, %d blobs from repositories, %d repositories, %d uploads\n",
		x.Blobs, x.FreedSpace, x.Manifests, x.Unlinked, x.Repositories, x.Uploads)
	if x.Failed > 0 {
		text += fmt.Sprintf("%d objects could not be removed from the storage; a later run tries them again\n", x.Failed)
	}
	return report{well: x.Failed == 0, text: text, value: struct {
		DryRun       bool  `json:"dry_run"`
		Objects      int   `json:"objects"`
		Bytes        int64 `json:"bytes"`
		Manifests    int   `json:"manifests"`
		Blobs        int   `json:"blobs"`
		Repositories int   `json:"repositories"`
		Uploads      int   `json:"uploads"`
		Failed       int   `json:"failed"`
	}{dry, x.Blobs, x.FreedSpace, x.Manifests, x.Unlinked, x.Repositories, x.Uploads, x.Failed}}
}
