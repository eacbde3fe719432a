package people

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/errdef"
)

// Grant is one role that somebody was given.
type Grant struct {
	// Number is the row's: Harbor's member id.
	Number int64
	// Project is the project's number; 0: everywhere.
	Project   int64
	Principal string
	Kind      auth.Kind
	// Name is as people write it; the ID for who has not been seen.
	Name string
	Role role.Role
	Made time.Time
}

const grantQuery = `SELECT g.id, g.project, g.principal, g.is_group, COALESCE(p.name, g.principal), g.role, g.made
	FROM role_grant g LEFT JOIN principal p ON p.id = g.principal `

func scanGrant(row scanner) (Grant, error) {
	var g Grant
	var group bool
	var made int64
	err := row.Scan(&g.Number, &g.Project, &g.Principal, &group, &g.Name, &g.Role, &made)
	g.Kind, g.Made = kindOf(group), time.Unix(made, 0)
	return g, err
}

// Members returns a page of a project's members, by number, after one. contains limits them to those whose name or ID
// has it, whatever the case (the database folds both, since SQLite folds ASCII alone); empty: all.
func (p *People) Members(ctx context.Context, project int64, contains string, after int64, limit int) (list []Grant, more bool, err error) {
	return store.List(ctx, p.db, limit, func(r *sql.Rows) (Grant, error) { return scanGrant(r) },
		grantQuery+`WHERE g.project = $1 AND g.id > $2
			AND ($3 = '' OR lower(p.name) LIKE lower($4) ESCAPE '\' OR lower(g.principal) LIKE lower($4) ESCAPE '\') ORDER BY g.id LIMIT $5`,
		project, after, contains, store.Containing(contains))
}

// Member returns one role of a project by its number; errdef.ErrNotFound.
func (p *People) Member(ctx context.Context, project, number int64) (Grant, error) {
	g, err := scanGrant(p.db.QueryRow(ctx, grantQuery+`WHERE g.project = $1 AND g.id = $2`, project, number))
	if errors.Is(err, sql.ErrNoRows) {
		return Grant{}, noMember(number)
	}
	return g, err
}

func noMember(number int64) error {
	return fmt.Errorf("there is no member %d: %w", number, errdef.ErrNotFound)
}

// AddMember gives somebody a role in a project; errdef.ErrExists if they have one there, errdef.ErrInvalid for a role
// that is not one of a project. guard, if there is any, runs first in the same transaction, and an error of it ends that: it
// keeps the project from being removed meanwhile.
func (p *People) AddMember(ctx context.Context, project int64, who auth.Principal, r role.Role, guard ...func(*store.Tx) error) (Grant, error) {
	if err := ofProject(r); err != nil {
		return Grant{}, err
	}
	var g Grant
	err := p.db.Tx(ctx, func(tx *store.Tx) (err error) {
		for _, f := range guard {
			if err := f(tx); err != nil {
				return err
			}
		}
		g, err = p.grant(tx, project, who, r)
		return err
	})
	if store.IsTaken(err) {
		return Grant{}, fmt.Errorf("%s is a member already; change the role instead: %w", who.ID, errdef.ErrExists)
	}
	return g, err
}

func ofProject(r role.Role) error {
	if r < role.Viewer || r > role.DevOpsAdmin {
		return fmt.Errorf("%s is no role of a project: %w", r, errdef.ErrInvalid)
	}
	return nil
}

func (p *People) grant(tx *store.Tx, project int64, who auth.Principal, r role.Role) (Grant, error) {
	_, err := tx.Exec(`INSERT INTO role_grant (project, principal, is_group, role, made) VALUES ($1, $2, $3, $4, $5)`,
		project, who.ID, who.Kind == auth.Group, int(r), p.now().Unix())
	if err != nil {
		return Grant{}, err
	}
	return scanGrant(tx.Row(grantQuery+`WHERE g.project = $1 AND g.principal = $2`, project, who.ID))
}

// Grant gives somebody a role in a project within a transaction of the caller's, which makes the project.
func (p *People) Grant(tx *store.Tx, project int64, who auth.Principal, r role.Role) error {
	if err := ofProject(r); err != nil {
		return err
	}
	_, err := p.grant(tx, project, who, r)
	return err
}

// ChangeMember gives a member another role; errdef.ErrNotFound, errdef.ErrInvalid.
func (p *People) ChangeMember(ctx context.Context, project, number int64, r role.Role) error {
	if err := ofProject(r); err != nil {
		return err
	}
	return p.change(ctx, number, `UPDATE role_grant SET role = $1 WHERE project = $2 AND id = $3`, int(r), project, number)
}

// RemoveMember takes a member's role; errdef.ErrNotFound.
func (p *People) RemoveMember(ctx context.Context, project, number int64) error {
	return p.change(ctx, number, `DELETE FROM role_grant WHERE project = $1 AND id = $2`, project, number)
}

func (p *People) change(ctx context.Context, number int64, query string, args ...any) error {
	return p.db.Tx(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(query, args...)
		if err == nil && n == 0 {
			return noMember(number)
		}
		return err
	})
}

// Forget removes all roles of a project that is deleted, within its transaction.
func Forget(tx *store.Tx, project int64) error {
	_, err := tx.Exec(`DELETE FROM role_grant WHERE project = $1`, project)
	return err
}

// Begin makes groups cloud administrators of a hub that has never had any. It returns those that it made; none if there
// was one before.
func (p *People) Begin(ctx context.Context, groups []string) (made []string, err error) {
	err = p.db.Tx(ctx, func(tx *store.Tx) error {
		made = nil
		n, err := cloudAdmins(tx)
		if err != nil || n > 0 {
			return err
		}
		for i, id := range groups {
			if slices.Contains(groups[:i], id) { // two sources, or a line of the configuration, may name one twice
				continue
			}
			if _, err := p.grant(tx, everywhere, auth.Principal{ID: id, Kind: auth.Group}, role.CloudAdmin); err != nil {
				return err
			}
			made = append(made, id)
		}
		return nil
	})
	return made, err
}

// cloudAdmins counts the users and groups that are cloud administrators, and keeps everybody else from changing them
// until the transaction ends.
func cloudAdmins(tx *store.Tx) (n int, err error) {
	var id int
	if err := tx.Lock(`SELECT id FROM people_guard WHERE id = 1`).Scan(&id); err != nil {
		return 0, err
	}
	err = tx.Row(`SELECT COUNT(*) FROM role_grant WHERE project = $1`, everywhere).Scan(&n)
	return n, err
}

// CloudAdmins returns the users and groups that are cloud administrators.
func (p *People) CloudAdmins(ctx context.Context) ([]Grant, error) {
	const most = 10_000
	list, _, err := p.Members(ctx, everywhere, "", 0, most)
	return list, err
}

// AddCloudAdmin makes somebody cloud administrator; errdef.ErrExists.
func (p *People) AddCloudAdmin(ctx context.Context, who auth.Principal) (Grant, error) {
	var g Grant
	err := p.db.Tx(ctx, func(tx *store.Tx) (err error) {
		if _, err := cloudAdmins(tx); err != nil {
			return err
		}
		g, err = p.grant(tx, everywhere, who, role.CloudAdmin)
		return err
	})
	if store.IsTaken(err) {
		return Grant{}, fmt.Errorf("%s is a cloud administrator already: %w", who.ID, errdef.ErrExists)
	}
	return g, err
}

// RemoveCloudAdmin takes the role from a user or group; errdef.ErrNotFound. The last one cannot lose it:
// errdef.ErrConflict. A group that is one cannot lose it to users alone either, since users leave: another group must
// have it first.
func (p *People) RemoveCloudAdmin(ctx context.Context, principal string) error {
	return p.db.Tx(ctx, func(tx *store.Tx) error {
		if _, err := cloudAdmins(tx); err != nil {
			return err
		}
		return p.removeCloudAdmin(tx, principal)
	})
}

// removeCloudAdmin is RemoveCloudAdmin within a transaction that holds off others (cloudAdmins).
func (p *People) removeCloudAdmin(tx *store.Tx, principal string) error {
	var group bool
	err := tx.Row(`SELECT is_group FROM role_grant WHERE project = $1 AND principal = $2`, everywhere, principal).Scan(&group)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%s is no cloud administrator: %w", principal, errdef.ErrNotFound)
	}
	if err != nil {
		return err
	}
	var others, groups int
	err = tx.Row(`SELECT COUNT(*), COALESCE(SUM(CASE WHEN is_group THEN 1 ELSE 0 END), 0) FROM role_grant WHERE project = $1 AND principal <> $2`,
		everywhere, principal).Scan(&others, &groups)
	switch {
	case err != nil:
		return err
	case others == 0:
		return fmt.Errorf("%s is the last cloud administrator and keeps the role until another user or group has it: %w", principal, errdef.ErrConflict)
	case group && groups == 0:
		return fmt.Errorf("%s is the last group of cloud administrators and keeps the role until another group has it: %w", principal, errdef.ErrConflict)
	}
	_, err = tx.Exec(`DELETE FROM role_grant WHERE project = $1 AND principal = $2`, everywhere, principal)
	return err
}
