package registry

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/distribution/distribution/v3/registry/api/errcode"
	"github.com/opencontainers/go-digest"

	"github.com/openvic/vic/core/store"
)

// pushed is a manifest on its way in.
type pushed struct {
	Artifact
	doc     *document
	payload []byte
	tags    []string
	by      string
	sparse  bool // what it names may come later
	via     []string
	changed bool // it is new, or a tag did not mean it before; set by keepManifest
}

func (g *Registry) putManifest(w http.ResponseWriter, r *http.Request, q *request, d digest.Digest, tag string) error {
	m, err := readPush(w, r, q, d, tag)
	if err != nil {
		return err
	}
	if m.via, err = readVia(r.Header); err != nil {
		return err
	}
	e, done, err := g.keepFresh(r.Context(), q, m)
	if err == nil && !done {
		err = g.store.Tx(r.Context(), func(tx *store.Tx) (err error) {
			p, err := g.keepManifest(tx, m)
			if err != nil {
				return err
			}
			e, err = g.pushedTo(tx, q, p, m)
			return err
		})
	}
	if err != nil {
		return err
	}
	g.watch.Happened(r.Context(), e)
	h := w.Header()
	if m.Subject != "" {
		h.Set("OCI-Subject", m.Subject.String())
	}
	for _, t := range m.tags {
		h.Add("OCI-Tag", t)
	}
	h.Set("Location", "/v2/"+q.name+"/manifests/"+m.Digest.String())
	h.Set("Docker-Content-Digest", m.Digest.String())
	w.WriteHeader(http.StatusCreated)
	return nil
}

func readPush(w http.ResponseWriter, r *http.Request, q *request, d digest.Digest, tag string) (*pushed, error) {
	payload, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxManifest))
	var big *http.MaxBytesError
	if errors.As(err, &big) {
		return nil, codeTooLarge.WithMessage(fmt.Sprintf("a manifest has at most %d bytes", maxManifest))
	}
	if err != nil {
		return nil, invalid("%v", err)
	}
	tags := r.URL.Query()["tag"]
	if tag != "" {
		d, tags = digest.FromBytes(payload), []string{tag}
	} else if !d.Algorithm().Available() || d.Algorithm().FromBytes(payload) != d {
		return nil, errcode.ErrorCodeDigestInvalid.WithDetail(d)
	}
	if len(tags) > maxTags {
		return nil, errcode.ErrorCodeTagInvalid.WithMessage(fmt.Sprintf("one push sets at most %d tags", maxTags))
	}
	for _, t := range tags {
		if !tagPattern.MatchString(t) {
			return nil, errcode.ErrorCodeTagInvalid.WithDetail(t)
		}
	}
	doc, err := readDocument(r.Header.Get("Content-Type"), payload)
	if err != nil {
		return nil, err
	}
	size := int64(len(payload))
	return &pushed{doc: doc, payload: payload, tags: tags, by: q.caller.Name(), Artifact: Artifact{Project: projectOf(q.name), Repository: q.name, Digest: d,
		MediaType: doc.MediaType, ArtifactType: doc.ArtifactType, Subject: doc.subject(), Size: size, Total: doc.total(size)}}, nil
}

// pushedTo tells the observer of a manifest that was written. One that went out from here may not come back as something new.
func (g *Registry) pushedTo(tx *store.Tx, q *request, p place, m *pushed) (Event, error) {
	if m.changed && len(m.tags) > 0 && slices.Contains(m.via, g.id) {
		return Event{}, errcode.ErrorCodeDenied.WithMessage("the artifact went out from here, and the tag means something else since").WithDetail(m.Digest)
	}
	x := g.event(q, p.project, EventPush, m.Artifact, m.tags...)
	x.Via, x.Unchanged = m.via, !m.changed
	return g.changing(tx, x)
}

// keepManifest writes a manifest and its tags.
func (g *Registry) keepManifest(tx *store.Tx, m *pushed) (place, error) {
	m.changed = false
	p, err := g.ensureRepo(tx, m.Repository)
	if err != nil {
		return p, err
	}
	if !g.o.Sparse && !m.sparse {
		if err := complete(tx, p, m.doc); err != nil {
			return p, err
		}
	}
	id, err := g.writeManifest(tx, p, m)
	if err != nil {
		return p, err
	}
	for _, t := range m.tags {
		if err := g.setTag(tx, p, id, m, t); err != nil {
			return p, err
		}
	}
	return p, tx.Do(`UPDATE repo SET updated = $1, version = version + 1 WHERE id = $2`, g.now(), p.repo)
}

// complete refuses a manifest whose content is not all in the repository.
func complete(tx *store.Tx, p place, doc *document) error {
	var missing errcode.Errors
	lacks := func(query string, d digest.Digest) error {
		var one int
		err := tx.Row(query, p.repo, d.String()).Scan(&one)
		if errors.Is(err, sql.ErrNoRows) {
			missing = append(missing, errcode.ErrorCodeManifestBlobUnknown.WithDetail(map[string]string{"digest": d.String()}))
			return nil
		}
		return err
	}
	for _, b := range doc.blobs() {
		if err := lacks(`SELECT 1 FROM repo_blob WHERE repo_id = $1 AND digest = $2`, b.Digest); err != nil {
			return err
		}
	}
	for _, m := range doc.Manifests {
		if err := lacks(`SELECT 1 FROM manifest WHERE repo_id = $1 AND digest = $2`, m.Digest); err != nil {
			return err
		}
	}
	if missing != nil {
		return missing
	}
	return nil
}

// writeManifest writes the manifest if the repository does not have it, and tells its number.
func (g *Registry) writeManifest(tx *store.Tx, p place, m *pushed) (id int64, err error) {
	err = tx.Row(`SELECT id FROM manifest WHERE repo_id = $1 AND digest = $2`, p.repo, m.Digest.String()).Scan(&id)
	if !errors.Is(err, sql.ErrNoRows) {
		return id, err
	}
	m.changed = true
	values, err := g.columns(p, m)
	if err != nil {
		return 0, err
	}
	err = tx.Row(insertManifest+` RETURNING id`, values...).Scan(&id)
	if err != nil {
		return 0, err
	}
	if err := tx.Do(`INSERT INTO manifest_payload (manifest_id, payload) VALUES ($1, $2)`, id, m.payload); err != nil {
		return 0, err
	}
	for _, b := range append(m.doc.blobs(), m.doc.Manifests...) {
		err := tx.Do(`INSERT INTO manifest_ref (manifest_id, repo_id, digest) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, id, p.repo, b.Digest.String())
		if err != nil {
			return 0, err
		}
	}
	if err := tx.Do(`UPDATE repo SET manifests = manifests + 1 WHERE id = $1`, p.repo); err != nil {
		return 0, err
	}
	if len(m.tags) == 0 {
		if err := g.review(tx, p, reviewUntagged, m.Digest, "", g.now()); err != nil {
			return 0, err
		}
	}
	return id, charge(tx, p, m.Size)
}

const insertManifest = `INSERT INTO manifest (repo_id, digest, media_type, artifact_type, subject, annotations, size, total, pushed, pushed_by)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`

// columns are the values of insertManifest.
func (g *Registry) columns(p place, m *pushed) ([]any, error) {
	annotations, err := json.Marshal(m.doc.Annotations)
	subject := sql.NullString{String: m.Subject.String(), Valid: m.Subject != ""}
	return []any{p.repo, m.Digest.String(), m.MediaType, m.ArtifactType, subject, string(annotations), m.Size, m.Total, g.now(), m.by}, err
}

// setTag points a tag at a manifest. What it pointed at before may be without a tag now.
func (g *Registry) setTag(tx *store.Tx, p place, id int64, m *pushed, tag string) error {
	row := tx.Row(`SELECT `+artifactColumns+` FROM tag t JOIN manifest m ON m.id = t.manifest_id WHERE t.repo_id = $1 AND t.name = $2`, p.repo, tag)
	old, err := scanArtifact(row.Scan, m.Repository)
	if err == nil && old.Digest != m.Digest {
		if err := g.mutable(tx, old, tag); err != nil {
			return err
		}
		if err := g.review(tx, p, reviewUntagged, old.Digest, "", g.now()); err != nil {
			return err
		}
	} else if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	m.changed = m.changed || err != nil || old.Digest != m.Digest
	return tx.Do(`INSERT INTO tag (repo_id, name, manifest_id, pushed) VALUES ($1, $2, $3, $4)
		ON CONFLICT (repo_id, name) DO UPDATE SET manifest_id = excluded.manifest_id, pushed = excluded.pushed`, p.repo, tag, id, g.now())
}

// mutable refuses to move or delete a tag that the project's rules hold.
func (g *Registry) mutable(tx *store.Tx, a Artifact, tag string) error {
	held, err := g.policy.Immutable(tx.Context(), tx, a, tag)
	if err == nil && held {
		err = codePrecondition.WithMessage(fmt.Sprintf("tag %s of %s is configured as immutable", tag, a.Repository))
	}
	return err
}
