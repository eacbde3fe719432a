package registry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/core/store"
)

// Fault is something that must not be.
type Fault struct {
	Kind string // constant: what is wrong
	What string // with which object, blob or row
}

// Health is what Fsck saw.
type Health struct {
	Objects int   // in the storage
	Blobs   int   // live content
	Bytes   int64 // of it
	Faults  int
	First   []Fault // the first of them, 100 at most
}

func (h *Health) fault(kind, format string, args ...any) {
	if h.Faults++; len(h.First) < 100 {
		h.First = append(h.First, Fault{kind, fmt.Sprintf(format, args...)})
	}
}

// FsckOptions say how much is looked at.
type FsckOptions struct {
	Hash     bool         // read all content and compare its digests
	Progress func(Health) // if not nil, is told now and then
}

// Fsck compares the rows with one another, with the objects in the storage, and if asked with the content's hashes. It
// walks the storage, which nothing else does. Pushes and deletes may go on: what changes under its eyes is no fault.
func (g *Registry) Fsck(ctx context.Context, o FsckOptions) (Health, error) {
	var h Health
	if o.Progress == nil {
		o.Progress = func(Health) {}
	}
	if err := g.checkObjects(ctx, &h, o); err != nil {
		return h, fmt.Errorf("check of the storage: %w", err)
	}
	if err := g.checkBlobs(ctx, &h, o); err != nil {
		return h, fmt.Errorf("check of the content: %w", err)
	}
	if err := g.checkRows(ctx, &h); err != nil {
		return h, fmt.Errorf("check of the database: %w", err)
	}
	return h, nil
}

// checkObjects looks for objects that not exactly one row names.
func (g *Registry) checkObjects(ctx context.Context, h *Health, o FsckOptions) error {
	err := g.driver.Walk(ctx, root[:len(root)-1], func(f storagedriver.FileInfo) error {
		if f.IsDir() {
			return ctx.Err()
		}
		if h.Objects++; h.Objects%1000 == 0 {
			o.Progress(*h)
		}
		owners, err := g.owners(ctx, f.Path())
		if err != nil || owners == 1 {
			return err
		}
		// The row goes after the object: both may have gone since the walk saw it.
		if _, err := g.driver.Stat(ctx, f.Path()); errors.As(err, &storagedriver.PathNotFoundError{}) {
			return nil
		} else if err != nil {
			return err
		}
		if owners, err = g.owners(ctx, f.Path()); err == nil && owners != 1 {
			h.fault("object that not exactly one row names", "%s: %d rows", f.Path(), owners)
		}
		return err
	})
	if errors.As(err, &storagedriver.PathNotFoundError{}) {
		return nil // nothing was ever pushed
	}
	return err
}

func (g *Registry) owners(ctx context.Context, location string) (n int, err error) {
	err = g.store.QueryRow(ctx, `SELECT (SELECT count(*) FROM upload WHERE location = $1) + (SELECT count(*) FROM blob WHERE location = $1)
		+ (SELECT count(*) FROM trash WHERE location = $1)`, location).Scan(&n)
	return n, err
}

type blobRow struct {
	digest   digest.Digest
	size     int64
	location string
}

// checkBlobs looks whether live content is there, and is what its digest says.
func (g *Registry) checkBlobs(ctx context.Context, h *Health, o FsckOptions) error {
	last := digest.Digest("")
	for more := true; more; {
		var list []blobRow
		var err error
		list, more, err = store.List(ctx, g.store, 500, func(r *sql.Rows) (b blobRow, err error) { return b, r.Scan(&b.digest, &b.size, &b.location) },
			`SELECT digest, size, location FROM blob WHERE digest > $1 ORDER BY digest LIMIT $2`, last.String())
		if err != nil {
			return err
		}
		for _, b := range list {
			h.Blobs++
			h.Bytes += b.size
			last = b.digest
			if b.size == 0 {
				continue
			}
			if err := g.checkBlob(ctx, h, b, o.Hash); err != nil {
				return err
			}
		}
		o.Progress(*h)
	}
	return nil
}

func (g *Registry) checkBlob(ctx context.Context, h *Health, b blobRow, hash bool) error {
	wrong, err := g.wrong(ctx, b, hash)
	if err != nil || wrong == "" {
		return err
	}
	var still int
	err = g.store.QueryRow(ctx, `SELECT count(*) FROM blob WHERE digest = $1 AND location = $2`, b.digest.String(), b.location).Scan(&still)
	if err == nil && still > 0 {
		h.fault("blob whose content is not what it should be", "%s at %s: %s", b.digest, b.location, wrong)
	}
	return err
}

// wrong tells what is wrong with a blob's object; "": nothing.
func (g *Registry) wrong(ctx context.Context, b blobRow, hash bool) (string, error) {
	f, err := g.driver.Stat(ctx, b.location)
	if errors.As(err, &storagedriver.PathNotFoundError{}) {
		return "the object is missing", nil
	}
	if err != nil {
		return "", err
	}
	if f.Size() != b.size {
		return fmt.Sprintf("the object has %d bytes, not %d", f.Size(), b.size), nil
	}
	if !hash {
		return "", nil
	}
	r, err := g.driver.Reader(ctx, b.location, 0)
	if errors.As(err, &storagedriver.PathNotFoundError{}) {
		return "the object is missing", nil
	}
	if err != nil {
		return "", err
	}
	defer r.Close()
	got, err := b.digest.Algorithm().FromReader(r)
	if err == nil && got != b.digest {
		return "its content has " + got.String(), nil
	}
	return "", err
}

// invariants are what the rows must be to one another: each query finds those that are not.
var invariants = map[string]string{
	"link without a blob": `SELECT l.digest FROM repo_blob l LEFT JOIN blob b ON b.digest = l.digest WHERE b.digest IS NULL`,
	"blob that no repository has": `
		SELECT b.digest FROM blob b WHERE NOT EXISTS (SELECT 1 FROM repo_blob l WHERE l.digest = b.digest)`,
	"manifest without its payload": `
		SELECT m.digest FROM manifest m LEFT JOIN manifest_payload b ON b.manifest_id = m.id WHERE b.manifest_id IS NULL`,
	"tag of another repository's manifest": `
		SELECT t.name FROM tag t LEFT JOIN manifest m ON m.id = t.manifest_id AND m.repo_id = t.repo_id WHERE m.id IS NULL`,
	"blob that no manifest needs and nobody reviews": `
		SELECT l.digest FROM repo_blob l
		WHERE NOT EXISTS (SELECT 1 FROM manifest_ref f WHERE f.repo_id = l.repo_id AND f.digest = l.digest)
		AND NOT EXISTS (SELECT 1 FROM review v WHERE v.repo_id = l.repo_id AND v.kind = 'blob' AND v.digest = l.digest)`,
	"project whose blobs are counted wrong": `
		SELECT CAST(x.project_id AS TEXT) FROM project_blob x
		WHERE x.links <> (SELECT count(*) FROM repo_blob l JOIN repo r ON r.id = l.repo_id WHERE r.project_id = x.project_id AND l.digest = x.digest)`,
	"project that does not pay for a blob": `
		SELECT l.digest FROM repo_blob l JOIN repo r ON r.id = l.repo_id
		WHERE NOT EXISTS (SELECT 1 FROM project_blob x WHERE x.project_id = r.project_id AND x.digest = l.digest)`,
	"project whose sum of bytes is wrong": `
		SELECT p.name FROM project p WHERE p.used <>
		(SELECT coalesce(sum(b.size), 0) FROM project_blob x JOIN blob b ON b.digest = x.digest WHERE x.project_id = p.id) +
		(SELECT coalesce(sum(m.size), 0) FROM manifest m JOIN repo r ON r.id = m.repo_id WHERE r.project_id = p.id)`,
	"project whose repositories are miscounted": `
		SELECT p.name FROM project p WHERE p.repos <> (SELECT count(*) FROM repo r WHERE r.project_id = p.id)`,
	"repository whose manifests are miscounted": `
		SELECT r.name FROM repo r WHERE r.manifests <> (SELECT count(*) FROM manifest m WHERE m.repo_id = r.id)`,
	"object that is both live and in the trash":  `SELECT b.location FROM blob b JOIN trash t ON t.location = b.location`,
	"object that is both live and in an upload":  `SELECT b.location FROM blob b JOIN upload u ON u.location = b.location`,
	"object that is both in upload and in trash": `SELECT u.location FROM upload u JOIN trash t ON t.location = u.location`,
}

// needs is an invariant of a registry that takes no sparse manifests. An index may lose what it names: whoever deletes a
// manifest says so. What a proxy cache has may be fetched still.
const needs = `
	SELECT f.digest FROM manifest_ref f JOIN manifest i ON i.id = f.manifest_id
	WHERE NOT EXISTS (SELECT 1 FROM repo_blob l WHERE l.repo_id = f.repo_id AND l.digest = f.digest)
	AND i.pushed_by <> '` + ProxyCache + `' AND i.media_type NOT IN ('` + v1.MediaTypeImageIndex + `', '` + dockerList + `')`

func (g *Registry) checkRows(ctx context.Context, h *Health) error {
	check := func(kind, query string) error {
		rows, err := g.store.Query(ctx, query)
		if err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		defer rows.Close()
		for rows.Next() {
			var what string
			if err := rows.Scan(&what); err != nil {
				return fmt.Errorf("%s: %w", kind, err)
			}
			h.fault(kind, "%s", what)
		}
		return rows.Err()
	}
	for kind, query := range invariants {
		if err := check(kind, query); err != nil {
			return err
		}
	}
	if g.o.Sparse {
		return nil
	}
	return check("manifest that needs what its repository lacks", needs)
}
