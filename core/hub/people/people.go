// Package people is who the hub has seen and what they are: users and groups by the word of the auth plugins, the groups
// that a user is in, and the roles that they were given in projects and everywhere.
//
// Plugins say who somebody is; roles are the hub's alone. A role is given to the ID of a user or group, also to one who
// has not been seen yet. What a user may do is asked at every request, from the rows of that moment.
package people

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/openvic/vic/core/hub/query"
	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/errdef"
)

// everywhere is the project number of roles that hold in the whole hub. Projects' numbers begin at 1.
const everywhere = 0

// Schema is the tables. The row of guard is what two changes of the last cloud administrators wait for.
func Schema() store.Schema {
	return store.Schema{Name: "people", Steps: []string{`
CREATE TABLE principal (
	num @id,
	id @ascii NOT NULL UNIQUE,
	is_group BOOLEAN NOT NULL,
	name TEXT NOT NULL,
	full_name TEXT NOT NULL,
	email TEXT NOT NULL,
	disabled BOOLEAN NOT NULL,
	source @ascii NOT NULL,
	checked BIGINT NOT NULL,
	expires BIGINT NOT NULL,
	session @bytes NOT NULL
);
CREATE TABLE principal_group (
	member @ascii NOT NULL,
	principal_group @ascii NOT NULL,
	PRIMARY KEY (member, principal_group)
) @clustered;
CREATE TABLE role_grant (
	id @id,
	project BIGINT NOT NULL,
	principal @ascii NOT NULL,
	is_group BOOLEAN NOT NULL,
	role BIGINT NOT NULL,
	made BIGINT NOT NULL,
	UNIQUE (project, principal)
);
CREATE INDEX role_grant_principal ON role_grant (principal, project);
CREATE TABLE people_guard (id BIGINT PRIMARY KEY);
INSERT INTO people_guard (id) VALUES (1)`,
		`ALTER TABLE principal ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0`,
		`ALTER TABLE principal ADD COLUMN checking BIGINT NOT NULL DEFAULT 0`},
		Watched: []string{"principal", "principal_group", "role_grant"}}
}

// People keeps them. It may be used by several goroutines.
type People struct {
	db       *store.Store
	now      func() time.Time
	onRemove []func(tx *store.Tx, user string) error
}

// New makes a People over a store that was opened with Schema. now nil means time.Now. onRemove removes what else was given
// to a user, in the transaction that removes them.
func New(db *store.Store, now func() time.Time, onRemove ...func(tx *store.Tx, user string) error) *People {
	if now == nil {
		now = time.Now
	}
	return &People{db: db, now: now, onRemove: onRemove}
}

// Person is a user or group as they were last seen.
type Person struct {
	// Number is the row's, which Harbor's API shows as user_id; 0 for who has not been seen.
	Number int64
	auth.Principal
	// Source is the auth plugin that knows them.
	Source string
	// Checked is when the plugin last spoke for them.
	Checked time.Time
	// Expires is when the plugin's word ends; zero: the hub decides.
	Expires time.Time
	// Epoch counts how often all that was given to them ended: what was made in an earlier one opens nothing.
	Epoch int64
	// Session is what the plugin wants back at the next check, sealed by the caller.
	Session []byte
}

const personColumns = `num, id, is_group, name, full_name, email, disabled, source, checked, expires, session, epoch`

type scanner interface{ Scan(dest ...any) error }

func scanPerson(row scanner) (Person, error) {
	var p Person
	var group bool
	var checked, expires int64
	err := row.Scan(&p.Number, &p.ID, &group, &p.Name, &p.FullName, &p.Email, &p.Disabled, &p.Source, &checked, &expires, &p.Session, &p.Epoch)
	p.Kind, p.Checked = kindOf(group), time.Unix(checked, 0)
	if expires != 0 {
		p.Expires = time.Unix(expires, 0)
	}
	return p, err
}

func kindOf(group bool) auth.Kind {
	if group {
		return auth.Group
	}
	return auth.User
}

// Seen keeps what a plugin says of a user who signed in or was checked: the principal, all their groups, and the sealed
// session. It returns the person with their number.
func (p *People) Seen(ctx context.Context, source string, id auth.Identity, sealed []byte) (Person, error) {
	if sealed == nil {
		sealed = []byte{}
	}
	var out Person
	err := p.db.Tx(ctx, func(tx *store.Tx) error {
		if err := p.put(tx, source, id.Principal, `excluded.disabled`); err != nil {
			return err
		}
		expires := int64(0)
		if !id.Expires.IsZero() {
			expires = id.Expires.Unix()
		}
		_, err := tx.Exec(`UPDATE principal SET checked = $1, expires = $2, session = $3, checking = 0 WHERE id = $4`,
			p.now().Unix(), expires, sealed, id.Principal.ID)
		if err != nil {
			return err
		}
		if err := setGroups(tx, id.Principal.ID, id.Groups); err != nil {
			return err
		}
		out, err = scanPerson(tx.Row(`SELECT `+personColumns+` FROM principal WHERE id = $1`, id.Principal.ID))
		return err
	})
	p.db.Forget() // the groups count in this request already
	return out, err
}

// put keeps a principal. disabled is the value of that column for one who is there already.
func (p *People) put(tx *store.Tx, source string, x auth.Principal, disabled string) error {
	_, err := tx.Exec(`INSERT INTO principal (id, is_group, name, full_name, email, disabled, source, checked, expires, session)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, $8)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, full_name = excluded.full_name, email = excluded.email, disabled = `+disabled+
		`, source = excluded.source`,
		x.ID, x.Kind == auth.Group, x.Name, x.FullName, x.Email, x.Disabled, source, []byte{})
	return err
}

func setGroups(tx *store.Tx, member string, groups []string) error {
	if _, err := tx.Exec(`DELETE FROM principal_group WHERE member = $1`, member); err != nil {
		return err
	}
	for _, g := range groups {
		if _, err := tx.Exec(`INSERT INTO principal_group (member, principal_group) VALUES ($1, $2)`, member, g); err != nil {
			return err
		}
	}
	return nil
}

// Found keeps what a plugin says of principals that a search found, so that their names can be shown later. That somebody
// can be found does not let them in again whom Gone has put out: they sign in for that (Seen).
func (p *People) Found(ctx context.Context, source string, all []auth.Principal) error {
	return p.db.Tx(ctx, func(tx *store.Tx) error {
		for _, x := range all {
			if err := p.put(tx, source, x, `(principal.disabled = TRUE OR excluded.disabled = TRUE)`); err != nil {
				return err
			}
		}
		return nil
	})
}

// Gone forgets what a user was: the plugin says of a session that they may not come in any more. Their roles stay, for the
// day that they come back, and give nothing until then. It does nothing if they have signed in since, with another session.
func (p *People) Gone(ctx context.Context, id string, session []byte) error {
	if session == nil {
		session = []byte{}
	}
	return p.db.Tx(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE principal SET disabled = TRUE, session = $1, epoch = epoch + 1 WHERE id = $2 AND session = $3`, []byte{}, id, session)
		if err != nil || n == 0 {
			return err
		}
		_, err = tx.Exec(`DELETE FROM principal_group WHERE member = $1`, id)
		return err
	})
}

// Claim says whether the caller is the one who asks the plugin about a user now: of several hubs on one database one does,
// and those of them that come until a time go by the answer of checked. A plugin's session may be good for one call alone
// (a refresh token that is rotated), so that two who asked at once would put the user out.
func (p *People) Claim(ctx context.Context, id string, checked, until time.Time) (mine bool, err error) {
	err = p.db.Tx(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE principal SET checking = $1 WHERE id = $2 AND checked = $3 AND checking <= $4`,
			until.Unix(), id, checked.Unix(), p.now().Unix())
		mine = n == 1
		return err
	})
	return mine, err
}

// End ends the tokens and sessions that a user was given, after their password was changed.
func (p *People) End(ctx context.Context, id string) error {
	return p.db.Tx(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE principal SET epoch = epoch + 1 WHERE id = $1`, id)
		return err
	})
}

// Remove forgets a user who is deleted where they were kept, and takes their roles: whoever is made under the ID later is
// somebody else. The last cloud administrator cannot be removed: errdef.ErrConflict.
func (p *People) Remove(ctx context.Context, id string) error {
	return p.db.Tx(ctx, func(tx *store.Tx) error {
		if _, err := cloudAdmins(tx); err != nil {
			return err
		}
		if err := p.removeCloudAdmin(tx, id); err != nil && !errors.Is(err, errdef.ErrNotFound) {
			return err
		}
		for _, q := range []string{`DELETE FROM role_grant WHERE principal = $1`, `DELETE FROM principal_group WHERE member = $1`} {
			if _, err := tx.Exec(q, id); err != nil {
				return err
			}
		}
		for _, f := range p.onRemove {
			if err := f(tx, id); err != nil {
				return err
			}
		}
		_, err := tx.Exec(`UPDATE principal SET disabled = TRUE, session = $1, epoch = epoch + 1 WHERE id = $2`, []byte{}, id)
		return err
	})
}

// What is remembered: a person by ID, and the role of one in a project.
type (
	personKey string
	roleKey   struct {
		user    string
		project int64
	}
)

// Get returns a person by ID; errdef.ErrNotFound.
func (p *People) Get(ctx context.Context, id string) (Person, error) {
	return store.Remember(ctx, personKey(id), func() (Person, error) {
		return p.one(ctx, id, `SELECT `+personColumns+` FROM principal WHERE id = $1`, id)
	})
}

// ByNumber returns a person by number; errdef.ErrNotFound.
func (p *People) ByNumber(ctx context.Context, n int64) (Person, error) {
	return p.one(ctx, fmt.Sprint(n), `SELECT `+personColumns+` FROM principal WHERE num = $1`, n)
}

// ByName returns the user or group whom people write so, whatever the case; errdef.ErrNotFound. Names are what identity
// sources say: if several have one, errdef.ErrInvalid asks for the ID, so that nobody gets what was meant for another.
func (p *People) ByName(ctx context.Context, name string, kind auth.Kind) (Person, error) {
	list, _, err := store.List(ctx, p.db, 2, func(r *sql.Rows) (Person, error) { return scanPerson(r) },
		`SELECT `+personColumns+` FROM principal WHERE lower(name) = lower($1) AND is_group = $2 ORDER BY num LIMIT $3`, name, kind == auth.Group)
	switch {
	case err != nil:
		return Person{}, err
	case len(list) == 0:
		return Person{}, notSeen(name)
	case len(list) > 1:
		return Person{}, fmt.Errorf("%q is the name of %s and of %s: give the ID: %w", name, list[0].ID, list[1].ID, errdef.ErrInvalid)
	}
	return list[0], nil
}

func notSeen(what string) error {
	return fmt.Errorf("%q has not been seen here: %w", what, errdef.ErrNotFound)
}

func (p *People) one(ctx context.Context, what, query string, args ...any) (Person, error) {
	x, err := scanPerson(p.db.QueryRow(ctx, query, args...))
	if errors.Is(err, sql.ErrNoRows) {
		return Person{}, notSeen(what)
	}
	return x, err
}

// Columns are what lists of users are filtered and sorted by.
var Columns = query.Columns{"user_id": {SQL: "num", Type: query.Number}, "username": {SQL: "name"}, "email": {SQL: "email"}, "realname": {SQL: "full_name"}}

// Groups lists the groups that have been seen whose name contains part, by number: at most limit, after offset of them. It
// also counts all.
func (p *People) Groups(ctx context.Context, part string, limit, offset int) (list []Person, total int, err error) {
	const where = ` FROM principal WHERE is_group = TRUE AND lower(name) LIKE lower($1) ESCAPE '\'`
	if err := p.db.QueryRow(ctx, `SELECT COUNT(*)`+where, store.Containing(part)).Scan(&total); err != nil {
		return nil, 0, err
	}
	list, _, err = store.List(ctx, p.db, limit, func(r *sql.Rows) (Person, error) { return scanPerson(r) },
		`SELECT `+personColumns+where+` ORDER BY num LIMIT $3 OFFSET $2`, store.Containing(part), offset)
	return list, total, err
}

// SelectUsers lists the users that have been seen for whom a condition over Columns holds, with parameters from $1 on, in an
// order over the same: at most limit, after offset of them. It also counts all.
func (p *People) SelectUsers(ctx context.Context, limit, offset int, condition, order string, args ...any) (list []Person, total int, err error) {
	from := ` FROM principal WHERE is_group = FALSE AND ` + condition
	if err := p.db.QueryRow(ctx, store.Once+`SELECT COUNT(*)`+from, args...).Scan(&total); err != nil {
		return nil, 0, err
	}
	n := len(args)
	list, _, err = store.List(ctx, p.db, limit, func(r *sql.Rows) (Person, error) { return scanPerson(r) },
		fmt.Sprintf(store.Once+`SELECT %s%s ORDER BY %s LIMIT $%d OFFSET $%d`, personColumns, from, order, n+2, n+1), append(args[:n:n], offset)...)
	return list, total, err
}

// Role is what a user is in a project: the highest role that they, or a group of theirs, were given there or everywhere.
// Who is disabled, or has never been seen, is nothing. project 0 asks for roles that hold everywhere alone.
//
// A role of a user and one of a group are told apart by the kind, not by the ID alone: a source may have a user of a group's
// name, and must not make them what the group is.
func (p *People) Role(ctx context.Context, user string, project int64) (role.Role, error) {
	return store.Remember(ctx, roleKey{user, project}, func() (role.Role, error) {
		return p.highest(ctx, `AND g.project IN (0, $2)`, user, project)
	})
}

// Highest is the highest role that a user has anywhere.
func (p *People) Highest(ctx context.Context, user string) (role.Role, error) {
	return p.highest(ctx, ``, user)
}

func (p *People) highest(ctx context.Context, where string, user string, args ...any) (role.Role, error) {
	var r int64
	err := p.db.QueryRow(ctx, `SELECT COALESCE(MAX(g.role), 0) FROM role_grant g
		WHERE EXISTS (SELECT 1 FROM principal p WHERE p.id = $1 AND p.disabled = FALSE)
		AND (g.principal = $1 AND g.is_group = FALSE
			OR g.is_group = TRUE AND g.principal IN (SELECT principal_group FROM principal_group WHERE member = $1)) `+where,
		append([]any{user}, args...)...).Scan(&r)
	return role.Role(r), err
}

// Sees is a condition over the table project that holds for the projects that a user may see: public ones, and those
// where they, or a group of theirs, were given a role there or everywhere. Its one parameter, $1, is the user's ID; ""
// is somebody who has not signed in.
const Sees = `(project.public = TRUE OR EXISTS (SELECT 1 FROM role_grant g WHERE g.project IN (0, project.id)
	AND EXISTS (SELECT 1 FROM principal p WHERE p.id = $1 AND p.disabled = FALSE)
	AND (g.principal = $1 AND g.is_group = FALSE
		OR g.is_group = TRUE AND g.principal IN (SELECT principal_group FROM principal_group WHERE member = $1))))`
