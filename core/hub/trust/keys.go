package trust

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

// Schema is the tables, over the registry's.
func Schema() store.Schema {
	return store.Schema{Name: "trust", Watched: []string{"trust_key"}, Steps: []string{`
CREATE TABLE trust_key (
	id @id, project BIGINT NOT NULL REFERENCES project(id) ON DELETE CASCADE, name @ascii NOT NULL, kind TEXT NOT NULL, pem TEXT NOT NULL,
	signers TEXT NOT NULL, revoked BIGINT NOT NULL DEFAULT 0, added BIGINT NOT NULL, added_by TEXT NOT NULL, UNIQUE (project, name)
)`}}
}

// Kind is what a project trusts, or does not trust any more.
type Kind string

// The kinds.
const (
	CosignKey    Kind = "cosign-key"    // a public key
	CosignRoot   Kind = "cosign-root"   // certificates of an authority whose certificates sign with cosign
	NotationRoot Kind = "notation-root" // the same for notation
	CRL          Kind = "crl"           // certificates that an authority took back
)

// Key is one of them.
type Key struct {
	ID      int64
	Project int64
	Name    string
	Kind    Kind
	// PEM is a public key, certificates, or a revocation list. Nothing secret is taken.
	PEM string
	// Signers are the names that a certificate below a root must have one of: a mail address, a URI, a host, or the common name
	// of its subject. "*" is any: everybody for whom the authority signs.
	Signers []string
	// Revoked says that signatures by it do not count any more, whenever they were made; it stays to say so.
	Revoked time.Time
	Added   time.Time
	By      string
}

// Bounds of a project's keys.
const (
	maxKeys    = 50
	maxPEM     = 64 << 10 // bytes
	maxSigners = 20
	maxSigner  = 256 // bytes
)

var namePattern = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}$`)

func invalid(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, errdef.ErrInvalid)...)
}

func (k Key) check() error {
	if !namePattern.MatchString(k.Name) {
		return invalid("name: want 1 to 64 letters, digits, dots, hyphens and underscores, of which the first is a letter or a digit")
	}
	if len(k.PEM) > maxPEM {
		return invalid("pem: it has more than %d bytes", maxPEM)
	}
	if len(k.Signers) > maxSigners {
		return invalid("signers: there are more than %d", maxSigners)
	}
	for _, s := range k.Signers {
		if s == "" || len(s) > maxSigner {
			return invalid("signers: a name has 1 to %d bytes", maxSigner)
		}
	}
	switch root := k.Kind == CosignRoot || k.Kind == NotationRoot; {
	case root && len(k.Signers) == 0:
		return invalid(`signers: name who may sign: the names in their certificates, or "*" for everybody for whom the authority signs`)
	case !root && len(k.Signers) > 0:
		return invalid("signers: they are for roots alone")
	}
	_, err := parse(k)
	return err
}

// Keys keeps the keys of projects. It may be used by several goroutines.
type Keys struct {
	db  *store.Store
	now func() time.Time
}

// NewKeys makes a Keys over a store that was opened with Schema; now may be nil.
func NewKeys(db *store.Store, now func() time.Time) *Keys {
	if now == nil {
		now = time.Now
	}
	return &Keys{db, now}
}

const keyColumns = `id, project, name, kind, pem, signers, revoked, added, added_by`

func scanKey(rows *sql.Rows) (k Key, err error) {
	var signers string
	var revoked, added int64
	if err := rows.Scan(&k.ID, &k.Project, &k.Name, &k.Kind, &k.PEM, &signers, &revoked, &added, &k.By); err != nil {
		return k, err
	}
	k.Added = time.UnixMilli(added)
	if revoked != 0 {
		k.Revoked = time.UnixMilli(revoked)
	}
	return k, json.Unmarshal([]byte(signers), &k.Signers)
}

// List returns the keys of a project, by number.
func (s *Keys) List(ctx context.Context, project int64) ([]Key, error) {
	list, _, err := store.List(ctx, s.db, maxKeys, scanKey, `SELECT `+keyColumns+` FROM trust_key WHERE project = $1 ORDER BY id LIMIT $2`, project)
	return list, err
}

// Add gives a project a key, and returns its number. errdef.ErrInvalid for one that is none or is one too many, errdef.ErrExists
// for a name that is taken, errdef.ErrNotFound for a project that is not there.
func (s *Keys) Add(ctx context.Context, k Key) (id int64, err error) {
	if err := k.check(); err != nil {
		return 0, err
	}
	if k.Signers == nil {
		k.Signers = []string{}
	}
	signers, err := json.Marshal(k.Signers)
	if err != nil {
		return 0, err
	}
	err = s.db.Tx(ctx, func(tx *store.Tx) error {
		var n int
		err := tx.Lock(`SELECT id FROM project WHERE id = $1`, k.Project).Scan(&n)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("project %d not found: %w", k.Project, errdef.ErrNotFound)
		}
		if err != nil {
			return err
		}
		if err := tx.Row(`SELECT COUNT(*) FROM trust_key WHERE project = $1`, k.Project).Scan(&n); err != nil {
			return err
		}
		if n >= maxKeys {
			return invalid("a project has at most %d keys", maxKeys)
		}
		return tx.Row(`INSERT INTO trust_key (project, name, kind, pem, signers, added, added_by) VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id`,
			k.Project, k.Name, string(k.Kind), k.PEM, string(signers), s.now().UnixMilli(), k.By).Scan(&id)
	})
	if store.IsTaken(err) {
		err = fmt.Errorf("the project has a key of the name %s: %w", k.Name, errdef.ErrExists)
	}
	return id, err
}

// Revoke says of a project's key that signatures by it do not count any more, or that they do again; errdef.ErrNotFound.
func (s *Keys) Revoke(ctx context.Context, project, id int64, revoked bool) error {
	at := int64(0)
	if revoked {
		at = s.now().UnixMilli()
	}
	return s.change(ctx, id, `UPDATE trust_key SET revoked = CASE WHEN revoked = 0 OR CAST($3 AS BIGINT) = 0 THEN CAST($3 AS BIGINT) ELSE revoked END
		WHERE project = $1 AND id = $2`, project, id, at)
}

// Remove takes a key from a project; errdef.ErrNotFound.
func (s *Keys) Remove(ctx context.Context, project, id int64) error {
	return s.change(ctx, id, `DELETE FROM trust_key WHERE project = $1 AND id = $2`, project, id)
}

func (s *Keys) change(ctx context.Context, id int64, query string, args ...any) error {
	return s.db.Tx(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(query, args...)
		if err == nil && n == 0 {
			err = fmt.Errorf("key %d not found: %w", id, errdef.ErrNotFound)
		}
		return err
	})
}

// ringKey is what the keyrings of projects are remembered by.
type ringKey int64

// ring is a project's keys, parsed.
func (s *Keys) ring(ctx context.Context, project int64) (*ring, error) {
	return store.Remember(ctx, ringKey(project), func() (*ring, error) {
		list, err := s.List(ctx, project)
		if err != nil {
			return nil, err
		}
		return newRing(list)
	})
}

// newRing parses keys that were checked when they were added. Its stamp is the same for the same keys.
func newRing(list []Key) (*ring, error) {
	r := &ring{}
	sum := sha256.New()
	for _, k := range list {
		p, err := parse(k)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", k.Name, err)
		}
		r.entries = append(r.entries, p)
		if err := json.NewEncoder(sum).Encode(k); err != nil {
			return nil, err
		}
	}
	r.stamp = hex.EncodeToString(sum.Sum(nil))
	return r, nil
}
