package token

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Key signs tokens.
type Key struct {
	ID      string // the token's "kid": the base64url SHA-256 of the public key
	Made    time.Time
	Private *ecdsa.PrivateKey // P-256
}

// Keys keeps the keys where all nodes of a hub find them. Its private keys are sealed there.
type Keys interface {
	// List returns all keys, in any order.
	List(ctx context.Context) ([]Key, error)
	// Add keeps a new key and forgets those that were made before. A node that adds one while another does leaves two,
	// which does no harm.
	Add(ctx context.Context, k Key, before time.Time) error
}

// How long a key signs, and how often a node may ask for keys that it does not know.
const (
	rotateEvery = 30 * 24 * time.Hour
	reloadPause = time.Second
)

// keyring holds the keys of the moment. mu guards all; it is not held while Keys is asked.
type keyring struct {
	store Keys
	now   func() time.Time

	mu     sync.Mutex
	keys   []Key // the latest first
	loaded time.Time
}

// signing returns the key that signs now, and makes one if the latest is too old.
func (r *keyring) signing(ctx context.Context) (Key, error) {
	now := r.now()
	if k, ok := r.fresh(now); ok {
		return k, nil
	}
	if err := r.load(ctx); err != nil { // another node may have made one
		return Key{}, err
	}
	if k, ok := r.fresh(now); ok {
		return k, nil
	}
	k, err := NewKey(now)
	if err != nil {
		return Key{}, err
	}
	// A key of before the last rotation has signed nothing that still counts.
	if err := r.store.Add(ctx, k, now.Add(-2*rotateEvery)); err != nil {
		return Key{}, fmt.Errorf("keep a new signing key: %w", err)
	}
	return k, r.load(ctx)
}

// fresh returns the latest key, if it is young enough to sign.
func (r *keyring) fresh(now time.Time) (Key, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.keys) == 0 || now.Sub(r.keys[0].Made) >= rotateEvery {
		return Key{}, false
	}
	return r.keys[0], true
}

var errUnknownKey = errors.New("it is signed by a key that is not this hub's")

// find returns the key of an ID. One that is not known may have been made by another node a moment ago.
func (r *keyring) find(ctx context.Context, id string) (Key, error) {
	for range 2 {
		r.mu.Lock()
		i := slices.IndexFunc(r.keys, func(k Key) bool { return k.ID == id })
		if i >= 0 {
			k := r.keys[i]
			r.mu.Unlock()
			return k, nil
		}
		again := r.now().Sub(r.loaded) >= reloadPause
		if again {
			r.loaded = r.now() // whoever comes meanwhile does not ask too
		}
		r.mu.Unlock()
		if !again {
			break
		}
		if err := r.load(ctx); err != nil {
			return Key{}, err
		}
	}
	return Key{}, errUnknownKey
}

// load asks for the keys.
func (r *keyring) load(ctx context.Context) error {
	keys, err := r.store.List(ctx)
	if err != nil {
		return fmt.Errorf("signing keys: %w", err)
	}
	slices.SortFunc(keys, func(a, b Key) int { return cmp.Or(b.Made.Compare(a.Made), cmp.Compare(a.ID, b.ID)) })
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys, r.loaded = keys, r.now()
	return nil
}

// all returns the keys of now, for the list of public keys.
func (r *keyring) all(ctx context.Context) ([]Key, error) {
	if err := r.load(ctx); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.keys), nil
}

// NewKey makes a key.
func NewKey(made time.Time) (Key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Key{}, err
	}
	return key(made, private)
}

func key(made time.Time, private *ecdsa.PrivateKey) (Key, error) {
	der, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		return Key{}, err
	}
	sum := sha256.Sum256(der)
	return Key{ID: base64.RawURLEncoding.EncodeToString(sum[:]), Made: made, Private: private}, nil
}

// Marshal is the key's private half, PKCS #8, to be sealed.
func (k Key) Marshal() ([]byte, error) { return x509.MarshalPKCS8PrivateKey(k.Private) }

// UnmarshalKey reads what Marshal wrote.
func UnmarshalKey(made time.Time, der []byte) (Key, error) {
	k, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return Key{}, err
	}
	private, ok := k.(*ecdsa.PrivateKey)
	if !ok || private.Curve != elliptic.P256() {
		return Key{}, errors.New("the key is no P-256 key")
	}
	return key(made, private)
}
