package notary

import (
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"

	"github.com/docker/go/canonical/json"
	"github.com/theupdateframework/notary/tuf/data"
	"github.com/theupdateframework/notary/tuf/signed"
	"github.com/theupdateframework/notary/tuf/utils"

	"github.com/openvic/vic/core/store"
)

// keyring are the keys of one repository that the hub keeps.
type keyring struct {
	keys  map[string]data.PrivateKey
	roles map[string]data.RoleName
}

var _ signed.CryptoService = (*keyring)(nil)

var errKeys = errors.New("keys are made and removed by the hub itself")

// Create implements signed.KeyService.
func (k *keyring) Create(data.RoleName, data.GUN, string) (data.PublicKey, error) {
	return nil, errKeys
}

// AddKey implements signed.KeyService.
func (k *keyring) AddKey(data.RoleName, data.GUN, data.PrivateKey) error { return errKeys }

// RemoveKey implements signed.KeyService.
func (k *keyring) RemoveKey(string) error { return errKeys }

// GetKey implements signed.KeyService.
func (k *keyring) GetKey(id string) data.PublicKey {
	if key, ok := k.keys[id]; ok {
		return data.PublicKeyFromPrivate(key)
	}
	return nil
}

// GetPrivateKey implements signed.KeyService.
func (k *keyring) GetPrivateKey(id string) (data.PrivateKey, data.RoleName, error) {
	key, ok := k.keys[id]
	if !ok {
		return nil, "", fmt.Errorf("the hub has no key %s", id)
	}
	return key, k.roles[id], nil
}

// ListKeys implements signed.KeyService.
func (k *keyring) ListKeys(role data.RoleName) (ids []string) {
	for id, r := range k.roles {
		if r == role {
			ids = append(ids, id)
		}
	}
	return ids
}

// ListAllKeys implements signed.KeyService.
func (k *keyring) ListAllKeys() map[string]data.RoleName { return k.roles }

func sealedAs(repo int64, id string) string { return fmt.Sprintf("notary key %s of %d", id, repo) }

// keys opens the keys of a repository.
func (n *Notary) keys(tx *store.Tx, repo int64) (*keyring, error) {
	k := &keyring{map[string]data.PrivateKey{}, map[string]data.RoleName{}}
	rows, err := tx.Query(tx.Context(), `SELECT id, role, public, sealed FROM tuf_key WHERE repo = $1`, repo)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id, role string
		var public, sealed []byte
		if err := rows.Scan(&id, &role, &public, &sealed); err != nil {
			return nil, err
		}
		private, err := n.o.Sealer.Open(sealedAs(repo, id), sealed)
		if err != nil {
			return nil, err
		}
		pub, err := data.UnmarshalPublicKey(public)
		if err != nil {
			return nil, err
		}
		key, err := data.NewPrivateKey(pub, private)
		if err != nil {
			return nil, err
		}
		k.keys[id], k.roles[id] = key, data.RoleName(role)
	}
	return k, rows.Err()
}

// key returns the public key with which the hub signs a role of a repository: the one that the root names, or one that it may name
// next. With fresh it is a new one in any case; keys that no root names then go.
func (n *Notary) key(tx *store.Tx, x *repo, role data.RoleName, fresh bool) ([]byte, error) {
	named, err := n.named(tx, x, role)
	if err != nil {
		return nil, err
	}
	ring, err := n.keys(tx, x.id)
	if err != nil {
		return nil, err
	}
	var waiting string
	for _, id := range ring.ListKeys(role) {
		if named[id] && !fresh {
			return json.Marshal(ring.GetKey(id))
		}
		if !named[id] {
			waiting = id
		}
	}
	if waiting != "" && !fresh {
		return json.Marshal(ring.GetKey(waiting))
	}
	for _, id := range ring.ListKeys(role) {
		if named[id] {
			continue
		}
		if _, err := tx.Exec(`DELETE FROM tuf_key WHERE repo = $1 AND id = $2`, x.id, id); err != nil {
			return nil, err
		}
	}
	private, err := utils.GenerateECDSAKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	public, err := json.Marshal(data.PublicKeyFromPrivate(private))
	if err != nil {
		return nil, err
	}
	_, err = tx.Exec(`INSERT INTO tuf_key (repo, id, role, public, sealed, made) VALUES ($1, $2, $3, $4, $5, $6)`, x.id, private.ID(), role.String(), public,
		n.o.Sealer.Seal(sealedAs(x.id, private.ID()), private.Private()), n.o.Now().UnixMilli())
	return public, err
}

// named are the keys that the root of a repository names for a role; none without a root.
func (n *Notary) named(tx *store.Tx, x *repo, role data.RoleName) (map[string]bool, error) {
	_, content, err := x.current(tx, data.CanonicalRootRole)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var root data.SignedRoot
	if err := json.Unmarshal(content, &root); err != nil {
		return nil, err
	}
	all := map[string]bool{}
	if r := root.Signed.Roles[role]; r != nil {
		for _, id := range r.KeyIDs {
			all[id] = true
		}
	}
	return all, nil
}
