// Package clisecret keeps the secrets with which people who sign in by a browser use docker login and the API: those have
// no password that the hub could check.
//
// The hub makes a secret, shows it once and keeps its hash. A user has one; making another ends it. It opens what the user
// may of the moment, and only while their identity source lets them in: it ends with the user.
package clisecret

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/openvic/vic/core/access"
	"github.com/openvic/vic/core/hub/people"
	"github.com/openvic/vic/core/hub/signin"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
)

// Schema is the table.
func Schema() store.Schema {
	return store.Schema{Name: "clisecret", Watched: []string{"cli_secret(sum, made)"}, Steps: []string{`
CREATE TABLE cli_secret (
	principal @ascii PRIMARY KEY,
	sum @ascii NOT NULL UNIQUE,
	made BIGINT NOT NULL,
	used BIGINT NOT NULL
)`}}
}

// Prefix begins each secret, so that it is told from a password, and found where it was left lying.
const Prefix = "vic-cli-"

// length is a secret's: the prefix and 32 bytes in base64.
const length = len(Prefix) + 43

// Is says whether a password has the form of a secret. Such a one is not shown to identity sources.
func Is(password secret.Text) bool {
	return len(password) == length && strings.HasPrefix(string(password), Prefix)
}

// Is is the function, for who holds a Secrets behind an interface.
func (*Secrets) Is(password secret.Text) bool { return Is(password) }

// Checker says who a user is now (package signin).
type Checker interface {
	Check(ctx context.Context, user string) (people.Person, error)
}

// Secrets keeps them. It may be used by several goroutines.
type Secrets struct {
	db      *store.Store
	who     Checker
	limiter *access.Limiter
	log     *slog.Logger
	now     func() time.Time
}

// New makes a Secrets over a store that was opened with Schema. now nil means time.Now.
func New(db *store.Store, who Checker, limiter *access.Limiter, log *slog.Logger, now func() time.Time) *Secrets {
	if now == nil {
		now = time.Now
	}
	return &Secrets{db: db, who: who, limiter: limiter, log: log, now: now}
}

// Secret is what is known of one.
type Secret struct {
	Made time.Time
	Used time.Time // to a minute; zero: never
}

// Make makes a secret for a user, and ends the one before.
func (s *Secrets) Make(ctx context.Context, user string) (secret.Text, error) {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	given := secret.Text(Prefix + base64.RawURLEncoding.EncodeToString(b[:]))
	err := s.db.Tx(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO cli_secret (principal, sum, made, used) VALUES ($1, $2, $3, 0)
			ON CONFLICT (principal) DO UPDATE SET sum = excluded.sum, used = 0,
				made = CASE WHEN cli_secret.made < excluded.made THEN excluded.made ELSE cli_secret.made + 1 END`, user, sumOf(given), s.now().UnixMilli())
		return err
	})
	return given, err
}

func sumOf(given secret.Text) string {
	sum := sha256.Sum256([]byte(given))
	return hex.EncodeToString(sum[:])
}

// Get tells of a user's secret; errdef.ErrNotFound if there is none.
func (s *Secrets) Get(ctx context.Context, user string) (Secret, error) {
	var made, used int64
	err := s.db.QueryRow(ctx, `SELECT made, used FROM cli_secret WHERE principal = $1`, user).Scan(&made, &used)
	if errors.Is(err, sql.ErrNoRows) {
		return Secret{}, fmt.Errorf("%s has no CLI secret: %w", user, errdef.ErrNotFound)
	}
	x := Secret{Made: time.UnixMilli(made)}
	if used != 0 {
		x.Used = time.UnixMilli(used)
	}
	return x, err
}

// Remove ends a user's secret; it does not matter whether there is one.
func (s *Secrets) Remove(ctx context.Context, user string) error {
	return s.db.Tx(ctx, func(tx *store.Tx) error { return Forget(tx, user) })
}

// Forget is Remove within the transaction that removes the user.
func Forget(tx *store.Tx, user string) error {
	_, err := tx.Exec(`DELETE FROM cli_secret WHERE principal = $1`, user)
	return err
}

var errWrong = fmt.Errorf("name or secret is wrong: %w", errdef.ErrDenied)

// Password signs in with a secret, from an address. The name is the user's, as people write it, or their ID.
// errdef.ErrDenied: it is wrong, or the user may not come in any more; signin.LimitedError: too many tries. It also returns the
// secret's stamp, for Current.
func (s *Secrets) Password(ctx context.Context, name string, given secret.Text, address string) (people.Person, int64, error) {
	if !Is(given) {
		return people.Person{}, 0, errWrong
	}
	try, wait := s.limiter.Take(ctx, strings.ToLower(name), address)
	if try == nil {
		return people.Person{}, 0, &signin.LimitedError{Wait: wait}
	}
	defer try.Done()
	var user string
	var used, made int64
	// The secret finds its user: names may be written in several ways, and change.
	err := s.db.QueryRow(ctx, `SELECT principal, used, made FROM cli_secret WHERE sum = $1`, sumOf(given)).Scan(&user, &used, &made)
	if errors.Is(err, sql.ErrNoRows) {
		return people.Person{}, 0, errWrong
	}
	var p people.Person
	if err == nil {
		p, err = s.who.Check(ctx, user)
	}
	switch {
	case errors.Is(err, errdef.ErrDenied):
		return people.Person{}, 0, err
	case err != nil:
		try.TakeBack() // nobody's guess
		return people.Person{}, 0, err
	case !strings.EqualFold(name, p.Name) && name != p.ID:
		return people.Person{}, 0, errWrong
	}
	try.Succeeded()
	s.touch(ctx, user, time.UnixMilli(used))
	return p, made, nil
}

// Current says whether a user's secret is still the one of a stamp: what was given to who had it ends with it.
func (s *Secrets) Current(ctx context.Context, user string, stamp int64) (bool, error) {
	made, err := store.Remember(ctx, madeKey(user), func() (int64, error) {
		x, err := s.Get(ctx, user)
		return x.Made.UnixMilli(), err
	})
	if errors.Is(err, errdef.ErrNotFound) {
		return false, nil
	}
	return err == nil && made == stamp, err
}

type madeKey string // a user, of whom it is remembered when their secret was made

// usedEvery is how exact the time of last use is: not each request is worth a write.
const usedEvery = time.Minute

func (s *Secrets) touch(ctx context.Context, user string, used time.Time) {
	now := s.now()
	if now.Sub(used) < usedEvery {
		return
	}
	err := s.db.Tx(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE cli_secret SET used = $1 WHERE principal = $2 AND used < $1`, now.UnixMilli(), user)
		return err
	})
	if err != nil {
		s.log.Warn("time of a CLI secret's last use cannot be kept", "user", user, "err", err)
	}
}
