// Package settings keeps what administrators set while the hub runs, for all of its processes, and what a project's
// administrators set of a project beside what the registry itself needs. What must be known before the database opens is in
// hub.toml.
package settings

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

// Schema is the tables. hub_setting has one row, with all values as JSON.
func Schema() store.Schema {
	return store.Schema{Name: "settings", Watched: []string{"project_metadata"}, Steps: []string{`
CREATE TABLE hub_setting (name @ascii PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE project_metadata (
	project_id BIGINT NOT NULL, name @ascii NOT NULL, value TEXT NOT NULL, PRIMARY KEY (project_id, name)
)`}}
}

// Values are the settings of the hub.
type Values struct {
	// ReadOnly refuses everything that changes what repositories hold.
	ReadOnly bool `json:"read_only"`
	// TokenMinutes is how long a token for Docker's clients is good for.
	TokenMinutes int `json:"token_minutes"`
	// RobotDays is how long a robot lives whose maker does not say; -1: for ever.
	RobotDays int `json:"robot_days"`
	// ProjectBytes is the quota of a new project whose maker does not say; -1: none.
	ProjectBytes int64 `json:"project_bytes"`
	// Banner is shown to everybody.
	Banner string `json:"banner"`
	// Scanner is the name of the one that scans where a project says nothing; empty: the first of the configuration.
	Scanner string `json:"scanner,omitempty"`
	// What follows is which images are taken in projects that say nothing themselves (package scanning).
	PreventVul bool   `json:"prevent_vul,omitempty"`
	Severity   string `json:"severity,omitempty"`  // empty: low
	Unscanned  string `json:"unscanned,omitempty"` // empty: refuse
	GraceDays  int    `json:"grace_days,omitempty"`
}

// Bounds.
const (
	MaxTokenMinutes = 60
	MaxRobotDays    = 36500
	MaxBanner       = 4096 // characters
)

func defaults() Values { return Values{TokenMinutes: 5, RobotDays: 30, ProjectBytes: -1} }

// check refuses values that cannot be, by the names that clients know them by; errdef.ErrInvalid.
func (v Values) check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf(format+": %w", append(args, errdef.ErrInvalid)...)
	}
	switch {
	case v.TokenMinutes < 1 || v.TokenMinutes > MaxTokenMinutes:
		return bad("token_expiration: want 1 to %d minutes", MaxTokenMinutes)
	case v.RobotDays != -1 && (v.RobotDays < 1 || v.RobotDays > MaxRobotDays):
		return bad("robot_token_duration: want 1 to %d days, or -1 for ever", MaxRobotDays)
	case v.ProjectBytes < -1 || v.ProjectBytes == 0:
		return bad("storage_per_project: want bytes, or -1 for no bound")
	case utf8.RuneCountInString(v.Banner) > MaxBanner:
		return bad("banner_message: it has more than %d characters", MaxBanner)
	}
	return nil
}

// Settings keeps them. All methods may be called at once.
type Settings struct {
	db  *store.Store
	now func() time.Time

	mu    sync.Mutex // guards what follows
	last  Values
	read  time.Time // when last was; zero: never
	turns int       // counts changes by this process
}

// New makes a Settings on a store, opened with Schema; now may be nil.
func New(db *store.Store, now func() time.Time) *Settings {
	if now == nil {
		now = time.Now
	}
	return &Settings{db: db, now: now}
}

// life is how long what was read counts: pushes and sign-ins ask. Another process of the hub learns of a change that late.
const life = 2 * time.Second

const row = "hub"

func parse(text string, err error) (Values, error) {
	v := defaults()
	if errors.Is(err, sql.ErrNoRows) {
		return v, nil
	}
	if err == nil {
		err = json.Unmarshal([]byte(text), &v)
	}
	return v, err
}

// Now returns the values.
func (s *Settings) Now(ctx context.Context) (Values, error) {
	s.mu.Lock()
	v, read, turns := s.last, s.read, s.turns
	s.mu.Unlock()
	began := s.now()
	if !read.IsZero() && began.Sub(read) < life {
		return v, nil
	}
	var text string
	err := s.db.QueryRow(ctx, `SELECT value FROM hub_setting WHERE name = $1`, row).Scan(&text)
	if v, err = parse(text, err); err != nil {
		return v, fmt.Errorf("settings: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.turns == turns { // nothing was set in between
		s.last, s.read = v, began
	}
	return v, nil
}

// ReadOnly says whether repositories must stay as they are.
func (s *Settings) ReadOnly(ctx context.Context) (bool, error) {
	v, err := s.Now(ctx)
	return v.ReadOnly, err
}

// TokenLife is how long a token is good for; 0 if that cannot be found out, which is for the issuer's own.
func (s *Settings) TokenLife(ctx context.Context) time.Duration {
	v, err := s.Now(ctx)
	if err != nil {
		return 0
	}
	return time.Duration(v.TokenMinutes) * time.Minute
}

// Change sets what f sets; two who change different values at once are both kept. An error of f is returned as it is;
// errdef.ErrInvalid for values that cannot be.
func (s *Settings) Change(ctx context.Context, f func(*Values) error) error {
	err := s.db.Tx(ctx, func(tx *store.Tx) error {
		if _, err := tx.Exec(`INSERT INTO hub_setting (name, value) VALUES ($1, '{}') ON CONFLICT (name) DO NOTHING`, row); err != nil {
			return err
		}
		var text string
		err := tx.Lock(`SELECT value FROM hub_setting WHERE name = $1`, row).Scan(&text)
		v, err := parse(text, err)
		if err != nil {
			return err
		}
		if err := f(&v); err != nil {
			return err
		}
		if err := v.check(); err != nil {
			return err
		}
		b, err := json.Marshal(v)
		if err != nil {
			return err
		}
		_, err = tx.Exec(`UPDATE hub_setting SET value = $1 WHERE name = $2`, string(b), row)
		return err
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read = time.Time{}
	s.turns++
	return err
}

// Metadata are what is set of a project, by name.
func (s *Settings) Metadata(ctx context.Context, q store.Querier, project int64) (map[string]string, error) {
	rows, err := q.Query(ctx, `SELECT name, value FROM project_metadata WHERE project_id = $1 ORDER BY name`, project)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string]string{}
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return nil, err
		}
		out[name] = value
	}
	return out, rows.Err()
}

// SetMetadata sets one of a project; "" takes it away. The caller has checked name and value.
func SetMetadata(tx *store.Tx, project int64, name, value string) error {
	if value == "" {
		_, err := tx.Exec(`DELETE FROM project_metadata WHERE project_id = $1 AND name = $2`, project, name)
		return err
	}
	_, err := tx.Exec(`INSERT INTO project_metadata (project_id, name, value) VALUES ($1, $2, $3)
		ON CONFLICT (project_id, name) DO UPDATE SET value = excluded.value`, project, name, value)
	return err
}

// Forget is for the transaction that removes a project.
func Forget(tx *store.Tx, project int64) error {
	_, err := tx.Exec(`DELETE FROM project_metadata WHERE project_id = $1`, project)
	return err
}
