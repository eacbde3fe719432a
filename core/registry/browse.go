package registry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/distribution/distribution/v3/registry/api/errcode"
	"github.com/opencontainers/go-digest"

	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

// Repository is a repository, as lists show it.
type Repository struct {
	ID        int64
	Project   int64
	Name      string // with the project: project/name
	Created   time.Time
	Updated   time.Time // the last push or delete
	Manifests int64
	// Description is what people wrote of it; "" if nothing.
	Description string
}

// Stored is a manifest in a repository, as lists show it.
type Stored struct {
	Artifact
	ID     int64
	Pushed time.Time
	Pulled time.Time // the last time; zero: never
	By     string    // who pushed it
	Tags   []Tag     // by name
}

// Tag is a name of a manifest.
type Tag struct {
	Name   string
	Pushed time.Time
	Pulled time.Time // the last time by this name; zero: never
}

func scanRepository(scan func(...any) error) (x Repository, err error) {
	var created, updated int64
	err = scan(&x.ID, &x.Project, &x.Name, &created, &updated, &x.Manifests, &x.Description)
	x.Created, x.Updated = time.UnixMilli(created), time.UnixMilli(updated)
	return x, err
}

// SelectRepositories lists the repositories for which a condition holds that the caller wrote over the tables repo and
// project, with parameters from $1 on, in an order over the same: at most limit, after offset of them. It also counts all.
func (g *Registry) SelectRepositories(ctx context.Context, limit, offset int, condition, order string, args ...any) (list []Repository, total int, err error) {
	from := ` FROM repo JOIN project ON project.id = repo.project_id WHERE ` + condition
	if err := g.store.QueryRow(ctx, store.Once+`SELECT COUNT(*)`+from, args...).Scan(&total); err != nil {
		return nil, 0, err
	}
	n := len(args)
	list, _, err = store.List(ctx, g.store, limit, func(r *sql.Rows) (Repository, error) { return scanRepository(r.Scan) },
		fmt.Sprintf(store.Once+`SELECT repo.id, repo.project_id, repo.name, repo.created, repo.updated, repo.manifests, repo.description
			%s ORDER BY %s LIMIT $%d OFFSET $%d`, from, order, n+2, n+1), append(args[:n:n], offset)...)
	return list, total, err
}

// Repository finds one by its whole name; errdef.ErrNotFound.
func (g *Registry) Repository(ctx context.Context, name string) (Repository, error) {
	x, err := scanRepository(g.store.QueryRow(ctx, `SELECT id, project_id, name, created, updated, manifests, description FROM repo WHERE name = $1`, name).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return x, fmt.Errorf("repository %s: %w", name, errdef.ErrNotFound)
	}
	return x, err
}

// maxDescription bounds what is written of a repository, in bytes.
const maxDescription = 16 << 10

// Describe sets what is written of a repository; errdef.ErrInvalid for a text that is too long, errdef.ErrNotFound.
func (g *Registry) Describe(ctx context.Context, id int64, text string) error {
	if len(text) > maxDescription {
		return fmt.Errorf("description: it is longer than %d bytes: %w", maxDescription, errdef.ErrInvalid)
	}
	return g.store.Tx(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE repo SET description = $1 WHERE id = $2`, text, id)
		if err == nil && n == 0 {
			err = fmt.Errorf("repository %d: %w", id, errdef.ErrNotFound)
		}
		return err
	})
}

const storedColumns = `m.id, m.digest, m.media_type, m.artifact_type, COALESCE(m.subject, ''), m.size, m.total, m.pushed, m.pulled, m.pushed_by`

func scanStored(scan func(...any) error, repo Repository, more ...any) (x Stored, err error) {
	var pushed, pulled int64
	err = scan(append([]any{&x.ID, &x.Digest, &x.MediaType, &x.ArtifactType, &x.Subject, &x.Size, &x.Total, &pushed, &pulled, &x.By}, more...)...)
	x.Pushed, x.Pulled, x.Repository, x.Project = time.UnixMilli(pushed), since(pulled), repo.Name, projectOf(repo.Name)
	return x, err
}

// since is a time of the database; zero for one that never was.
func since(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// SelectManifests lists those of a repository's manifests that are not about another one of it (signatures, SBOMs) and for
// which a condition holds that the caller wrote over the table manifest m, with parameters from $1 on, in an order over the
// same: at most limit, after offset of them, with their tags. It also counts all.
func (g *Registry) SelectManifests(ctx context.Context, repo Repository, limit, offset int, condition, order string, args ...any) (list []Stored, total int,
	err error) {
	n := len(args)
	args = append(args[:n:n], repo.ID)
	from := fmt.Sprintf(` FROM manifest m WHERE m.repo_id = $%d AND m.subject IS NULL AND %s`, n+1, condition)
	if err := g.store.QueryRow(ctx, store.Once+`SELECT COUNT(*)`+from, args...).Scan(&total); err != nil {
		return nil, 0, err
	}
	// The inner query reads an index alone in the order in which clients ask mostly, however deep the page is.
	list, _, err = store.List(ctx, g.store, limit, func(r *sql.Rows) (Stored, error) { return scanStored(r.Scan, repo) },
		fmt.Sprintf(store.Once+`SELECT %s FROM manifest m WHERE m.id IN (SELECT m.id%s ORDER BY %s LIMIT $%d OFFSET $%d) ORDER BY %[3]s`,
			storedColumns, from, order, n+3, n+2), append(args, offset)...)
	if err == nil {
		err = g.addTags(ctx, list)
	}
	return list, total, err
}

// addTags gives manifests their tags by name, at most maxPage for each in the mean.
func (g *Registry) addTags(ctx context.Context, list []Stored) error {
	if len(list) == 0 {
		return nil
	}
	at, args := make(map[int64]*Stored, len(list)), make([]any, len(list))
	marks := make([]string, len(list))
	for i := range list {
		at[list[i].ID], args[i], marks[i] = &list[i], list[i].ID, fmt.Sprintf("$%d", i+1)
	}
	type tagged struct {
		Tag
		manifest int64
	}
	tags, _, err := store.List(ctx, g.store, maxPage*len(list), func(r *sql.Rows) (t tagged, err error) {
		var pushed, pulled int64
		err = r.Scan(&t.Name, &pushed, &pulled, &t.manifest)
		t.Pushed, t.Pulled = time.UnixMilli(pushed), since(pulled)
		return t, err
	}, fmt.Sprintf(store.Once+`SELECT name, pushed, pulled, manifest_id FROM tag WHERE manifest_id IN (%s) ORDER BY manifest_id, name LIMIT $%d`,
		strings.Join(marks, ", "), len(list)+1), args...)
	for _, t := range tags {
		m := at[t.manifest]
		m.Tags = append(m.Tags, t.Tag)
	}
	return err
}

// SelectTags lists the tags of a manifest for which a condition holds that the caller wrote over the table tag t, with
// parameters from $1 on, in an order over the same: at most limit, after offset of them. It also counts all.
func (g *Registry) SelectTags(ctx context.Context, manifest int64, limit, offset int, condition, order string, args ...any) (list []Tag, total int, err error) {
	n := len(args)
	args = append(args[:n:n], manifest)
	from := fmt.Sprintf(` FROM tag t WHERE t.manifest_id = $%d AND %s`, n+1, condition)
	if err := g.store.QueryRow(ctx, store.Once+`SELECT COUNT(*)`+from, args...).Scan(&total); err != nil {
		return nil, 0, err
	}
	list, _, err = store.List(ctx, g.store, limit, scanTag,
		fmt.Sprintf(store.Once+`SELECT t.name, t.pushed, t.pulled%s ORDER BY %s LIMIT $%d OFFSET $%d`, from, order, n+3, n+2), append(args, offset)...)
	return list, total, err
}

// Digests lists what is in a repository, also what is about other manifests: at most limit, in no order.
func (g *Registry) Digests(ctx context.Context, repo Repository, limit int) (list []digest.Digest, more bool, err error) {
	return store.List(ctx, g.store, limit, func(r *sql.Rows) (d digest.Digest, err error) { return d, r.Scan(&d) },
		`SELECT digest FROM manifest WHERE repo_id = $1 LIMIT $2`, repo.ID)
}

// Manifest finds one by its digest or by a tag; errdef.ErrNotFound.
func (g *Registry) Manifest(ctx context.Context, repo Repository, ref string) (Stored, error) {
	query := `SELECT ` + storedColumns + ` FROM manifest m JOIN tag t ON t.manifest_id = m.id WHERE t.repo_id = $1 AND t.name = $2`
	if strings.Contains(ref, ":") {
		query = `SELECT ` + storedColumns + ` FROM manifest m WHERE m.repo_id = $1 AND m.digest = $2`
	}
	x, err := scanStored(g.store.QueryRow(ctx, query, repo.ID, ref).Scan, repo)
	if errors.Is(err, sql.ErrNoRows) {
		return x, fmt.Errorf("%s has no %s: %w", repo.Name, ref, errdef.ErrNotFound)
	}
	if err == nil {
		x.Tags, err = g.tagsOf(ctx, x.ID)
	}
	return x, err
}

// Referrers lists the manifests that are about another one: signatures, SBOMs, attestations, at most maxPage. Those that
// older clients keep under a tag made of its digest come last, with that tag.
func (g *Registry) Referrers(ctx context.Context, repo Repository, subject digest.Digest) ([]Stored, error) {
	list, _, err := store.List(ctx, g.store, maxPage, func(r *sql.Rows) (Stored, error) { return scanStored(r.Scan, repo) },
		`SELECT `+storedColumns+` FROM manifest m WHERE m.repo_id = $1 AND m.subject = $2 ORDER BY m.id LIMIT $3`, repo.ID, subject.String())
	if err != nil {
		return nil, err
	}
	byTag, _, err := store.List(ctx, g.store, maxPage, func(r *sql.Rows) (Stored, error) {
		var t Tag
		x, err := scanStored(r.Scan, repo, &t.Name)
		x.Tags = []Tag{t}
		return x, err
	}, `SELECT `+storedColumns+`, t.name FROM tag t JOIN manifest m ON m.id = t.manifest_id
		WHERE t.repo_id = $1 AND t.name >= $2 AND t.name < $3 AND COALESCE(m.subject, '') <> $4 ORDER BY t.name LIMIT $5`,
		repo.ID, companionTag(subject), companionTag(subject)+"/", subject.String())
	return append(list, byTag...), err
}

// tagsOf lists the tags of a manifest, at most maxPage.
func (g *Registry) tagsOf(ctx context.Context, manifest int64) ([]Tag, error) {
	list, _, err := store.List(ctx, g.store, maxPage, scanTag, `SELECT name, pushed, pulled FROM tag WHERE manifest_id = $1 ORDER BY name LIMIT $2`, manifest)
	return list, err
}

func scanTag(r *sql.Rows) (t Tag, err error) {
	var pushed, pulled int64
	err = r.Scan(&t.Name, &pushed, &pulled)
	t.Pushed, t.Pulled = time.UnixMilli(pushed), since(pulled)
	return t, err
}

// Payload is a manifest as it was pushed; errdef.ErrNotFound.
func (g *Registry) Payload(ctx context.Context, manifest int64) (payload []byte, err error) {
	err = g.store.QueryRow(ctx, `SELECT payload FROM manifest_payload WHERE manifest_id = $1`, manifest).Scan(&payload)
	if errors.Is(err, sql.ErrNoRows) {
		err = fmt.Errorf("manifest %d: %w", manifest, errdef.ErrNotFound)
	}
	return payload, err
}

// Remove deletes a manifest by its digest with all its tags, or a tag alone, for a caller whose right was checked, as a
// DELETE of the registry's own protocol does: the request is for the event. Errors are as clients of the registry know
// them; Status is what they are sent with.
func (g *Registry) Remove(r *http.Request, by Caller, repo, ref string) error {
	if err := g.mayChange(r.Context(), repo, false); err != nil {
		return answered(err)
	}
	q := &request{route: route{kind: manifests, name: repo, ref: ref}, caller: by, r: r}
	if !strings.Contains(ref, ":") {
		return answered(g.drop(r, q, "", ref))
	}
	d, err := digest.Parse(ref)
	if err != nil {
		return fmt.Errorf("%q is no digest: %w", ref, errdef.ErrInvalid)
	}
	return answered(g.drop(r, q, d, ""))
}

func answered(err error) error {
	if err == nil {
		return nil
	}
	return answer(err)
}

// Status is the HTTP status of an error of the registry, and its message; 500 for others.
func Status(err error) (status int, code, message string) {
	var one errcode.Error
	var word errcode.ErrorCode
	switch {
	case errors.As(err, &one):
		d := one.Code.Descriptor()
		return d.HTTPStatusCode, d.Value, one.Message
	case errors.As(err, &word):
		d := word.Descriptor()
		return d.HTTPStatusCode, d.Value, d.Message
	}
	return http.StatusInternalServerError, "UNKNOWN", "internal server error"
}

// Indexes lists the indexes of a repository that name a manifest, the oldest first, at most 16.
func (g *Registry) Indexes(ctx context.Context, repo Repository, d digest.Digest) ([]Stored, error) {
	const most = 16
	list, _, err := store.List(ctx, g.store, most, func(r *sql.Rows) (Stored, error) { return scanStored(r.Scan, repo) },
		`SELECT `+storedColumns+` FROM manifest_ref f JOIN manifest m ON m.id = f.manifest_id
		WHERE f.repo_id = $1 AND f.digest = $2 ORDER BY m.id LIMIT $3`, repo.ID, d.String())
	return list, err
}
