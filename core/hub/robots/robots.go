// Package robots keeps the accounts of programs: what each may do, until when, and the hash of its secret.
//
// A robot belongs to one project or to the whole hub. One of a project is given nothing beyond it. Who makes or changes a
// robot must hold all that it may do afterwards, and so must who takes its secret anew: a robot lends nobody more than
// they have. What would let a robot make others mighty (robot:manage, member:manage, system-robot:manage,
// cloud-admin:manage) is given by a cloud administrator in person, never by another robot.
//
// Nothing of a robot is remembered outside of the database: what is disabled, changed or gone counts at the next request.
package robots

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/openvic/vic/core/access"
	"github.com/openvic/vic/core/hub/authz"
	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
)

// Schema is the tables. robot_grant names projects by number: 0 is the whole hub, -1 every project. A project that is
// made anew under an old name has another number.
func Schema() store.Schema {
	return store.Schema{Name: "robots", Watched: []string{"robot", "robot_grant"}, Steps: []string{`
CREATE TABLE robot (
	id @id,
	project BIGINT NOT NULL,
	name @ascii NOT NULL UNIQUE,
	description TEXT NOT NULL,
	secret @bytes NOT NULL,
	disabled BOOLEAN NOT NULL,
	duration BIGINT NOT NULL,
	expires BIGINT NOT NULL,
	creator TEXT NOT NULL,
	made BIGINT NOT NULL,
	changed BIGINT NOT NULL,
	used BIGINT NOT NULL
);
CREATE INDEX robot_project ON robot (project, id);
CREATE TABLE robot_grant (
	robot BIGINT NOT NULL,
	project BIGINT NOT NULL,
	permission @ascii NOT NULL,
	PRIMARY KEY (robot, project, permission)
) @clustered;
CREATE INDEX robot_grant_project ON robot_grant (project)`}}
}

// Namespaces that are no project's name.
const (
	WholeHub     = "/"                // permissions that hold in the whole hub
	EveryProject = authz.EveryProject // permissions in all projects, also those that are made later
)

// Never is the Duration of a robot that does not expire.
const Never = -1

// Bounds of what a robot is made of.
const (
	maxName        = 128 // characters behind the prefix
	maxDescription = 1024
	maxDuration    = 36500 // days
	maxGrants      = 2000
	maxRobots      = 1000 // of one project, or of the whole hub
)

// Permission is what a robot may do in one namespace.
type Permission struct {
	Namespace string // the name of a project, EveryProject or WholeHub
	Access    []role.Permission
	// Said is how each was given, "resource:action": the table's name or a pair of Harbor's. Nil: by the names of Access.
	Said []string
}

// said is Said, also where that is nil.
func (p Permission) said() []string {
	if p.Said != nil {
		return p.Said
	}
	all := make([]string, len(p.Access))
	for i, x := range p.Access {
		all[i] = x.String()
	}
	return all
}

// Spec is what is chosen when a robot is made or changed.
type Spec struct {
	// Project is the number of the project that it belongs to; 0: the whole hub. It stays.
	Project int64
	// Name is the short one: without "robot$" and the project. It stays.
	Name        string
	Description string
	// Duration is in days from when it was made, or Never.
	Duration    int
	Disabled    bool
	Permissions []Permission
}

// Robot is one account.
type Robot struct {
	ID int64
	Spec
	// FullName is what it signs in by: robot$project+name, or robot$name for one of the whole hub.
	FullName string
	// Creator is the name of who made it.
	Creator       string
	Made, Changed time.Time
	// Expires is zero for one that does not; Used is zero for one that has not been used. Used is exact to a minute.
	Expires, Used time.Time
	stamp         int64 // of the secret
}

// Expired says whether its time is over.
func (r Robot) Expired(now time.Time) bool { return !r.Expires.IsZero() && !now.Before(r.Expires) }

// Maker is who makes or changes a robot.
type Maker interface {
	// Name is as people write it.
	Name() string
	// Holds says whether they have a permission themselves, by a role or a grant, in the project of a name, in
	// EveryProject or in WholeHub. What a public project lets everybody do does not count.
	Holds(ctx context.Context, p role.Permission, namespace string) (bool, error)
	// CloudAdmin says whether they are a cloud administrator, and a person.
	CloudAdmin(ctx context.Context) (bool, error)
}

// Robots keeps them. It may be used by several goroutines.
type Robots struct {
	db      *store.Store
	limiter *access.Limiter
	log     *slog.Logger
	now     func() time.Time
}

// New makes a Robots over a store that was opened with Schema and the registry's, which has the projects. limiter slows
// down who guesses secrets. now nil means time.Now.
func New(db *store.Store, limiter *access.Limiter, log *slog.Logger, now func() time.Time) *Robots {
	if now == nil {
		now = time.Now
	}
	return &Robots{db: db, limiter: limiter, log: log, now: now}
}

var namePattern = regexp.MustCompile(`^[a-z0-9]+(?:[._-][a-z0-9]+)*$`)

func (s Spec) check() error {
	total := 0
	for _, x := range s.Permissions {
		total += len(x.said())
	}
	switch {
	case total == 0 || total > maxGrants:
		return fmt.Errorf("permissions: want 1 to %d of them: %w", maxGrants, errdef.ErrInvalid)
	case len(s.Name) > maxName || !namePattern.MatchString(s.Name):
		return fmt.Errorf("name: want 1 to %d lower-case letters and digits, with single dots, hyphens or underscores between them: %w", maxName, errdef.ErrInvalid)
	case len(s.Description) > maxDescription:
		return fmt.Errorf("description: it is longer than %d bytes: %w", maxDescription, errdef.ErrInvalid)
	case s.Duration != Never && (s.Duration < 1 || s.Duration > maxDuration):
		return fmt.Errorf("duration: want 1 to %d days, or %d for a robot that does not expire: %w", maxDuration, Never, errdef.ErrInvalid)
	}
	return nil
}

// newSecret makes one of 256 bits. That is why a plain hash of it is enough.
func newSecret() (secret.Text, []byte) {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // it never fails
	s := base64.RawURLEncoding.EncodeToString(b)
	return secret.Text(s), hash(secret.Text(s))
}

func hash(s secret.Text) []byte {
	h := sha256.Sum256([]byte(s))
	return h[:]
}

// Make makes a robot and its secret, which nobody can read later. errdef.ErrInvalid, errdef.ErrExists for a name that is
// taken, errdef.ErrNotFound for a project that is not there, errdef.ErrExhausted for one too many, errdef.ErrDenied for what the maker may not give.
func (r *Robots) Make(ctx context.Context, by Maker, s Spec) (Robot, secret.Text, error) {
	if err := s.check(); err != nil {
		return Robot{}, "", err
	}
	if err := may(ctx, by, s.Permissions); err != nil {
		return Robot{}, "", err
	}
	text, hashed := newSecret()
	var made Robot
	err := r.db.Tx(ctx, func(tx *store.Tx) error {
		full, err := fullName(tx, s)
		if err != nil {
			return err
		}
		var n int // exact for a project, whose row is locked; nearly so for the hub
		if err := tx.Row(`SELECT COUNT(*) FROM robot WHERE project = $1`, s.Project).Scan(&n); err != nil {
			return err
		}
		if n >= maxRobots {
			return fmt.Errorf("there are %d robots already: remove some first: %w", n, errdef.ErrExhausted)
		}
		now := r.now()
		var id int64
		err = tx.Row(`INSERT INTO robot (project, name, description, secret, disabled, duration, expires, creator, made, changed, used)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, 0) RETURNING id`,
			s.Project, full, s.Description, hashed, s.Disabled, s.Duration, ends(now, s.Duration), by.Name(), now.UnixMilli()).Scan(&id)
		if err != nil {
			if store.IsTaken(err) {
				return fmt.Errorf("the robot %s is there already: %w", full, errdef.ErrExists)
			}
			return err
		}
		if err := give(tx, id, s); err != nil {
			return err
		}
		made, err = find(tx.Context(), tx, `id = $1`, id)
		return err
	})
	if err != nil {
		return Robot{}, "", err
	}
	return made, text, nil
}

// ends is when a robot of a duration expires, in milliseconds since 1970; 0: never.
func ends(made time.Time, days int) int64 {
	if days == Never {
		return 0
	}
	return made.Add(time.Duration(days) * 24 * time.Hour).UnixMilli()
}

// fullName also keeps the robot's project from being removed until the transaction ends.
func fullName(tx *store.Tx, s Spec) (string, error) {
	if s.Project == 0 {
		return authz.RobotPrefix + s.Name, nil
	}
	var project string
	err := tx.Lock(`SELECT name FROM project WHERE id = $1`, s.Project).Scan(&project)
	if errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("project %d not found: %w", s.Project, errdef.ErrNotFound)
	}
	return authz.RobotPrefix + project + "+" + s.Name, err
}

// Change sets a robot's description, duration, state and permissions. A robot that is disabled afterwards needs no
// permission of who changes it, unless it gets others than it had. Errors are those of Make.
func (r *Robots) Change(ctx context.Context, by Maker, id int64, s Spec) error {
	old, err := r.Get(ctx, id)
	if err != nil {
		return err
	}
	s.Project, s.Name = old.Project, old.Name
	if err := s.check(); err != nil {
		return err
	}
	if !s.Disabled || !same(old.Permissions, s.Permissions) {
		if err := may(ctx, by, s.Permissions); err != nil {
			return err
		}
	}
	return r.db.Tx(ctx, func(tx *store.Tx) error {
		if _, err := fullName(tx, s); err != nil {
			return err
		}
		n, err := tx.Exec(`UPDATE robot SET description = $1, disabled = $2, duration = $3, expires = $4, changed = $5 WHERE id = $6`,
			s.Description, s.Disabled, s.Duration, ends(old.Made, s.Duration), r.now().UnixMilli(), id)
		if err != nil {
			return err
		}
		if n == 0 {
			return noRobot(id)
		}
		if _, err := tx.Exec(`DELETE FROM robot_grant WHERE robot = $1`, id); err != nil {
			return err
		}
		return give(tx, id, s)
	})
}

// Refresh makes a new secret; the old one opens nothing from then on. Who gets it must hold all that the robot may do.
func (r *Robots) Refresh(ctx context.Context, by Maker, id int64) (secret.Text, error) {
	old, err := r.Get(ctx, id)
	if err != nil {
		return "", err
	}
	if err := may(ctx, by, old.Permissions); err != nil {
		return "", err
	}
	text, hashed := newSecret()
	err = r.db.Tx(ctx, func(tx *store.Tx) error {
		// The robot may have been changed since: to what it may do now the caller's check does not apply.
		n, err := tx.Exec(`UPDATE robot SET secret = $1, changed = $2 WHERE id = $3 AND changed = $4`, hashed,
			max(r.now().UnixMilli(), old.Changed.UnixMilli()+1), id, old.Changed.UnixMilli())
		if err == nil && n == 0 {
			return fmt.Errorf("the robot was changed or removed at the same time; try again: %w", errdef.ErrConflict)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	return text, nil
}

// Remove removes a robot; errdef.ErrNotFound.
func (r *Robots) Remove(ctx context.Context, id int64) error {
	return r.db.Tx(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`DELETE FROM robot WHERE id = $1`, id)
		if err != nil {
			return err
		}
		if n == 0 {
			return noRobot(id)
		}
		_, err = tx.Exec(`DELETE FROM robot_grant WHERE robot = $1`, id)
		return err
	})
}

// Forget removes the robots of a project that is deleted, and what others may do there, within its transaction.
func Forget(tx *store.Tx, project int64) error {
	for _, query := range []string{
		`DELETE FROM robot_grant WHERE project = $1 OR robot IN (SELECT id FROM robot WHERE project = $1)`,
		`DELETE FROM robot WHERE project = $1`,
	} {
		if _, err := tx.Exec(query, project); err != nil {
			return err
		}
	}
	return nil
}

func noRobot(id int64) error { return fmt.Errorf("robot %d not found: %w", id, errdef.ErrNotFound) }
