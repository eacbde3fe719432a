package robots

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/openvic/vic/core/hub/authz"
	"github.com/openvic/vic/core/hub/signin"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
)

var _ authz.Robots = (*Robots)(nil)

const columns = `id, project, name, description, disabled, duration, expires, creator, made, changed, used`

func scan(row interface{ Scan(...any) error }, more ...any) (r Robot, err error) {
	var expires, made, changed, used int64
	err = row.Scan(append([]any{&r.ID, &r.Project, &r.FullName, &r.Description, &r.Disabled, &r.Duration, &expires, &r.Creator, &made, &changed, &used},
		more...)...)
	r.Expires, r.Made, r.Changed, r.Used = instant(expires), instant(made), instant(changed), instant(used)
	r.Name = strings.TrimPrefix(r.FullName, authz.RobotPrefix)
	if r.Project != 0 {
		_, r.Name, _ = strings.Cut(r.Name, "+")
	}
	return r, err
}

func instant(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

func find(ctx context.Context, q store.Querier, where string, args ...any) (Robot, error) {
	var kept []byte
	x, err := scan(q.QueryRow(ctx, `SELECT `+columns+`, secret FROM robot WHERE `+where, args...), &kept)
	if err == nil {
		x.stamp = stampOf(kept)
		x.Permissions, err = permissions(ctx, q, x.ID)
	}
	return x, err
}

// Get returns a robot; errdef.ErrNotFound.
func (r *Robots) Get(ctx context.Context, id int64) (Robot, error) {
	x, err := find(ctx, r.db, `id = $1`, id)
	if errors.Is(err, sql.ErrNoRows) {
		return x, noRobot(id)
	}
	return x, err
}

// List returns the robots of a project, or those of the whole hub for project 0, by number: at most limit, after offset
// of them. name limits them to those whose full name has it. It also counts all.
func (r *Robots) List(ctx context.Context, project int64, name string, limit, offset int) (list []Robot, total int, err error) {
	const where = ` FROM robot WHERE project = $1 AND name LIKE $2 ESCAPE '\'`
	pattern := store.Containing(name)
	if err := r.db.QueryRow(ctx, `SELECT COUNT(*)`+where, project, pattern).Scan(&total); err != nil {
		return nil, 0, err
	}
	list, _, err = store.List(ctx, r.db, limit, func(rows *sql.Rows) (Robot, error) { return scan(rows) },
		`SELECT `+columns+where+` ORDER BY id LIMIT $4 OFFSET $3`, project, pattern, offset)
	for i := range list {
		if err == nil {
			list[i].Permissions, err = permissions(ctx, r.db, list[i].ID)
		}
	}
	return list, total, err
}

var errWrong = fmt.Errorf("name or secret is wrong: %w", errdef.ErrDenied)

// maxSecret bounds what a client sends as one; ours have 43 characters.
const maxSecret = 256

// Password implements authz.Robots. signin.LimitedError: too many tries.
func (r *Robots) Password(ctx context.Context, name string, given secret.Text, address string) (authz.Robot, error) {
	if len(name) > maxName*2 || given == "" || len(given) > maxSecret {
		return authz.Robot{}, errWrong
	}
	try, wait := r.limiter.Take(ctx, name, address)
	if try == nil {
		return authz.Robot{}, &signin.LimitedError{Wait: wait}
	}
	defer try.Done()
	var kept []byte
	err := r.db.QueryRow(ctx, `SELECT secret FROM robot WHERE name = $1`, name).Scan(&kept)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return authz.Robot{}, errWrong
	case err != nil:
		try.TakeBack() // nobody's guess
		return authz.Robot{}, err
	case subtle.ConstantTimeCompare(kept, hash(given)) != 1:
		return authz.Robot{}, errWrong
	}
	try.Succeeded()
	return r.Find(ctx, name)
}

type robotKey string // its name; the robot is remembered

// Find implements authz.Robots.
func (r *Robots) Find(ctx context.Context, name string) (authz.Robot, error) {
	x, err := store.Remember(ctx, robotKey(name), func() (Robot, error) { return find(ctx, r.db, `name = $1`, name) })
	switch now := r.now(); {
	case errors.Is(err, sql.ErrNoRows):
		return authz.Robot{}, fmt.Errorf("there is no robot %.200q: %w", name, errdef.ErrDenied)
	case err != nil:
		return authz.Robot{}, err
	case x.Disabled:
		return authz.Robot{}, fmt.Errorf("robot %s is disabled: %w", name, errdef.ErrDenied)
	case x.Expired(now):
		return authz.Robot{}, fmt.Errorf("robot %s expired at %s: %w", name, x.Expires.UTC().Format(time.RFC3339), errdef.ErrDenied)
	default:
		r.touch(ctx, x, now)
	}
	return authz.Robot{Name: x.FullName, Stamp: x.stamp, Grants: granted(x.Permissions), Limited: limited(x.Permissions)}, nil
}

// stampOf is a number of a secret's hash that tells nothing of either. JSON keeps it exactly.
func stampOf(kept []byte) int64 {
	sum := sha256.Sum256(append([]byte("stamp "), kept...))
	return int64(binary.BigEndian.Uint64(sum[:8])>>12) | 1
}

// usedEvery is how exact the time of last use is: not each request is worth a write.
const usedEvery = time.Minute

func (r *Robots) touch(ctx context.Context, x Robot, now time.Time) {
	if now.Sub(x.Used) < usedEvery {
		return
	}
	err := r.db.Tx(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE robot SET used = $1 WHERE id = $2 AND used < $1`, now.UnixMilli(), x.ID)
		return err
	})
	if err != nil {
		r.log.Warn("time of a robot's last use cannot be kept", "robot", x.FullName, "err", err)
	}
}
