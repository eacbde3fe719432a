package registry

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"strings"

	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/replicate"
)

// ID names this registry among all others, for those who pass artifacts on: it stays with the database.
func (g *Registry) ID() string { return g.id }

// registryID finds the registry's name, or gives it one.
func registryID(ctx context.Context, s *store.Store) (id string, err error) {
	err = s.Tx(ctx, func(tx *store.Tx) error {
		if _, err := tx.Exec(`INSERT INTO registry_setting (name, value) VALUES ('id', $1) ON CONFLICT (name) DO NOTHING`, []byte(rand.Text())); err != nil {
			return err
		}
		var b []byte
		err := tx.Row(`SELECT value FROM registry_setting WHERE name = 'id'`).Scan(&b)
		id = string(b)
		return err
	})
	return id, err
}

var errVia = errors.New(replicate.HeaderVia + ": want at most 16 names of hubs, with commas between them")

// readVia reads which hubs a pushed manifest has passed.
func readVia(h http.Header) (all []string, err error) {
	for _, value := range h.Values(replicate.HeaderVia) {
		for part := range strings.SplitSeq(value, ",") {
			name := strings.TrimSpace(part)
			bad := strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' })
			if name == "" || bad || len(name) > replicate.MaxID || len(all) == replicate.MaxVia {
				return nil, invalid("%v", errVia)
			}
			all = append(all, name)
		}
	}
	return all, nil
}
