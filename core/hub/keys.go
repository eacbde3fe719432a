package hub

import (
	"context"
	"database/sql"
	"time"

	"github.com/openvic/vic/core/hub/seal"
	"github.com/openvic/vic/core/hub/token"
	"github.com/openvic/vic/core/store"
)

// keySchema is the table of keys that sign tokens, for all nodes of the hub.
func keySchema() store.Schema {
	return store.Schema{Name: "token", Steps: []string{
		`CREATE TABLE token_key (id @ascii PRIMARY KEY, made BIGINT NOT NULL, sealed @bytes NOT NULL)`}}
}

// signingKeys keeps them sealed.
type signingKeys struct {
	db     *store.Store
	sealer *seal.Sealer
}

var _ token.Keys = signingKeys{}

func keyName(id string) string { return "token signing key " + id }

// List implements token.Keys.
func (k signingKeys) List(ctx context.Context) ([]token.Key, error) {
	const most = 1000
	keys, _, err := store.List(ctx, k.db, most, func(r *sql.Rows) (token.Key, error) {
		var id string
		var made int64
		var sealed []byte
		if err := r.Scan(&id, &made, &sealed); err != nil {
			return token.Key{}, err
		}
		der, err := k.sealer.Open(keyName(id), sealed)
		if err != nil {
			return token.Key{}, err
		}
		return token.UnmarshalKey(time.UnixMilli(made), der)
	}, `SELECT id, made, sealed FROM token_key ORDER BY made DESC LIMIT $1`)
	return keys, err
}

// Add implements token.Keys.
func (k signingKeys) Add(ctx context.Context, n token.Key, before time.Time) error {
	der, err := n.Marshal()
	if err != nil {
		return err
	}
	return k.db.Tx(ctx, func(tx *store.Tx) error {
		if _, err := tx.Exec(`DELETE FROM token_key WHERE made < $1`, before.UnixMilli()); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO token_key (id, made, sealed) VALUES ($1, $2, $3)`, n.ID, n.Made.UnixMilli(), k.sealer.Seal(keyName(n.ID), der))
		return err
	})
}
