// Package vchs keeps the virtual container hosts that the hub knows: where each serves its Docker API, whose resource it
// is, and the client certificate by which the hub speaks to it.
//
// A VCH is registered in two steps, since the hub's key never leaves the hub. Register makes the key and a certificate
// request, before the VCH exists; Connect takes the certificate that the VCH's authority made of it, and the address. The
// key lies sealed in the database.
package vchs

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/openvic/vic/core/hub/seal"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

// Schema is the tables.
func Schema() store.Schema {
	return store.Schema{Name: "vchs", Steps: []string{`
CREATE TABLE vch (
	id @id,
	uid @ascii NOT NULL UNIQUE,
	name TEXT NOT NULL,
	address @ascii NOT NULL,
	server_name @ascii NOT NULL,
	server_ca TEXT NOT NULL,
	certificate TEXT NOT NULL,
	request TEXT NOT NULL,
	sealed_key @bytes NOT NULL,
	made BIGINT NOT NULL
);
CREATE TABLE vch_project (
	vch BIGINT NOT NULL,
	project BIGINT NOT NULL,
	PRIMARY KEY (vch, project)
) @clustered;
CREATE INDEX vch_project_project ON vch_project (project, vch)`}}
}

// Bounds of what a client may give.
const (
	MaxName     = 255
	MaxProjects = 100
	maxPEM      = 64 << 10 // bytes of one certificate text
)

// VCH is one that the hub knows.
type VCH struct {
	ID int64
	// UID is the VCH's own ID, which its installer chose; it never changes.
	UID  string
	Name string
	// Address is host:port of the Docker API; empty until Connect.
	Address string
	// ServerName is the name that the Docker API's certificate is for.
	ServerName string
	// ServerCA, Certificate and Request are PEM: who signed the API's certificate, the hub's own certificate there (both
	// empty until Connect), and the request that it is made of.
	ServerCA, Certificate, Request string
	Projects                       []int64 // by number, rising
	Made                           time.Time

	sealed []byte
}

// Connected says that Connect was called.
func (v VCH) Connected() bool { return v.Address != "" }

// VCHs keeps them. It may be used by several goroutines.
type VCHs struct {
	db     *store.Store
	sealer *seal.Sealer
	now    func() time.Time
}

// New makes a VCHs over a store that was opened with Schema. now nil means time.Now.
func New(db *store.Store, sealer *seal.Sealer, now func() time.Time) *VCHs {
	if now == nil {
		now = time.Now
	}
	return &VCHs{db: db, sealer: sealer, now: now}
}

func keyName(uid string) string { return "key for the VCH " + uid }

// Registration is what Register needs.
type Registration struct {
	UID, Name string
	Projects  []int64
}

// Check says whether it can be one; errdef.ErrInvalid.
func (r Registration) Check() error {
	for name, v := range map[string]string{"uid": r.UID, "name": r.Name} {
		if v == "" || len(v) > MaxName {
			return fmt.Errorf("%s: give 1 to %d characters: %w", name, MaxName, errdef.ErrInvalid)
		}
	}
	for _, c := range []byte(r.UID) {
		if c <= ' ' || c > '~' {
			return fmt.Errorf("uid: it holds more than letters, digits and signs: %w", errdef.ErrInvalid)
		}
	}
	if len(r.Projects) > MaxProjects {
		return fmt.Errorf("projects: a VCH is a resource of at most %d: %w", MaxProjects, errdef.ErrInvalid)
	}
	return nil
}

// Register makes a VCH known, or gives one that is known by its UID another name and other projects; the key stays.
func (v *VCHs) Register(ctx context.Context, r Registration) (VCH, error) {
	if err := r.Check(); err != nil {
		return VCH{}, err
	}
	key, request, err := newRequest(r.Name)
	if err != nil {
		return VCH{}, err
	}
	sealed := v.sealer.Seal(keyName(r.UID), key)
	var out VCH
	err = v.db.Tx(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO vch (uid, name, address, server_name, server_ca, certificate, request, sealed_key, made)
			VALUES ($1, $2, '', '', '', '', $3, $4, $5) ON CONFLICT (uid) DO UPDATE SET name = excluded.name`, r.UID, r.Name, request, sealed, v.now().Unix())
		if err != nil {
			return err
		}
		if out, err = scan(tx.Row(columns+`WHERE uid = $1`, r.UID)); err != nil {
			return err
		}
		if _, err := tx.Exec(`DELETE FROM vch_project WHERE vch = $1`, out.ID); err != nil {
			return err
		}
		out.Projects = slices.Compact(slices.Sorted(slices.Values(r.Projects)))
		for _, p := range out.Projects {
			if _, err := tx.Exec(`INSERT INTO vch_project (vch, project) VALUES ($1, $2)`, out.ID, p); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

const columns = `SELECT id, uid, name, address, server_name, server_ca, certificate, request, sealed_key, made FROM vch `

type scanner interface{ Scan(dest ...any) error }

func scan(row scanner) (VCH, error) {
	var v VCH
	var made int64
	err := row.Scan(&v.ID, &v.UID, &v.Name, &v.Address, &v.ServerName, &v.ServerCA, &v.Certificate, &v.Request, &v.sealed, &made)
	v.Made = time.Unix(made, 0)
	return v, err
}

// Get finds one by its number; errdef.ErrNotFound.
func (v *VCHs) Get(ctx context.Context, id int64) (VCH, error) {
	x, err := scan(v.db.QueryRow(ctx, columns+`WHERE id = $1`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return VCH{}, fmt.Errorf("vch %d not found: %w", id, errdef.ErrNotFound)
	}
	if err != nil {
		return VCH{}, err
	}
	list := []VCH{x}
	err = v.projects(ctx, list)
	return list[0], err
}

// List returns a page of them, by number, after one; more says that there are others behind. project is the number of
// the one whose resources they are; 0: all.
func (v *VCHs) List(ctx context.Context, project, after int64, limit int) (list []VCH, more bool, err error) {
	list, more, err = store.List(ctx, v.db, limit, func(r *sql.Rows) (VCH, error) { return scan(r) },
		columns+`WHERE id > $1 AND ($2 = CAST(0 AS BIGINT) OR id IN (SELECT vch FROM vch_project WHERE project = $2)) ORDER BY id LIMIT $3`, after, project)
	if err == nil {
		err = v.projects(ctx, list)
	}
	return list, more, err
}

// projects fills in Projects.
func (v *VCHs) projects(ctx context.Context, list []VCH) error {
	for i := range list {
		all, _, err := store.List(ctx, v.db, MaxProjects, func(r *sql.Rows) (n int64, err error) { return n, r.Scan(&n) },
			`SELECT project FROM vch_project WHERE vch = $1 ORDER BY project LIMIT $2`, list[i].ID)
		if err != nil {
			return err
		}
		list[i].Projects = all
	}
	return nil
}

// Remove forgets one, with its key; errdef.ErrNotFound.
func (v *VCHs) Remove(ctx context.Context, id int64) error {
	return v.db.Tx(ctx, func(tx *store.Tx) error {
		if _, err := tx.Exec(`DELETE FROM vch_project WHERE vch = $1`, id); err != nil {
			return err
		}
		n, err := tx.Exec(`DELETE FROM vch WHERE id = $1`, id)
		if err == nil && n == 0 {
			err = fmt.Errorf("vch %d not found: %w", id, errdef.ErrNotFound)
		}
		return err
	})
}

// Forget takes the VCHs from a project that is deleted, within its transaction.
func Forget(tx *store.Tx, project int64) error {
	_, err := tx.Exec(`DELETE FROM vch_project WHERE project = $1`, project)
	return err
}
