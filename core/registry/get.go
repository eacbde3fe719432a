package registry

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/distribution/distribution/v3/registry/api/errcode"
	"github.com/opencontainers/go-digest"

	"github.com/openvic/vic/core/store"
)

// serveManifest answers for one manifest or tag.
func (g *Registry) serveManifest(w http.ResponseWriter, r *http.Request, q *request) error {
	d, tag, err := reading(q.ref)
	if err != nil {
		return err
	}
	switch r.Method {
	case http.MethodPut:
		return g.putManifest(w, r, q, d, tag)
	case http.MethodDelete:
		return g.deleteManifest(w, r, q, d, tag)
	}
	if err := g.refresh(w, r, q, d, tag); err != nil {
		return err
	}
	return g.getManifest(w, r, q, d, tag)
}

var badTag = errcode.ErrorCodeTagInvalid.WithMessage("a tag has 1 to 128 letters, digits, underscores, dots and hyphens, " +
	"and begins with a letter, a digit or an underscore")

// reading tells a digest from a tag.
func reading(ref string) (digest.Digest, string, error) {
	if strings.Contains(ref, ":") {
		d, err := digest.Parse(ref)
		if err != nil {
			return "", "", errcode.ErrorCodeDigestInvalid.WithDetail(ref)
		}
		return d, "", nil
	}
	if !tagPattern.MatchString(ref) {
		return "", "", badTag
	}
	return "", ref, nil
}

const artifactColumns = `m.digest, m.media_type, m.artifact_type, m.subject, m.size, m.total`

// scanArtifact scans artifactColumns, and more behind them.
func scanArtifact(scan func(...any) error, repo string, more ...any) (Artifact, error) {
	a := Artifact{Project: projectOf(repo), Repository: repo}
	var subject sql.NullString
	err := scan(append([]any{&a.Digest, &a.MediaType, &a.ArtifactType, &subject, &a.Size, &a.Total}, more...)...)
	a.Subject = digest.Digest(subject.String)
	return a, err
}

func (g *Registry) getManifest(w http.ResponseWriter, r *http.Request, q *request, d digest.Digest, tag string) error {
	a, project, payload, err := g.lookUp(r.Context(), q, d, tag)
	if errors.Is(err, sql.ErrNoRows) {
		return g.unknownManifest(r, q)
	}
	if err != nil {
		return err
	}
	if r.Method == http.MethodGet {
		a.ProjectID = project
		if err := g.policy.MayPull(r.Context(), q.caller, a, tag); err != nil {
			return err
		}
	}
	h := w.Header()
	h.Set("ETag", `"`+a.Digest.String()+`"`)
	h.Set("Docker-Content-Digest", a.Digest.String())
	h.Set("Content-Type", a.MediaType)
	if d != "" {
		h.Set("Cache-Control", "max-age=31536000, immutable")
	}
	if m := strings.Trim(r.Header.Get("If-None-Match"), `"`); m == a.Digest.String() {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h.Set("Content-Length", strconv.Itoa(len(payload)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(payload)
		g.watch.Happened(r.Context(), g.event(q, project, EventPull, a, tag))
	}
	return nil
}

// lookUp finds a manifest by its digest or tag, and the number of its project; sql.ErrNoRows.
func (g *Registry) lookUp(ctx context.Context, q *request, d digest.Digest, tag string) (a Artifact, project int64, payload []byte, err error) {
	home, err := g.home(ctx, q)
	if err != nil {
		return a, 0, nil, err
	}
	if m, ok := g.pulled.find(home.repo, q.ref, home.version); ok {
		return m.Artifact, home.project, m.payload, nil
	}
	const from = `SELECT ` + artifactColumns + `, b.payload FROM manifest m JOIN manifest_payload b ON b.manifest_id = m.id `
	query, ref := from+`WHERE m.repo_id = $1 AND m.digest = $2`, d.String()
	if tag != "" {
		query, ref = from+`JOIN tag t ON t.manifest_id = m.id WHERE t.repo_id = $1 AND t.name = $2`, tag
	}
	m := recentManifest{version: home.version}
	if m.Artifact, err = scanArtifact(g.store.Point(ctx, query, home.repo, ref).Scan, q.name, &m.payload); err == nil {
		g.pulled.keep(home.repo, q.ref, m)
	}
	return m.Artifact, home.project, m.payload, err
}

// unknownManifest tells a repository that is not there from a manifest that is not.
func (g *Registry) unknownManifest(r *http.Request, q *request) error {
	var one int
	err := g.store.QueryRow(r.Context(), `SELECT 1 FROM repo WHERE name = $1`, q.name).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return unknownName(q.name)
	}
	if err != nil {
		return err
	}
	return errcode.ErrorCodeManifestUnknown.WithDetail(q.ref)
}

func (g *Registry) event(q *request, project int64, kind EventKind, a Artifact, tags ...string) Event {
	e := Event{Kind: kind, ProjectID: project, Time: g.o.Now(), Caller: q.caller.Name(), Address: address(q.r), Agent: q.r.UserAgent(), Artifact: a}
	for _, t := range tags {
		if t != "" {
			e.Tags = append(e.Tags, t)
		}
	}
	return e
}

// changing tells the observer of a change within its transaction.
func (g *Registry) changing(tx *store.Tx, e Event) (Event, error) {
	return e, g.watch.Changing(tx, e)
}
