package registry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/distribution/distribution/v3/registry/api/errcode"
	"github.com/opencontainers/go-digest"

	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

// Bounds of one copy, which is one transaction.
const (
	maxCopied      = 500  // manifests: those that an index names, and what is about any of them
	maxCopiedBlobs = 5000 // blobs of all of them
)

// Copy copies an artifact from another repository: by a tag, which it has there too, or by digest, without a tag. What it
// names comes along, and what is about it: signatures and SBOMs, by their subject or by the tags that older clients give
// them. No content moves. by is a caller whose right to push to the one and to pull from the other was checked; the policy
// for pulls is asked here. Errors are those of Tag; errdef.ErrInvalid for a copy that is none.
func (g *Registry) Copy(r *http.Request, by Caller, from, ref, to string) (digest.Digest, error) {
	if from == to {
		return "", fmt.Errorf("from: an artifact is not copied to its own repository: give it another tag instead: %w", errdef.ErrInvalid)
	}
	if err := g.mayChange(r.Context(), to, true); err != nil {
		return "", answered(err)
	}
	c := &copying{g: g, ctx: r.Context(), by: by, from: from, to: to, seen: map[digest.Digest]*pushed{}}
	root, err := c.plan(ref)
	if err != nil {
		return "", answered(err)
	}
	q := &request{route: route{kind: manifests, name: to}, caller: by, r: r}
	var events []Event
	err = g.store.Tx(r.Context(), func(tx *store.Tx) error {
		events = events[:0]
		for _, d := range c.blobs {
			// Whether one is missing that a manifest needs is found out with the manifest.
			if _, err := g.linkFrom(tx, to, from, d); err != nil {
				return err
			}
		}
		for _, m := range c.manifests {
			p, err := g.keepManifest(tx, m)
			if err != nil {
				return err
			}
			e, err := g.changing(tx, g.event(q, p.project, EventPush, m.Artifact, m.tags...))
			if err != nil {
				return err
			}
			events = append(events, e)
		}
		return nil
	})
	if err != nil {
		return "", answered(err)
	}
	for _, e := range events {
		g.watch.Happened(r.Context(), e)
	}
	return root, nil
}

// copying is what one copy has found at the source.
type copying struct {
	g         *Registry
	ctx       context.Context
	by        Caller
	from, to  string
	repo      int64 // of from
	project   int64
	seen      map[digest.Digest]*pushed
	manifests []*pushed // each behind what it names and what it is about
	blobs     []digest.Digest
}

func (c *copying) plan(ref string) (digest.Digest, error) {
	d, tag, err := reading(ref)
	if err != nil {
		return "", err
	}
	if err := c.g.store.QueryRow(c.ctx, `SELECT id, project_id FROM repo WHERE name = $1`, c.from).Scan(&c.repo, &c.project); errors.Is(err, sql.ErrNoRows) {
		return "", unknownName(c.from)
	} else if err != nil {
		return "", err
	}
	var tags []string
	if tag != "" {
		tags = []string{tag}
		err = c.g.store.QueryRow(c.ctx, `SELECT m.digest FROM tag t JOIN manifest m ON m.id = t.manifest_id WHERE t.repo_id = $1 AND t.name = $2`,
			c.repo, tag).Scan(&d)
		if errors.Is(err, sql.ErrNoRows) {
			return "", errcode.ErrorCodeManifestUnknown.WithDetail(ref)
		}
		if err != nil {
			return "", err
		}
	}
	if err := c.visit(d, tag, tags); err != nil {
		return "", err
	}
	slices.Sort(c.blobs) // the order in which all transactions lock them
	c.blobs = slices.Compact(c.blobs)
	if len(c.blobs) > maxCopiedBlobs {
		return "", errcode.ErrorCodeDenied.WithMessage(fmt.Sprintf("it has %d blobs: at most %d are copied at once", len(c.blobs), maxCopiedBlobs))
	}
	return d, nil
}

// visit reads a manifest of the source, after those that it names and before those that are about it.
func (c *copying) visit(d digest.Digest, asked string, tags []string) error {
	if m := c.seen[d]; m != nil {
		m.tags = append(m.tags, tags...)
		return nil
	}
	m := &pushed{tags: tags, by: c.by.Name()}
	c.seen[d] = m
	if len(c.seen) > maxCopied {
		return errcode.ErrorCodeDenied.WithMessage(fmt.Sprintf("it has more than %d parts, signatures and the like: at most so many are copied at once", maxCopied))
	}
	var payload []byte
	a, err := scanArtifact(c.g.store.QueryRow(c.ctx, `SELECT `+artifactColumns+`, b.payload FROM manifest m JOIN manifest_payload b ON b.manifest_id = m.id
		WHERE m.repo_id = $1 AND m.digest = $2`, c.repo, d.String()).Scan, c.from, &payload)
	if errors.Is(err, sql.ErrNoRows) {
		return errcode.ErrorCodeManifestUnknown.WithDetail(d)
	}
	if err != nil {
		return err
	}
	a.ProjectID = c.project
	if err := c.g.policy.MayPull(c.ctx, c.by, a, asked); err != nil {
		return err
	}
	doc, err := readDocument(a.MediaType, payload)
	if err != nil {
		return err
	}
	for _, child := range doc.Manifests {
		if err := c.visit(child.Digest, "", nil); err != nil {
			return err
		}
	}
	for _, b := range doc.blobs() {
		c.blobs = append(c.blobs, b.Digest)
	}
	a.Repository, a.Project, a.ProjectID = c.to, projectOf(c.to), 0
	m.Artifact, m.doc, m.payload = a, doc, payload
	c.manifests = append(c.manifests, m)
	return c.about(d)
}

// about visits what is about a manifest.
func (c *copying) about(d digest.Digest) error {
	type companion struct {
		d   digest.Digest
		tag string
	}
	list, _, err := store.List(c.ctx, c.g.store, maxCopied, func(r *sql.Rows) (x companion, err error) { return x, r.Scan(&x.d, &x.tag) },
		`SELECT m.digest, '' FROM manifest m WHERE m.repo_id = $1 AND m.subject = $2
		UNION ALL SELECT m.digest, t.name FROM tag t JOIN manifest m ON m.id = t.manifest_id WHERE t.repo_id = $1 AND t.name >= $3 AND t.name < $4 LIMIT $5`,
		c.repo, d.String(), companionTag(d), companionTag(d)+"/")
	if err != nil {
		return err
	}
	for _, x := range list {
		var tags []string
		if x.tag != "" {
			tags = []string{x.tag}
		}
		if err := c.visit(x.d, "", tags); err != nil {
			return err
		}
	}
	return nil
}
