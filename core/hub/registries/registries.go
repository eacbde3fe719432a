// Package registries keeps the other registries that the hub knows: endpoints, with their credentials sealed, and which
// projects are proxy caches of which one.
package registries

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/openvic/vic/core/hub/seal"
	"github.com/openvic/vic/core/hub/upstream"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/outbound"
	"github.com/openvic/vic/sdk/secret"
)

// Schema is the tables. proxy_project has a row for each project that is a proxy cache.
func Schema() store.Schema {
	return store.Schema{Name: "registries", Steps: []string{`
CREATE TABLE endpoint (
	id @id,
	name @ascii NOT NULL UNIQUE,
	description TEXT NOT NULL,
	kind TEXT NOT NULL,
	url TEXT NOT NULL,
	insecure BOOLEAN NOT NULL,
	ca TEXT NOT NULL,
	username TEXT NOT NULL,
	sealed @bytes,
	made BIGINT NOT NULL,
	changed BIGINT NOT NULL
);
CREATE TABLE proxy_project (
	project_id @key,
	endpoint_id BIGINT NOT NULL REFERENCES endpoint(id)
);
CREATE INDEX proxy_project_endpoint ON proxy_project (endpoint_id)`}}
}

// Endpoint is a registry that the hub knows.
type Endpoint struct {
	ID          int64
	Name        string
	Description string
	upstream.Endpoint
	Made, Changed time.Time
}

// Bounds.
const (
	maxName        = 128
	maxDescription = 1024
	maxEndpoints   = 1000
	pingPatience   = 15 * time.Second
)

// Registries keeps them. All methods may be called at once.
type Registries struct {
	db     *store.Store
	sealer *seal.Sealer
	policy *outbound.Policy
	now    func() time.Time
	others Others
	uses   func(tx *store.Tx, id int64) error

	mu      sync.Mutex // guards what follows
	clients map[int64]client
	proxies map[string]int64 // projects' names to endpoints
	read    time.Time        // when proxies was
	turn    int              // counts changes of proxies
	healthy map[int64]bool   // as the last one who asked found
}

// client is one that is kept while its endpoint is as it was.
type client struct {
	*upstream.Client
	changed time.Time
}

var _ registry.Upstreams = (*Registries)(nil)

// New makes a Registries on a store, opened with Schema; now may be nil.
func New(db *store.Store, sealer *seal.Sealer, policy *outbound.Policy, now func() time.Time) *Registries {
	if now == nil {
		now = time.Now
	}
	return &Registries{db: db, sealer: sealer, policy: policy, now: now, clients: map[int64]client{}, healthy: map[int64]bool{}}
}

// Others knows the kinds of registries that plugins bring; package upstream's are known without it.
type Others interface {
	// Kinds lists them.
	Kinds(ctx context.Context) []string
	// Check is Ping for one of them.
	Check(ctx context.Context, e Endpoint) error
}

// Connect sets who knows other kinds of registries, and who says with an error that a registry is in use, before anything else
// is called; each may be nil.
func (s *Registries) Connect(others Others, uses func(tx *store.Tx, id int64) error) {
	s.others, s.uses = others, uses
}

// Kinds are all kinds of registries.
func (s *Registries) Kinds(ctx context.Context) []string {
	all := upstream.Kinds()
	if s.others != nil {
		all = append(all, s.others.Kinds(ctx)...)
	}
	slices.Sort(all)
	return all
}

func sealName(id int64) string { return fmt.Sprintf("credential of registry endpoint %d", id) }

const columns = `id, name, description, kind, url, insecure, ca, username, sealed, made, changed`

func (s *Registries) scan(scan func(...any) error) (e Endpoint, err error) {
	var sealed []byte
	var made, changed int64
	if err := scan(&e.ID, &e.Name, &e.Description, &e.Kind, &e.URL, &e.Insecure, &e.CA, &e.Username, &sealed, &made, &changed); err != nil {
		return e, err
	}
	e.Made, e.Changed = time.UnixMilli(made), time.UnixMilli(changed)
	if sealed != nil {
		open, err := s.sealer.Open(sealName(e.ID), sealed)
		if err != nil {
			return e, err
		}
		e.Password = secret.Text(open)
	}
	return e, nil
}

// List lists those whose name contains part, by name: at most limit, after offset of them. It also counts all.
func (s *Registries) List(ctx context.Context, part string, limit, offset int) (list []Endpoint, total int, err error) {
	const where = ` FROM endpoint WHERE name LIKE $1 ESCAPE '\'`
	if err := s.db.QueryRow(ctx, `SELECT COUNT(*)`+where, store.Containing(part)).Scan(&total); err != nil {
		return nil, 0, err
	}
	list, _, err = store.List(ctx, s.db, limit, func(r *sql.Rows) (Endpoint, error) { return s.scan(r.Scan) },
		`SELECT `+columns+where+` ORDER BY name LIMIT $3 OFFSET $2`, store.Containing(part), offset)
	return list, total, err
}

// Get finds one by its number; errdef.ErrNotFound.
func (s *Registries) Get(ctx context.Context, id int64) (Endpoint, error) {
	e, err := s.scan(s.db.QueryRow(ctx, `SELECT `+columns+` FROM endpoint WHERE id = $1`, id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return e, fmt.Errorf("registry %d: %w", id, errdef.ErrNotFound)
	}
	return e, err
}

func check(e Endpoint) error {
	if e.Name == "" || len(e.Name) > maxName || strings.TrimSpace(e.Name) != e.Name {
		return fmt.Errorf("name: want 1 to %d characters, no space before or behind: %w", maxName, errdef.ErrInvalid)
	}
	if len(e.Description) > maxDescription {
		return fmt.Errorf("description: it has more than %d characters: %w", maxDescription, errdef.ErrInvalid)
	}
	return nil
}

// Ping asks a registry whether it answers and takes the credentials, whether it is saved or not; errdef.ErrInvalid,
// errdef.ErrUnavailable, errdef.ErrDenied.
func (s *Registries) Ping(ctx context.Context, e Endpoint) error {
	ctx, cancel := context.WithTimeout(ctx, pingPatience)
	defer cancel()
	err := s.ask(ctx, e)
	if e.ID != 0 {
		s.found(e.ID, err)
	}
	return err
}

func (s *Registries) ask(ctx context.Context, e Endpoint) error {
	if s.others != nil && !upstream.Known(e.Kind) && slices.Contains(s.others.Kinds(ctx), e.Kind) {
		return s.others.Check(ctx, e)
	}
	c, err := upstream.New(e.Endpoint, s.policy, upstream.Options{Now: s.now})
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Ping(ctx)
}

// found remembers whether an endpoint answered.
func (s *Registries) found(id int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.healthy[id] = err == nil
}

// Healthy says what the last one of this process found who asked; known is false if nobody has.
func (s *Registries) Healthy(id int64) (healthy, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	healthy, known = s.healthy[id]
	return healthy, known
}

// Add saves a registry that answers; what Ping returns, errdef.ErrExists if the name is taken, errdef.ErrExhausted.
func (s *Registries) Add(ctx context.Context, e Endpoint) (Endpoint, error) {
	if err := check(e); err != nil {
		return e, err
	}
	if err := s.Ping(ctx, e); err != nil {
		return e, err
	}
	now := s.now().UnixMilli()
	err := s.db.Tx(ctx, func(tx *store.Tx) error {
		var n int
		if err := tx.Row(`SELECT COUNT(*) FROM endpoint`).Scan(&n); err != nil {
			return err
		}
		if n >= maxEndpoints {
			return fmt.Errorf("the hub knows %d registries already: %w", n, errdef.ErrExhausted)
		}
		err := tx.Row(`INSERT INTO endpoint (name, description, kind, url, insecure, ca, username, made, changed)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8) RETURNING id`, e.Name, e.Description, e.Kind, e.URL, e.Insecure, e.CA, e.Username, now).Scan(&e.ID)
		if err != nil {
			return err
		}
		return s.keepSecret(tx, e)
	})
	if store.IsTaken(err) {
		return e, fmt.Errorf("a registry %q is there already: %w", e.Name, errdef.ErrExists)
	}
	if err == nil {
		s.found(e.ID, nil)
	}
	return e, err
}

// keepSecret writes the sealed credential of an endpoint, whose number is a part of the seal.
func (s *Registries) keepSecret(tx *store.Tx, e Endpoint) error {
	var sealed any
	if e.Password != "" {
		sealed = s.sealer.Seal(sealName(e.ID), []byte(e.Password))
	}
	_, err := tx.Exec(`UPDATE endpoint SET sealed = $1 WHERE id = $2`, sealed, e.ID)
	return err
}

// Change saves a registry anew if it answers; as Add, and errdef.ErrNotFound.
func (s *Registries) Change(ctx context.Context, e Endpoint) error {
	if err := check(e); err != nil {
		return err
	}
	if err := s.Ping(ctx, e); err != nil {
		return err
	}
	err := s.db.Tx(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE endpoint SET name = $1, description = $2, kind = $3, url = $4, insecure = $5, ca = $6, username = $7,
			changed = CASE WHEN $8 > changed THEN $8 ELSE changed + 1 END WHERE id = $9`,
			e.Name, e.Description, e.Kind, e.URL, e.Insecure, e.CA, e.Username, s.now().UnixMilli(), e.ID)
		if err == nil && n == 0 {
			err = fmt.Errorf("registry %d: %w", e.ID, errdef.ErrNotFound)
		}
		if err != nil {
			return err
		}
		return s.keepSecret(tx, e)
	})
	if store.IsTaken(err) {
		return fmt.Errorf("a registry %q is there already: %w", e.Name, errdef.ErrExists)
	}
	return err
}

// Remove forgets a registry that no project is a proxy cache of, and nothing else uses; errdef.ErrConflict if something does, errdef.ErrNotFound.
func (s *Registries) Remove(ctx context.Context, id int64) error {
	err := s.db.Tx(ctx, func(tx *store.Tx) error {
		var users int
		if err := tx.Row(`SELECT COUNT(*) FROM proxy_project WHERE endpoint_id = $1`, id).Scan(&users); err != nil {
			return err
		}
		if users > 0 {
			return fmt.Errorf("%d projects are proxy caches of the registry; delete them first: %w", users, errdef.ErrConflict)
		}
		if s.uses != nil {
			if err := s.uses(tx, id); err != nil {
				return err
			}
		}
		n, err := tx.Exec(`DELETE FROM endpoint WHERE id = $1`, id)
		if err == nil && n == 0 {
			err = fmt.Errorf("registry %d: %w", id, errdef.ErrNotFound)
		}
		return err
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.clients[id]; ok && err == nil {
		c.Close()
		delete(s.clients, id)
	}
	return err
}
