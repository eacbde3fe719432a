// Package session keeps the sign-ins of browsers in the hub's database, so that several hubs over one database know all of
// them and hold none themselves.
//
// A session is named by a secret in the browser's cookie; the database has only its SHA-256. It ends when nothing was asked
// for a while, some time after it began, when its user ends it, and, since a session belongs to one epoch of its user
// (package people), at once with a changed password, a removed user, or an identity source that says they may not come in
// any more. What somebody may do is not kept in a session: roles and groups are looked up at each request.
package session

import (
	"cmp"
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

	"github.com/openvic/vic/core/hub/people"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
)

// Schema is the tables. sign_in_done has what was given to Once, as hashes.
func Schema() store.Schema {
	return store.Schema{Name: "session", Steps: []string{`
CREATE TABLE browser_session (
	sum @ascii PRIMARY KEY,
	id @ascii NOT NULL UNIQUE,
	principal @ascii NOT NULL,
	epoch BIGINT NOT NULL,
	address TEXT NOT NULL,
	agent TEXT NOT NULL,
	logout TEXT NOT NULL,
	began BIGINT NOT NULL,
	seen BIGINT NOT NULL
);
CREATE INDEX browser_session_principal ON browser_session (principal, seen);
CREATE INDEX browser_session_seen ON browser_session (seen);
CREATE INDEX browser_session_began ON browser_session (began)`, `
CREATE TABLE sign_in_done (sum @ascii PRIMARY KEY, ends BIGINT NOT NULL);
CREATE INDEX sign_in_done_ends ON sign_in_done (ends)`}}
}

// Session is one sign-in of a browser.
type Session struct {
	// ID names the session in lists and logs; it opens nothing.
	ID string
	// Principal is the user's ID, and Epoch theirs when the session began.
	Principal string
	Epoch     int64
	// Address is where it began; Agent is what the browser calls itself, cut at 200 bytes.
	Address, Agent string
	// Logout is where the browser signs out of the identity source too; empty if nowhere.
	Logout string
	Began  time.Time
	Seen   time.Time // the last request, to a minute
}

// Options bound sessions. Zero values mean the defaults that are noted.
type Options struct {
	Idle    time.Duration // without a request, 1 h
	Longest time.Duration // in all, 12 h
	PerUser int           // 50; the one that was seen longest ago ends for a new one
	Log     *slog.Logger
	Now     func() time.Time
}

// Sessions keeps them. It may be used by several goroutines.
type Sessions struct {
	db *store.Store
	o  Options
}

// New makes a Sessions over a store that was opened with Schema.
func New(db *store.Store, o Options) *Sessions {
	o.Idle, o.Longest, o.PerUser = cmp.Or(o.Idle, time.Hour), cmp.Or(o.Longest, 12*time.Hour), cmp.Or(o.PerUser, 50)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Sessions{db: db, o: o}
}

// Longest is how long a session lasts at most.
func (s *Sessions) Longest() time.Duration { return s.o.Longest }

const columns = `id, principal, epoch, address, agent, logout, began, seen`

func scan(row interface{ Scan(...any) error }) (x Session, err error) {
	var began, seen int64
	err = row.Scan(&x.ID, &x.Principal, &x.Epoch, &x.Address, &x.Agent, &x.Logout, &began, &seen)
	x.Began, x.Seen = time.UnixMilli(began), time.UnixMilli(seen)
	return x, err
}

func sumOf(given secret.Text) string {
	sum := sha256.Sum256([]byte(given))
	return hex.EncodeToString(sum[:])
}

const (
	secretLength = 43 // 32 bytes in base64
	idLength     = 16 // of the sum's digits
	maxAgent     = 200
)

// text makes what a client sent fit for any database.
func text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s[:min(len(s), maxAgent)], ""), "\x00", "")
}

// Open begins a session of a user who has just signed in. It returns the secret, which goes into the cookie and nowhere
// else. Sessions that are over, of whomever, are removed on the way.
func (s *Sessions) Open(ctx context.Context, p people.Person, address, agent, logout string) (secret.Text, Session, error) {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	given := secret.Text(base64.RawURLEncoding.EncodeToString(b[:]))
	sum, now := sumOf(given), s.o.Now().Truncate(time.Millisecond)
	x := Session{ID: sum[:idLength], Principal: p.ID, Epoch: p.Epoch, Address: text(address), Agent: text(agent), Logout: logout, Began: now, Seen: now}
	err := s.db.Tx(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`DELETE FROM browser_session WHERE seen < $1 OR began < $2`, now.Add(-s.o.Idle).UnixMilli(), now.Add(-s.o.Longest).UnixMilli())
		if err != nil {
			return err
		}
		_, err = tx.Exec(`DELETE FROM browser_session WHERE principal = $1 AND sum NOT IN
			(SELECT sum FROM browser_session WHERE principal = $1 ORDER BY seen DESC, began DESC LIMIT $2)`, p.ID, s.o.PerUser-1)
		if err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO browser_session (sum, `+columns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			sum, x.ID, x.Principal, x.Epoch, x.Address, x.Agent, x.Logout, now.UnixMilli(), now.UnixMilli())
		return err
	})
	return given, x, err
}

var errNone = fmt.Errorf("there is no such session: %w", errdef.ErrDenied)

// Find returns the session of a secret, and notes that it was seen; errdef.ErrDenied if there is none any more. The caller
// compares its epoch with the user's of now.
func (s *Sessions) Find(ctx context.Context, given secret.Text) (Session, error) {
	if len(given) != secretLength {
		return Session{}, errNone
	}
	sum, now := sumOf(given), s.o.Now()
	x, err := scan(s.db.QueryRow(ctx, `SELECT `+columns+` FROM browser_session WHERE sum = $1`, sum))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return Session{}, errNone
	case err != nil:
		return Session{}, err
	case now.Sub(x.Seen) > s.o.Idle || now.Sub(x.Began) > s.o.Longest:
		return Session{}, errNone // the next sign-in removes the row
	}
	if now.Sub(x.Seen) >= min(seenEvery, s.o.Idle/2) {
		s.touch(ctx, sum, now)
	}
	return x, nil
}

// seenEvery is how exact the time of the last request is: not each one is worth a write.
const seenEvery = time.Minute

func (s *Sessions) touch(ctx context.Context, sum string, now time.Time) {
	err := s.db.Tx(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE browser_session SET seen = $1 WHERE sum = $2 AND seen < $1`, now.UnixMilli(), sum)
		return err
	})
	if err != nil {
		s.o.Log.Warn("time of a session's last request cannot be kept", "session", sum[:idLength], "err", err)
	}
}

// Once takes what a sign-in by redirect is known by, and takes it once, whichever hub it comes to: errdef.ErrDenied from the
// second time on. It is remembered until ends; after that the caller refuses it by its age.
func (s *Sessions) Once(ctx context.Context, given secret.Text, ends time.Time) error {
	return s.db.Tx(ctx, func(tx *store.Tx) error {
		if _, err := tx.Exec(`DELETE FROM sign_in_done WHERE ends < $1`, s.o.Now().UnixMilli()); err != nil {
			return err
		}
		n, err := tx.Exec(`INSERT INTO sign_in_done (sum, ends) VALUES ($1, $2) ON CONFLICT (sum) DO NOTHING`, sumOf(given), ends.UnixMilli())
		if err == nil && n == 0 {
			err = fmt.Errorf("the sign-in has come back already: %w", errdef.ErrDenied)
		}
		return err
	})
}

// Close ends the session of a secret; it does not matter whether there is one.
func (s *Sessions) Close(ctx context.Context, given secret.Text) error {
	return s.db.Tx(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`DELETE FROM browser_session WHERE sum = $1`, sumOf(given))
		return err
	})
}

// List returns the sessions of a user that are not over, the latest first. epoch is the user's of now.
func (s *Sessions) List(ctx context.Context, user string, epoch int64) ([]Session, error) {
	now := s.o.Now()
	list, _, err := store.List(ctx, s.db, s.o.PerUser, func(r *sql.Rows) (Session, error) { return scan(r) },
		`SELECT `+columns+` FROM browser_session WHERE principal = $1 AND epoch = $2 AND seen >= $3 AND began >= $4 ORDER BY seen DESC, id LIMIT $5`,
		user, epoch, now.Add(-s.o.Idle).UnixMilli(), now.Add(-s.o.Longest).UnixMilli())
	return list, err
}

// End ends the session of a user whose ID is id; all of them if id is "". It returns how many there were.
func (s *Sessions) End(ctx context.Context, user, id string) (n int64, err error) {
	err = s.db.Tx(ctx, func(tx *store.Tx) (err error) {
		n, err = tx.Exec(`DELETE FROM browser_session WHERE principal = $1 AND ($2 = '' OR id = $2)`, user, id)
		return err
	})
	return n, err
}
