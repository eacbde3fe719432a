package registry

import (
	"context"
	"database/sql"
	"errors"
	"net/http"

	"github.com/distribution/distribution/v3/registry/api/errcode"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/core/store"
)

// maxSources is how many repositories are looked at for a mount that names none.
const maxSources = 20

// post does what distribution's handler of POST leaves out: a whole blob in one request, and mounts, from wherever the
// caller may pull. False: it is the ordinary start of an upload, also after a mount that could not be.
func (g *Registry) post(w http.ResponseWriter, r *http.Request, q *request) (bool, error) {
	query := r.URL.Query()
	var d digest.Digest
	var err error
	if s := query.Get("digest"); s != "" {
		if d, err = digest.Parse(s); err != nil {
			return true, errcode.ErrorCodeDigestInvalid.WithDetail(err.Error())
		}
		if err := g.whole(r, q, d); err != nil {
			return true, err
		}
	} else if s := query.Get("mount"); s != "" {
		if d, err = digest.Parse(s); err != nil {
			return false, nil
		}
		ok, err := g.mount(r.Context(), q, d, query.Get("from"))
		var source sourceError
		if errors.As(err, &source) {
			g.refuse(w, r, q.route, ErrUnauthenticated, Access{Type: "repository", Name: source.name, Action: Pull})
			return true, nil
		}
		if err != nil || !ok {
			return false, err
		}
	} else {
		return false, nil
	}
	w.Header().Set("Location", "/v2/"+q.name+"/blobs/"+d.String())
	w.Header().Set("Docker-Content-Digest", d.String())
	w.WriteHeader(http.StatusCreated)
	return true, nil
}

// whole takes a blob that comes with the POST.
func (g *Registry) whole(r *http.Request, q *request, d digest.Digest) error {
	u, err := g.newUpload(r.Context(), q, true, d)
	if err != nil {
		return err
	}
	if _, err = u.ReadFrom(r.Body); err == nil {
		_, err = u.Commit(r.Context(), v1.Descriptor{Digest: d})
	}
	if err != nil {
		return errors.Join(err, u.Cancel(r.Context()))
	}
	return u.Close()
}

// sourceError says that the caller may pull from a repository, but not by the token that they showed: the client is told
// what to ask for.
type sourceError struct{ name string }

// Error implements error.
func (e sourceError) Error() string { return "the token does not allow to pull from " + e.name }

// mount links a blob of another repository that the caller may pull from. A token that is for other repositories alone
// opens none, though its owner might: sourceError.
func (g *Registry) mount(ctx context.Context, q *request, d digest.Digest, from string) (bool, error) {
	sources, err := g.sources(ctx, q, d, from)
	if err != nil {
		return false, err
	}
	for _, name := range sources {
		err := q.caller.May(ctx, Access{Type: "repository", Name: name, Action: Pull})
		switch {
		case errors.Is(err, ErrUnauthenticated) && q.caller.Name() != "":
			return false, sourceError{name}
		case errors.Is(err, ErrDenied), errors.Is(err, ErrHidden), errors.Is(err, ErrUnauthenticated):
			continue
		}
		if err != nil {
			return false, err
		}
		mounted := false
		err = g.store.Tx(ctx, func(tx *store.Tx) error {
			mounted, err = g.linkFrom(tx, q.name, name, d)
			return err
		})
		if err != nil || mounted {
			return mounted, err
		}
	}
	return false, nil
}

// sources are the repositories to try: the one that is named, or some of those that have the blob (a base image's layer
// may be in all), the ones of the same project first.
func (g *Registry) sources(ctx context.Context, q *request, d digest.Digest, from string) ([]string, error) {
	if from != "" {
		if _, err := reference.WithName(from); err != nil {
			return nil, nil
		}
		return []string{from}, nil
	}
	list, _, err := store.List(ctx, g.store, maxSources, func(r *sql.Rows) (name string, err error) { return name, r.Scan(&name) },
		`SELECT r.name FROM (SELECT repo_id FROM repo_blob WHERE digest = $1 LIMIT 200) l JOIN repo r ON r.id = l.repo_id JOIN project p ON p.id = r.project_id
		ORDER BY CASE WHEN p.name = $2 THEN 0 ELSE 1 END, r.name LIMIT $3`, d.String(), projectOf(q.name))
	return list, err
}

// linkFrom links a blob into a repository if the other still has it.
func (g *Registry) linkFrom(tx *store.Tx, name, from string, d digest.Digest) (bool, error) {
	if _, err := lockProject(tx, name); err != nil {
		return false, err
	}
	var size int64
	err := tx.Lock(`SELECT size FROM blob WHERE digest = $1`, d.String()).Scan(&size)
	if err == nil {
		var one int
		err = tx.Row(`SELECT 1 FROM repo r JOIN repo_blob l ON l.repo_id = r.id WHERE r.name = $1 AND l.digest = $2`, from, d.String()).Scan(&one)
	}
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	p, err := g.ensureRepo(tx, name)
	if err != nil {
		return false, err
	}
	return true, g.link(tx, p, d, size)
}
