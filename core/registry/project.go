package registry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

// projectPattern is Harbor's rule for names, which is a path component of a repository's name.
var projectPattern = regexp.MustCompile(`^[a-z0-9]+(?:[._-][a-z0-9]+)*$`)

// maxProjectName is the most characters of a project's name.
const maxProjectName = 63

// Project is what repositories belong to: the first part of their names.
type Project struct {
	ID        int64
	Name      string
	Public    bool
	Quota     int64 // bytes; below 0: no bound
	Used      int64 // bytes of its blobs, each once, and of its manifests
	RepoQuota int64 // repositories; below 0: no bound
	Repos     int64
	Created   time.Time
}

const projectColumns = `id, name, public, quota, used, repo_quota, repos, created`

func scanProject(scan func(...any) error) (p Project, err error) {
	var created int64
	err = scan(&p.ID, &p.Name, &p.Public, &p.Quota, &p.Used, &p.RepoQuota, &p.Repos, &created)
	p.Created = time.UnixMilli(created)
	return p, err
}

// CreateProject makes a project of p's name, publicity and quotas, within a transaction of the caller's: what else
// belongs to a project comes with it. errdef.ErrInvalid for a name that cannot be, errdef.ErrExists for one that is.
func (g *Registry) CreateProject(tx *store.Tx, p Project) (Project, error) {
	if len(p.Name) > maxProjectName || !projectPattern.MatchString(p.Name) {
		return p, fmt.Errorf("project %q: a name has 1 to %d lower-case letters and digits, with single dots, hyphens or underscores between them: %w",
			p.Name, maxProjectName, errdef.ErrInvalid)
	}
	row := tx.Row(`INSERT INTO project (name, public, quota, repo_quota, created) VALUES ($1, $2, $3, $4, $5) RETURNING `+projectColumns,
		p.Name, p.Public, max(p.Quota, -1), max(p.RepoQuota, -1), g.now())
	made, err := scanProject(row.Scan)
	if store.IsTaken(err) {
		return p, fmt.Errorf("project %q: %w", p.Name, errdef.ErrExists)
	}
	return made, err
}

// FindProject finds a project by its name; errdef.ErrNotFound.
func (g *Registry) FindProject(ctx context.Context, q store.Querier, name string) (Project, error) {
	p, err := scanProject(q.QueryRow(ctx, `SELECT `+projectColumns+` FROM project WHERE name = $1`, name).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return p, fmt.Errorf("project %q: %w", name, errdef.ErrNotFound)
	}
	return p, err
}

// ListProjects lists projects by name, those after the name last, limit at most.
func (g *Registry) ListProjects(ctx context.Context, last string, limit int) ([]Project, bool, error) {
	return store.List(ctx, g.store, limit, func(r *sql.Rows) (Project, error) { return scanProject(r.Scan) },
		`SELECT `+projectColumns+` FROM project WHERE name > $1 ORDER BY name LIMIT $2`, last)
}

// ProjectByID finds a project by its number; errdef.ErrNotFound.
func (g *Registry) ProjectByID(ctx context.Context, q store.Querier, id int64) (Project, error) {
	p, err := scanProject(q.QueryRow(ctx, `SELECT `+projectColumns+` FROM project WHERE id = $1`, id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return p, fmt.Errorf("project %d: %w", id, errdef.ErrNotFound)
	}
	return p, err
}

// LockProject is ProjectByID for a transaction that changes what it reads: nobody else changes or removes the project until
// it ends.
func (g *Registry) LockProject(tx *store.Tx, id int64) (Project, error) {
	p, err := scanProject(tx.Lock(`SELECT `+projectColumns+` FROM project WHERE id = $1`, id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return p, fmt.Errorf("project %d: %w", id, errdef.ErrNotFound)
	}
	return p, err
}

// SelectProjects lists the projects for which a condition holds that the caller wrote over the table project, with parameters
// from $1 on, in an order over the same: at most limit, after offset of them. It also counts all.
func (g *Registry) SelectProjects(ctx context.Context, limit, offset int, condition, order string, args ...any) (list []Project, total int, err error) {
	if err := g.store.QueryRow(ctx, store.Once+`SELECT COUNT(*) FROM project WHERE `+condition, args...).Scan(&total); err != nil {
		return nil, 0, err
	}
	n := len(args)
	list, _, err = store.List(ctx, g.store, limit, func(r *sql.Rows) (Project, error) { return scanProject(r.Scan) },
		fmt.Sprintf(store.Once+`SELECT %s FROM project WHERE %s ORDER BY %s LIMIT $%d OFFSET $%d`, projectColumns, condition, order, n+2, n+1),
		append(args[:n:n], offset)...)
	return list, total, err
}

// Occupied counts the repositories of a project that hold a manifest. Those that hold none go with the collector, or with
// the project.
func (g *Registry) Occupied(ctx context.Context, q store.Querier, id int64) (n int64, err error) {
	err = q.QueryRow(ctx, `SELECT COUNT(*) FROM repo WHERE project_id = $1 AND manifests > 0`, id).Scan(&n)
	return n, err
}

// RemoveProject removes a project whose repositories hold no manifest, within a transaction of the caller's that removes
// what else belongs to it; errdef.ErrConflict if one does, errdef.ErrNotFound.
func (g *Registry) RemoveProject(tx *store.Tx, id int64) error {
	var name string
	err := tx.Lock(`SELECT name FROM project WHERE id = $1`, id).Scan(&name)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("project %d: %w", id, errdef.ErrNotFound)
	}
	if err != nil {
		return err
	}
	switch occupied, err := g.Occupied(tx.Context(), tx, id); {
	case err != nil:
		return err
	case occupied > 0:
		return fmt.Errorf("the project has %d repositories; delete them first: %w", occupied, errdef.ErrConflict)
	}
	var uploads int
	if err := tx.Row(`SELECT COUNT(*) FROM upload WHERE project_id = $1`, id).Scan(&uploads); err != nil {
		return err
	}
	if uploads > 0 {
		return fmt.Errorf("%d uploads to the project are under way or were given up a short time ago; try again later: %w", uploads, errdef.ErrConflict)
	}
	if err := g.emptyProject(tx, id); err != nil {
		return err
	}
	for _, q := range []string{`DELETE FROM repo WHERE project_id = $1`, `DELETE FROM project_blob WHERE project_id = $1`, `DELETE FROM project WHERE id = $1`} {
		if _, err := tx.Exec(q, id); err != nil {
			return err
		}
	}
	return nil
}

// maxUnlinked is how many blobs the removal of a project takes from its repositories. More are left to the collector, since
// others wait meanwhile.
const maxUnlinked = 5000

// emptyProject takes what is left of blobs from repositories that hold no manifest any more; errdef.ErrConflict if that is
// too much for one transaction.
func (g *Registry) emptyProject(tx *store.Tx, id int64) error {
	type link struct {
		repo   int64
		digest digest.Digest
	}
	list, more, err := store.List(tx.Context(), tx, maxUnlinked, func(r *sql.Rows) (l link, err error) { return l, r.Scan(&l.repo, &l.digest) },
		`SELECT l.repo_id, l.digest FROM repo_blob l JOIN repo r ON r.id = l.repo_id WHERE r.project_id = $1 ORDER BY l.digest, l.repo_id LIMIT $2`, id)
	if err != nil {
		return err
	}
	if more {
		return fmt.Errorf("the content of the project's deleted repositories is still being put away; try again after the next garbage collection: %w",
			errdef.ErrConflict)
	}
	for _, l := range list {
		if _, _, err := g.unlink(tx, place{id, l.repo}, l.digest); err != nil {
			return err
		}
	}
	return nil
}

// UpdateProject sets a project's publicity and quotas; errdef.ErrNotFound. A quota below what is used takes nothing
// away, but lets nothing in.
func (g *Registry) UpdateProject(tx *store.Tx, p Project) error {
	n, err := tx.Exec(`UPDATE project SET public = $1, quota = $2, repo_quota = $3 WHERE id = $4`, p.Public, max(p.Quota, -1), max(p.RepoQuota, -1), p.ID)
	if err == nil && n == 0 {
		err = fmt.Errorf("project %q: %w", p.Name, errdef.ErrNotFound)
	}
	return err
}

// projectOf is the name of the project that a repository belongs to.
func projectOf(repo string) string {
	name, _, _ := strings.Cut(repo, "/")
	return name
}

// place is where a transaction works: a repository and its project, whose row it has locked.
type place struct{ project, repo int64 }

// lockProject begins a transaction that changes what a project has.
func lockProject(tx *store.Tx, repo string) (place, error) {
	var p place
	err := tx.Lock(`SELECT id FROM project WHERE name = $1`, projectOf(repo)).Scan(&p.project)
	if errors.Is(err, sql.ErrNoRows) {
		err = codeNameUnknown.WithMessage(fmt.Sprintf("there is no project %q", projectOf(repo)))
	}
	return p, err
}

// lockRepo locks the project of a repository that must be there.
func lockRepo(tx *store.Tx, name string) (place, error) {
	p, err := lockProject(tx, name)
	if err != nil {
		return p, err
	}
	err = tx.Row(`SELECT id FROM repo WHERE name = $1`, name).Scan(&p.repo)
	if errors.Is(err, sql.ErrNoRows) {
		err = unknownName(name)
	}
	return p, err
}

// ensureRepo locks the project of a repository and makes the repository if it is not there.
func (g *Registry) ensureRepo(tx *store.Tx, name string) (place, error) {
	p, err := lockProject(tx, name)
	if err != nil {
		return p, err
	}
	err = tx.Row(`SELECT id FROM repo WHERE name = $1`, name).Scan(&p.repo)
	if !errors.Is(err, sql.ErrNoRows) {
		return p, err
	}
	n, err := tx.Exec(`UPDATE project SET repos = repos + 1 WHERE id = $1 AND (repo_quota < 0 OR repos + 1 <= repo_quota)`, p.project)
	if err != nil {
		return p, err
	}
	if n == 0 {
		return p, codeDenied.WithMessage(fmt.Sprintf("project %s may have no more repositories: its quota is reached", projectOf(name)))
	}
	err = tx.Row(`INSERT INTO repo (project_id, name, created, updated) VALUES ($1, $2, $3, $3) RETURNING id`, p.project, name, g.now()).Scan(&p.repo)
	if err != nil {
		return p, err
	}
	return p, g.review(tx, p, reviewRepo, "", "", g.after(g.o.Grace))
}
