package registry

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/opencontainers/go-digest"

	"github.com/openvic/vic/core/store"
)

// Collected is what a run of the collector did, or would do.
type Collected struct {
	Reviewed     int   // rows looked at
	Manifests    int   // manifests removed: untagged ones by policy, referrers of deleted subjects
	Unlinked     int   // blobs taken from repositories
	Repositories int   // empty repositories removed
	Uploads      int   // uploads that nobody went on with
	Objects      int   // objects removed from the storage
	Bytes        int64 // of those objects
	Failed       int   // objects that the storage did not remove; they are tried again later
}

// CollectOptions of a run.
type CollectOptions struct {
	// DryRun changes nothing and tells what would go in the end, also what would only be looked at in later runs.
	DryRun bool
	// Untagged removes manifests without a tag also where the Policy lets them stay for ever, unless they were pushed or
	// lost their tag within Options.Grace.
	Untagged bool
	// Batch is how many rows are worked on at a time; 0: 200.
	Batch int
	// Pause is how long the collector rests between batches, for a storage that has other work.
	Pause time.Duration
	// Progress, if not nil, is told after each batch.
	Progress func(Collected)
}

// retryTrash is when an object is tried again that the storage did not remove.
const retryTrash = 10 * time.Minute

// Collector is the caller in events of the collector.
const Collector = "gc"

// collector is one run.
type collector struct {
	g    *Registry
	ctx  context.Context
	o    CollectOptions
	done Collected
	errs []error // of the storage
	// until is when the run began: it does what was due then, so that it ends while pushes and deletes go on.
	until int64
	// others is how many transactions others had begun when the collector last looked, and own how many it had.
	others, own int64
}

const (
	// maxSettle is how many rows one transaction settles: about a millisecond, for which a push may have to wait.
	maxSettle = 5
	// duty is the part of the time that the collector takes while others write: one in so many.
	duty = 10
)

// tx runs a transaction, and then lets others go first if there are any. What a crash of the machine takes of it the next run
// does again; only objects may not go before the rows that say so, which trash sees to.
func (c *collector) tx(f func(*store.Tx) error) error {
	var took time.Duration // its turn alone, not the wait for it
	c.own++
	err := c.g.store.Lazy(c.ctx, func(tx *store.Tx) error {
		began := time.Now()
		defer func() { took = time.Since(began) }()
		return f(tx)
	})
	if err != nil {
		return err
	}
	others := c.g.store.Transactions() - c.own
	busy := others != c.others
	c.others = others
	if busy {
		_ = c.wait(min((duty-1)*took, time.Second)) // what is committed is told even when the run ends here
	}
	return nil
}

// Collect removes what is due: uploads that nobody goes on with, manifests by policy, blobs that no manifest of their
// repository needs, and at last objects. It may be killed at any moment and run again, in several processes at once;
// pushes and pulls go on. It stops between two batches when ctx ends. An error tells what is left.
func (g *Registry) Collect(ctx context.Context, o CollectOptions) (Collected, error) {
	if o.Batch <= 0 {
		o.Batch = 200
	}
	if o.Progress == nil {
		o.Progress = func(Collected) {}
	}
	c := &collector{g: g, ctx: ctx, o: o, until: g.now()}
	if o.DryRun {
		return c.dryRun()
	}
	if o.Untagged {
		if err := c.allUntagged(); err != nil {
			return c.done, fmt.Errorf("garbage collection: %w", err)
		}
	}
	for _, step := range []func() (int, error){c.uploads, c.reviews, c.trash} {
		for {
			n, err := step()
			if err != nil {
				return c.done, fmt.Errorf("garbage collection: %w", err)
			}
			if n == 0 {
				break
			}
			o.Progress(c.done)
			if err := c.rest(); err != nil {
				return c.done, err
			}
		}
	}
	return c.done, errors.Join(c.errs...)
}

func (c *collector) rest() error { return c.wait(c.o.Pause) }

func (c *collector) wait(d time.Duration) error {
	if d <= 0 {
		return c.ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
}

type object struct {
	id       string // of an upload
	location string
	size     int64
	partial  bool
}

// uploads moves those that nobody goes on with to the trash.
func (c *collector) uploads() (int, error) {
	old := c.until - c.g.o.UploadLife.Milliseconds()
	list, _, err := store.List(c.ctx, c.g.store, c.o.Batch, func(r *sql.Rows) (o object, err error) { return o, r.Scan(&o.id, &o.location, &o.size) },
		`SELECT id, location, size FROM upload WHERE touched < $1 AND claimed_until < $2 ORDER BY touched LIMIT $3`, old, c.until)
	if err != nil || len(list) == 0 {
		return 0, err
	}
	gone := 0
	err = c.tx(func(tx *store.Tx) error {
		gone = 0
		for _, o := range list {
			if !c.g.busy.take(o.id) { // a request of this process has been writing it all the time
				if _, err := tx.Exec(`UPDATE upload SET touched = $1 WHERE id = $2`, c.g.now(), o.id); err != nil {
					return err
				}
				continue
			}
			n, err := tx.Exec(`DELETE FROM upload WHERE id = $1 AND touched < $2 AND claimed_until < $3`, o.id, old, c.until)
			c.g.busy.give(o.id)
			if err == nil && n > 0 {
				gone++
				err = trash(tx, o.location, o.size, c.until, true)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	c.done.Uploads += gone
	return len(list), err
}

// due is a row of review.
type due struct {
	place
	name          string // of the repository
	kind          string
	digest, about digest.Digest
	since, due    int64
}

const dueColumns = `v.repo_id, p.id, r.name, v.kind, v.digest, v.subject, v.since, v.due FROM review v JOIN repo r ON r.id = v.repo_id
	JOIN project p ON p.id = r.project_id`

func scanDue(r *sql.Rows) (d due, err error) {
	return d, r.Scan(&d.place.repo, &d.project, &d.name, &d.kind, &d.digest, &d.about, &d.since, &d.due)
}

// reviews settles a batch, in small transactions of one repository each, so that nobody is held up for long.
func (c *collector) reviews() (int, error) {
	list, _, err := store.List(c.ctx, c.g.store, c.o.Batch, scanDue, `SELECT `+dueColumns+` WHERE v.due <= $1 ORDER BY v.due LIMIT $2`, c.until)
	if err != nil {
		return 0, err
	}
	slices.SortFunc(list, func(a, b due) int {
		return cmp.Or(cmp.Compare(a.place.repo, b.place.repo), cmp.Compare(a.digest, b.digest), cmp.Compare(a.kind, b.kind))
	})
	for rest := list; len(rest) > 0; {
		n := slices.IndexFunc(rest, func(d due) bool { return d.place.repo != rest[0].place.repo })
		if n < 0 {
			n = len(rest)
		}
		n = min(n, maxSettle)
		if err := c.settleRepo(rest[:n]); err != nil {
			return 0, err
		}
		rest = rest[n:]
	}
	return len(list), nil
}

// keep is how long a project keeps untagged manifests in this run; below 0: for ever.
func (c *collector) keep(project string) (time.Duration, error) {
	d, err := c.g.policy.Untagged(c.ctx, project)
	if err == nil && d < 0 && c.o.Untagged {
		d = c.g.o.Grace
	}
	return d, err
}

// allUntagged puts all manifests without a tag before the collector, a project at a time.
func (c *collector) allUntagged() error {
	last := ""
	for more := true; more; {
		var list []Project
		var err error
		if list, more, err = c.g.ListProjects(c.ctx, last, c.o.Batch); err != nil {
			return err
		}
		for _, p := range list {
			last = p.Name
			err := c.tx(func(tx *store.Tx) error {
				_, err := reviewAllUntagged(tx, p.ID, c.until)
				return err
			})
			if err != nil {
				return err
			}
			if err := c.rest(); err != nil {
				return err
			}
		}
	}
	return nil
}

// settleRepo settles some of what is due of one repository.
func (c *collector) settleRepo(list []due) error {
	keep := time.Duration(-1)
	if slices.ContainsFunc(list, func(d due) bool { return d.kind == reviewUntagged }) {
		var err error
		if keep, err = c.keep(projectOf(list[0].name)); err != nil {
			return err
		}
	}
	var did Collected
	var events []Event
	err := c.tx(func(tx *store.Tx) error {
		did, events = Collected{}, nil
		if _, err := lockProject(tx, list[0].name); err != nil {
			return err
		}
		for _, d := range list {
			did.Reviewed++
			n, err := tx.Exec(`DELETE FROM review WHERE repo_id = $1 AND kind = $2 AND digest = $3 AND due = $4`, d.place.repo, d.kind, d.digest.String(), d.due)
			if err != nil {
				return err
			}
			if n == 0 { // put off, or settled by another process
				continue
			}
			if err := c.settle(tx, d, keep, &did, &events); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	c.done.Reviewed += did.Reviewed
	c.done.Manifests += did.Manifests
	c.done.Unlinked += did.Unlinked
	c.done.Repositories += did.Repositories
	for _, e := range events {
		c.g.watch.Happened(c.ctx, e)
	}
	return nil
}

// settle does what a row asks for. keep is the project's rule for untagged manifests.
func (c *collector) settle(tx *store.Tx, d due, keep time.Duration, did *Collected, events *[]Event) error {
	switch d.kind {
	case reviewBlob:
		by, err := needed(tx, d.place, d.digest)
		if err != nil || by != "" {
			return err
		}
		_, gone, err := c.g.unlink(tx, d.place, d.digest)
		if gone {
			did.Unlinked++
		}
		return err
	case reviewRepo:
		return c.removeEmpty(tx, d, did)
	}
	m, err := load(tx, d.place, d.name, d.digest)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	var drop bool
	if d.kind == reviewUntagged {
		if drop, err = c.untagged(tx, d, m); err == nil && drop {
			if keep < 0 {
				return nil
			}
			if at := d.since + keep.Milliseconds(); at > c.until {
				_, err := tx.Exec(`INSERT INTO review (repo_id, kind, digest, since, due) VALUES ($1, $2, $3, $4, $5)`, d.place.repo, d.kind, d.digest.String(),
					d.since, at)
				return err
			}
		}
	} else {
		drop, err = c.orphan(tx, d, m)
	}
	if err != nil || !drop {
		return err
	}
	if err := c.g.dropManifest(tx, d.place, m); err != nil {
		return err
	}
	did.Manifests++
	e := Event{Kind: EventDelete, ProjectID: d.project, Time: c.g.o.Now(), Caller: Collector, Artifact: m.Artifact, Tags: m.tags}
	*events = append(*events, e)
	return c.g.watch.Changing(tx, e)
}

// untagged says whether nothing holds a manifest: no tag, no index, no subject.
func (c *collector) untagged(tx *store.Tx, d due, m *stored) (bool, error) {
	if len(m.tags) > 0 {
		return false, nil
	}
	by, err := needed(tx, d.place, m.Digest)
	if err != nil || by != "" || m.Subject == "" {
		return err == nil && by == "", err
	}
	there, err := hasManifest(tx, d.place, m.Subject)
	return !there, err
}

// orphan says whether a manifest goes with its deleted subject. Its tags do if they only name the subject; one that
// somebody gave it keeps it.
func (c *collector) orphan(tx *store.Tx, d due, m *stored) (bool, error) {
	there, err := hasManifest(tx, d.place, d.about)
	if err != nil || there {
		return false, err
	}
	own := 0
	for _, t := range m.tags {
		if base := companionTag(d.about); t != base && !strings.HasPrefix(t, base+".") {
			own++
			continue
		}
		if _, err := tx.Exec(`DELETE FROM tag WHERE repo_id = $1 AND name = $2`, d.place.repo, t); err != nil {
			return false, err
		}
		if _, err := tx.Exec(`UPDATE repo SET version = version + 1 WHERE id = $1`, d.place.repo); err != nil {
			return false, err
		}
	}
	by, err := needed(tx, d.place, m.Digest)
	return own == 0 && by == "", err
}

func hasManifest(tx *store.Tx, p place, d digest.Digest) (there bool, err error) {
	err = tx.Row(`SELECT EXISTS (SELECT 1 FROM manifest WHERE repo_id = $1 AND digest = $2)`, p.repo, d.String()).Scan(&there)
	return there, err
}

// removeEmpty removes a repository that has nothing. The next push makes it again.
func (c *collector) removeEmpty(tx *store.Tx, d due, did *Collected) error {
	n, err := tx.Exec(`DELETE FROM repo WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM repo_blob WHERE repo_id = $1)
		AND NOT EXISTS (SELECT 1 FROM manifest WHERE repo_id = $1)`, d.place.repo)
	if err != nil || n == 0 {
		return err
	}
	did.Repositories++
	_, err = tx.Exec(`UPDATE project SET repos = repos - 1 WHERE id = $1`, d.project)
	return err
}

// trash removes a batch of objects and then their rows. Its locations are never used again, so that two processes, or
// one that was killed and comes again, do no harm.
func (c *collector) trash() (int, error) {
	list, _, err := store.List(c.ctx, c.g.store, c.o.Batch, func(r *sql.Rows) (o object, err error) { return o, r.Scan(&o.location, &o.size, &o.partial) },
		`SELECT location, size, partial FROM trash WHERE due <= $1 ORDER BY due LIMIT $2`, c.until)
	if err != nil || len(list) == 0 {
		return 0, err
	}
	if err := c.g.store.Durable(); err != nil {
		return 0, err
	}
	failed := map[string]bool{}
	for _, o := range list {
		if err := c.ctx.Err(); err != nil {
			return 0, err
		}
		if err := c.g.remove(c.ctx, o); err != nil {
			failed[o.location] = true
			if c.done.Failed++; len(c.errs) < 10 {
				c.errs = append(c.errs, fmt.Errorf("object %s: %w", o.location, err))
			}
			continue
		}
		c.done.Objects++
		c.done.Bytes += o.size
	}
	return len(list), c.tx(func(tx *store.Tx) (err error) {
		for _, o := range list {
			if failed[o.location] {
				_, err = tx.Exec(`UPDATE trash SET due = $1 WHERE location = $2`, c.g.after(retryTrash), o.location)
			} else {
				_, err = tx.Exec(`DELETE FROM trash WHERE location = $1`, o.location)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// remove removes an object from the storage, and what there is of one that was never completed.
func (g *Registry) remove(ctx context.Context, o object) error {
	var begun error
	if o.partial {
		w, err := g.driver.Writer(ctx, o.location, true)
		if err == nil {
			err = w.Cancel(ctx)
		}
		if !errors.As(err, &storagedriver.PathNotFoundError{}) {
			begun = err
		}
	}
	err := g.driver.Delete(ctx, o.location)
	if errors.As(err, &storagedriver.PathNotFoundError{}) {
		return begun
	}
	return err // if it could be deleted it was complete, and there was nothing to cancel
}

// ReviewUntagged has the next run look at all manifests of a project that have no tag, for a project whose rule was
// changed. It tells how many.
func (g *Registry) ReviewUntagged(tx *store.Tx, project int64) (int64, error) {
	return reviewAllUntagged(tx, project, g.now())
}

func reviewAllUntagged(tx *store.Tx, project, due int64) (int64, error) {
	return tx.Exec(`INSERT INTO review (repo_id, kind, digest, since, due) SELECT m.repo_id, 'untagged', m.digest, m.pushed, CAST($1 AS BIGINT)
		FROM manifest m JOIN repo r ON r.id = m.repo_id
		WHERE r.project_id = $2 AND NOT EXISTS (SELECT 1 FROM tag t WHERE t.manifest_id = m.id)`+later, due, project)
}
