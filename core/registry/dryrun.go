package registry

import (
	"database/sql"
	"errors"

	"github.com/opencontainers/go-digest"

	"github.com/openvic/vic/core/store"
)

// named is a manifest or a blob in a repository.
type named struct {
	repo   int64
	digest digest.Digest
}

// estimate is a dry run. It keeps what would go in memory: some hundred bytes for each manifest and blob of it.
type estimate struct {
	*collector
	manifests map[named]bool   // that would go
	blobs     map[named]bool   // whose last need may go
	held      []held           // that something held when they were looked at
	projects  map[string]int64 // how long untagged ones stay, in milliseconds; below 0: for ever
}

// held is a manifest that would go if what names it went.
type held struct {
	named
	subject  digest.Digest
	referrer bool
}

// dryRun tells what would go, as the rows are now, if all that is due were settled and all that follows from it.
func (c *collector) dryRun() (Collected, error) {
	e := &estimate{collector: c, manifests: map[named]bool{}, blobs: map[named]bool{}, projects: map[string]int64{}}
	for _, f := range []func() error{e.candidates, e.untagged, e.again, e.content, e.objects} {
		if err := f(); err != nil {
			return c.done, err
		}
	}
	return c.done, nil
}

// candidates goes through what is due.
func (e *estimate) candidates() error {
	last := due{kind: "", due: -1}
	for more := true; more; {
		var list []due
		var err error
		list, more, err = store.List(e.ctx, e.g.store, e.o.Batch, scanDue, `SELECT `+dueColumns+` WHERE v.due <= $1
			AND (v.due, v.repo_id, v.kind, v.digest) > ($2, $3, $4, $5)
			ORDER BY v.due, v.repo_id, v.kind, v.digest LIMIT $6`, e.until, last.due, last.place.repo, last.kind, last.digest.String())
		if err != nil {
			return err
		}
		for _, d := range list {
			e.done.Reviewed++
			if err := e.consider(d); err != nil {
				return err
			}
			last = d
		}
		e.o.Progress(e.done)
		if err := e.rest(); err != nil {
			return err
		}
	}
	return nil
}

// untagged goes through all manifests without a tag, if the run would.
func (e *estimate) untagged() error {
	if !e.o.Untagged {
		return nil
	}
	type row struct {
		named
		id, pushed int64
		repo       string
	}
	var last int64
	for more := true; more; {
		var list []row
		var err error
		list, more, err = store.List(e.ctx, e.g.store, e.o.Batch, func(r *sql.Rows) (x row, err error) {
			return x, r.Scan(&x.id, &x.named.repo, &x.digest, &x.pushed, &x.repo)
		}, `SELECT m.id, m.repo_id, m.digest, m.pushed, r.name FROM manifest m JOIN repo r ON r.id = m.repo_id
			WHERE m.id > $1 AND NOT EXISTS (SELECT 1 FROM tag t WHERE t.manifest_id = m.id) ORDER BY m.id LIMIT $2`, last)
		if err != nil {
			return err
		}
		for _, x := range list {
			last = x.id
			e.done.Reviewed++
			if keep, err := e.keep(projectOf(x.repo)); err != nil {
				return err
			} else if keep < 0 || x.pushed+keep > e.until {
				continue
			}
			if err := e.drop(x.named, "", false); err != nil {
				return err
			}
		}
		e.o.Progress(e.done)
		if err := e.rest(); err != nil {
			return err
		}
	}
	return nil
}

func (e *estimate) consider(d due) error {
	if d.kind == reviewBlob {
		e.blobs[named{d.place.repo, d.digest}] = true
		return nil
	}
	if d.kind == reviewRepo {
		return nil
	}
	if d.kind == reviewUntagged {
		keep, err := e.keep(projectOf(d.name))
		if err != nil || keep < 0 || d.since+keep > e.until {
			return err
		}
	}
	return e.drop(named{d.place.repo, d.digest}, d.about, d.kind == reviewReferrer)
}

func (e *estimate) keep(project string) (int64, error) {
	if ms, ok := e.projects[project]; ok {
		return ms, nil
	}
	keep, err := e.collector.keep(project)
	ms := int64(-1)
	if keep >= 0 {
		ms = keep.Milliseconds()
	}
	e.projects[project] = ms
	return ms, err
}

// drop counts a manifest that nothing would hold, and goes on with its referrers and its blobs.
func (e *estimate) drop(m named, subject digest.Digest, referrer bool) error {
	if e.manifests[m] {
		return nil
	}
	var id int64
	err := e.g.store.QueryRow(e.ctx, `SELECT m.id FROM manifest m WHERE m.repo_id = $1 AND m.digest = $2
		AND NOT EXISTS (SELECT 1 FROM tag t WHERE t.manifest_id = m.id AND NOT ($3 <> '' AND t.name >= $3 AND t.name < $4))
		AND NOT EXISTS (SELECT 1 FROM manifest s WHERE s.repo_id = m.repo_id AND s.digest = CASE WHEN $5 <> '' THEN $5 ELSE m.subject END)`,
		m.repo, m.digest.String(), tagStart(subject, referrer), tagStart(subject, referrer)+"/", subject.String()).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	if stays, err := e.holds(m); err != nil || stays {
		e.held = append(e.held, held{m, subject, referrer})
		return err
	}
	e.manifests[m] = true
	e.done.Manifests++
	refs, err := e.names(`SELECT digest FROM manifest_ref WHERE manifest_id = $1`, id)
	if err != nil {
		return err
	}
	for _, d := range refs {
		e.blobs[named{m.repo, d}] = true
	}
	referrers, err := e.names(`SELECT digest FROM manifest WHERE repo_id = $1 AND subject = $2`, m.repo, m.digest.String())
	if err != nil {
		return err
	}
	for _, d := range referrers {
		if err := e.orphaned(named{m.repo, d}); err != nil {
			return err
		}
	}
	return nil
}

// orphaned counts a referrer of a manifest that would go.
func (e *estimate) orphaned(m named) error {
	var tagged bool
	err := e.g.store.QueryRow(e.ctx, `SELECT EXISTS (SELECT 1 FROM manifest m JOIN tag t ON t.manifest_id = m.id WHERE m.repo_id = $1 AND m.digest = $2)`,
		m.repo, m.digest.String()).Scan(&tagged)
	if err != nil || tagged || e.manifests[m] {
		return err
	}
	e.manifests[m] = true
	e.done.Manifests++
	refs, err := e.names(`SELECT f.digest FROM manifest m JOIN manifest_ref f ON f.manifest_id = m.id WHERE m.repo_id = $1 AND m.digest = $2`, m.repo,
		m.digest.String())
	for _, d := range refs {
		e.blobs[named{m.repo, d}] = true
	}
	return err
}

// tagStart is where the tags of a subject's companions begin; "" if a manifest is no companion.
func tagStart(subject digest.Digest, referrer bool) string {
	if !referrer {
		return ""
	}
	return companionTag(subject)
}

// again looks at those that something held until nothing more would go.
func (e *estimate) again() error {
	for before := -1; before != e.done.Manifests; {
		before = e.done.Manifests
		list := e.held
		e.held = nil
		for _, h := range list {
			if err := e.drop(h.named, h.subject, h.referrer); err != nil {
				return err
			}
		}
	}
	return nil
}

// holds says whether a manifest that stays names m.
func (e *estimate) holds(m named) (bool, error) {
	by, err := e.names(`SELECT i.digest FROM manifest_ref f JOIN manifest i ON i.id = f.manifest_id WHERE f.repo_id = $1 AND f.digest = $2`, m.repo,
		m.digest.String())
	for _, d := range by {
		if !e.manifests[named{m.repo, d}] {
			return true, err
		}
	}
	return false, err
}

func (e *estimate) names(query string, args ...any) ([]digest.Digest, error) {
	list, _, err := store.List(e.ctx, e.g.store, maxRefs, func(r *sql.Rows) (d digest.Digest, err error) { return d, r.Scan(&d) },
		query+` LIMIT $`+string(rune('1'+len(args))), args...)
	return list, err
}

// content counts the blobs that would lose their last need, and the bytes of those that would lose their last repository.
func (e *estimate) content() error {
	links := map[digest.Digest]int64{}
	for b := range e.blobs {
		if stays, err := e.holds(b); err != nil {
			return err
		} else if stays {
			continue
		}
		var there bool
		err := e.g.store.QueryRow(e.ctx, `SELECT EXISTS (SELECT 1 FROM repo_blob WHERE repo_id = $1 AND digest = $2)`, b.repo, b.digest.String()).Scan(&there)
		if err != nil {
			return err
		}
		if there {
			e.done.Unlinked++
			links[b.digest]++
		}
	}
	for d, n := range links {
		var size, all int64
		err := e.g.store.QueryRow(e.ctx, `SELECT b.size, (SELECT count(*) FROM repo_blob l WHERE l.digest = b.digest) FROM blob b WHERE b.digest = $1`,
			d.String()).Scan(&size, &all)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return err
		}
		if n == all && size > 0 {
			e.done.Objects++
			e.done.Bytes += size
		}
	}
	return nil
}

// objects counts the trash and the uploads that nobody goes on with.
func (e *estimate) objects() error {
	var n int
	var bytes int64
	if err := e.g.store.QueryRow(e.ctx, `SELECT count(*), CAST(coalesce(sum(size), 0) AS BIGINT) FROM trash`).Scan(&n, &bytes); err != nil {
		return err
	}
	e.done.Objects += n
	e.done.Bytes += bytes
	err := e.g.store.QueryRow(e.ctx, `SELECT count(*), CAST(coalesce(sum(size), 0) AS BIGINT) FROM upload WHERE touched < $1`,
		e.until-e.g.o.UploadLife.Milliseconds()).Scan(&n, &bytes)
	e.done.Uploads += n
	e.done.Objects += n
	e.done.Bytes += bytes
	return err
}
