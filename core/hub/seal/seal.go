// Package seal keeps the hub's secrets (certificates' keys, credentials of registries, signing keys, sessions of identity
// sources) closed in its database: AES-256-GCM under a key that lies in a file beside it, so that a copy of the database
// alone opens nothing.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Sealer seals and opens. It may be used by several goroutines.
type Sealer struct {
	aead cipher.AEAD
	id   string
}

const keySize = 32

// Open reads the key from a file, and makes both if there is no such file. A file that others may read is refused.
func Open(path string) (*Sealer, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return create(path)
	}
	if err != nil {
		return nil, fmt.Errorf("sealing key: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("sealing key: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("sealing key: %s can be read by others (mode %#o): chmod 600 it", path, mode)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != keySize {
		return nil, fmt.Errorf("sealing key: %s does not hold %d bytes in base64: restore it from a backup; "+
			"without it the secrets in the database stay closed", path, keySize)
	}
	return New(key)
}

// create writes the file so that a crash leaves all of it or nothing. Of two processes that do so at once, one's key is
// kept and both use it.
func create(path string) (*Sealer, error) {
	var key [keySize]byte
	_, _ = rand.Read(key[:])                               // never fails
	f, err := os.CreateTemp(filepath.Dir(path), ".seal-*") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("sealing key: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(base64.StdEncoding.EncodeToString(key[:]) + "\n")
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return nil, fmt.Errorf("sealing key: %w", err)
	}
	if err := os.Link(f.Name(), path); errors.Is(err, fs.ErrExist) {
		return Open(path)
	} else if err != nil {
		return nil, fmt.Errorf("sealing key: %w", err)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("sealing key: %w", err)
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil {
		return nil, fmt.Errorf("sealing key: %w", err)
	}
	return New(key[:])
}

// New makes a Sealer of a key of 32 bytes.
func New(key []byte) (*Sealer, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("sealing key: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("sealing key: %w", err)
	}
	sum := sha256.Sum256(key)
	return &Sealer{aead: aead, id: base64.RawURLEncoding.EncodeToString(sum[:6])}, nil
}

// ID tells keys apart; it says nothing of the key.
func (s *Sealer) ID() string { return s.id }

// Seal closes a secret. what says what it is and whose ("principal session vsphere.local/dev"): a secret that was moved
// to another row does not open there.
func (s *Sealer) Seal(what string, secret []byte) []byte {
	return s.aead.Seal(nil, nil, secret, []byte(what))
}

// Open opens what Seal closed for the same what.
func (s *Sealer) Open(what string, sealed []byte) ([]byte, error) {
	secret, err := s.aead.Open(nil, nil, sealed, []byte(what))
	if err != nil {
		return nil, fmt.Errorf("the %s does not open: it was sealed with another key than %s, or changed", what, s.id)
	}
	return secret, nil
}
