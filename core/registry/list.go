package registry

import (
	"database/sql"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"github.com/distribution/distribution/v3/registry/api/errcode"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/core/store"
)

func (g *Registry) listTags(w http.ResponseWriter, r *http.Request, q *request) error {
	home, err := g.home(r.Context(), q)
	if errors.Is(err, sql.ErrNoRows) {
		return unknownName(q.name)
	}
	if err != nil {
		return err
	}
	query := r.URL.Query()
	page := "?" + query.Get("n") + "&" + query.Get("last")
	m, ok := g.pulled.find(home.repo, page, home.version)
	if !ok {
		list, err := g.names(w, r, `SELECT name FROM tag WHERE repo_id = $1 AND name > $2 ORDER BY name LIMIT $3`, home.repo)
		if err != nil {
			return err
		}
		m = recentManifest{version: home.version, next: w.Header().Get("Link")}
		m.payload, err = json.Marshal(struct {
			Name string   `json:"name"`
			Tags []string `json:"tags"`
		}{q.name, list})
		if err != nil {
			return err
		}
		if len(page) <= maxPageKey {
			g.pulled.keep(home.repo, page, m)
		}
	}
	if m.next != "" {
		w.Header().Set("Link", m.next)
	}
	send(w, "application/json", m.payload)
	return nil
}

// maxPageKey bounds what a client may have kept as the name of a page.
const maxPageKey = 200

func (g *Registry) listCatalog(w http.ResponseWriter, r *http.Request) error {
	list, err := g.names(w, r, `SELECT name FROM repo WHERE name > $1 AND manifests > 0 ORDER BY name LIMIT $2`)
	if err != nil {
		return err
	}
	return reply(w, "application/json", struct {
		Repositories []string `json:"repositories"`
	}{list})
}

// names runs a query whose last parameters are the name to go on after and how many to give. Without ?n= and above it
// a page has maxPage names; the header Link names the next.
func (g *Registry) names(w http.ResponseWriter, r *http.Request, query string, args ...any) ([]string, error) {
	n := maxPage
	if s := r.URL.Query().Get("n"); s != "" {
		asked, err := strconv.Atoi(s)
		if err != nil || asked < 0 {
			return nil, errcode.ErrorCodePaginationNumberInvalid.WithDetail(map[string]string{"n": s})
		}
		n = min(asked, maxPage)
	}
	if n == 0 {
		return []string{}, nil
	}
	list, more, err := store.List(r.Context(), g.store, n, func(r *sql.Rows) (name string, err error) { return name, r.Scan(&name) },
		query, append(args, r.URL.Query().Get("last"))...)
	if err != nil {
		return nil, err
	}
	if more {
		next(w, r, url.Values{"n": {strconv.Itoa(n)}, "last": {list[n-1]}})
	}
	if list == nil {
		list = []string{}
	}
	return list, nil
}

// next sets the header that names the next page.
func next(w http.ResponseWriter, r *http.Request, q url.Values) {
	w.Header().Set("Link", "<"+r.URL.Path+"?"+q.Encode()+`>; rel="next"`)
}

// referrer is a manifest that names another as its subject.
type referrer struct {
	v1.Descriptor
	id int64
}

// listReferrers lists what names a manifest, which need not be there, as its subject.
func (g *Registry) listReferrers(w http.ResponseWriter, r *http.Request, name, ref string) error {
	d, err := digest.Parse(ref)
	if err != nil {
		return errcode.ErrorCodeDigestInvalid.WithDetail(ref)
	}
	var after int64
	if s := r.URL.Query().Get("last"); s != "" {
		if err := store.ReadCursor(s, &after); err != nil {
			return errcode.ErrorCodePaginationNumberInvalid.WithDetail(err.Error())
		}
	}
	kind := r.URL.Query().Get("artifactType")
	list, more, err := store.List(r.Context(), g.store, maxReferrers, scanReferrer,
		`SELECT m.id, m.digest, m.media_type, m.artifact_type, m.annotations, m.size FROM repo r JOIN manifest m ON m.repo_id = r.id
		WHERE r.name = $1 AND m.subject = $2 AND m.id > $3 AND ($4 = '' OR m.artifact_type = $4) ORDER BY m.id LIMIT $5`, name, d.String(), after, kind)
	if err != nil {
		return err
	}
	index := v1.Index{MediaType: v1.MediaTypeImageIndex, Manifests: []v1.Descriptor{}}
	index.SchemaVersion = 2
	room := maxManifest // an index that a client cannot read is of no use
	for i, m := range list {
		size := 512
		for k, v := range m.Annotations {
			size += len(k) + len(v)
		}
		if i > 0 && size > room {
			more = true
			break
		}
		room -= size
		after = m.id
		index.Manifests = append(index.Manifests, m.Descriptor)
	}
	if more {
		q := url.Values{"last": {store.Cursor(after)}}
		if kind != "" {
			q.Set("artifactType", kind)
		}
		next(w, r, q)
	}
	if kind != "" {
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	return reply(w, v1.MediaTypeImageIndex, index)
}

// maxReferrers is how many referrers are in one answer. Each has its annotations with it.
const maxReferrers = 200

func scanReferrer(r *sql.Rows) (m referrer, err error) {
	var annotations string
	if err := r.Scan(&m.id, &m.Digest, &m.MediaType, &m.ArtifactType, &annotations, &m.Size); err != nil {
		return m, err
	}
	return m, json.Unmarshal([]byte(annotations), &m.Annotations)
}

func reply(w http.ResponseWriter, contentType string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	send(w, contentType, b)
	return nil
}

func send(w http.ResponseWriter, contentType string, b []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	_, _ = w.Write(b) // the client has gone
}
