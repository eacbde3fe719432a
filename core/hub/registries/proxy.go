package registries

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/openvic/vic/core/hub/upstream"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

// MakeProxy makes a project a proxy cache, within the transaction that makes the project; errdef.ErrInvalid if there is
// no such registry. A project stays what it was made as: its content would else have two sources.
func (s *Registries) MakeProxy(tx *store.Tx, project, endpoint int64) error {
	var kind string
	err := tx.Row(`SELECT kind FROM endpoint WHERE id = $1`, endpoint).Scan(&kind)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("registry_id: there is no registry %d: %w", endpoint, errdef.ErrInvalid)
	}
	if err != nil {
		return err
	}
	if !upstream.Known(kind) {
		return fmt.Errorf("registry_id: a registry of type %s is for replication: no project can be a proxy cache of it: %w", kind, errdef.ErrInvalid)
	}
	_, err = tx.Exec(`INSERT INTO proxy_project (project_id, endpoint_id) VALUES ($1, $2)`, project, endpoint)
	return err
}

// Forget is for the transaction that removes a project.
func Forget(tx *store.Tx, project int64) error {
	_, err := tx.Exec(`DELETE FROM proxy_project WHERE project_id = $1`, project)
	return err
}

// Changed has the projects read anew, after a transaction with MakeProxy or Forget.
func (s *Registries) Changed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proxies = nil
	s.turn++
}

// proxyLife is how long the list of proxy caches counts: every push and pull asks for it. Another process of the hub
// learns of a new one that late.
const proxyLife = 2 * time.Second

// Proxy is the number of the registry that a project is a proxy cache of; 0: it is none.
func (s *Registries) Proxy(ctx context.Context, project string) (int64, error) {
	s.mu.Lock()
	list, fresh, turn := s.proxies, s.now().Sub(s.read) < proxyLife, s.turn
	s.mu.Unlock()
	if list != nil && fresh {
		return list[project], nil
	}
	began := s.now()
	rows, err := s.db.Query(ctx, `SELECT p.name, x.endpoint_id FROM proxy_project x JOIN project p ON p.id = x.project_id`)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	list = map[string]int64{}
	for rows.Next() {
		var name string
		var id int64
		if err := rows.Scan(&name, &id); err != nil {
			return 0, err
		}
		list[name] = id
	}
	if err := rows.Err(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.turn == turn { // nothing has changed in between
		s.proxies, s.read = list, began
	}
	return list[project], nil
}

// Upstream implements registry.Upstreams.
func (s *Registries) Upstream(ctx context.Context, repo string) (registry.Upstream, error) {
	project, name, _ := strings.Cut(repo, "/")
	id, err := s.Proxy(ctx, project)
	if err != nil || id == 0 {
		return nil, err
	}
	c, err := s.client(ctx, id)
	if err != nil {
		return nil, err
	}
	return c.Repository(name), nil
}

// client is the one for an endpoint as it is now: it keeps connections, tokens, and whether the registry is away.
func (s *Registries) client(ctx context.Context, id int64) (*upstream.Client, error) {
	var changed int64
	err := s.db.QueryRow(ctx, `SELECT changed FROM endpoint WHERE id = $1`, id).Scan(&changed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("registry %d: %w", id, errdef.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	c, ok := s.clients[id]
	s.mu.Unlock()
	if ok && c.changed.UnixMilli() == changed {
		return c.Client, nil
	}
	e, err := s.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	fresh, err := upstream.New(e.Endpoint, s.policy, upstream.Options{Now: s.now})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok = s.clients[id]; ok && !c.changed.Before(e.Changed) {
		return c.Client, nil // another one was quicker
	}
	if ok {
		c.Close()
	}
	s.clients[id] = client{fresh, e.Changed}
	return fresh, nil
}
