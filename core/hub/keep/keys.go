package keep

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"filippo.io/age"

	"github.com/openvic/vic/sdk/errdef"
)

// SealKey is the file, in a hub's data folder, that opens the secrets in its database.
const SealKey = "seal.key"

const (
	tlsFolder = "tls"
	maxKey    = 1 << 20 // bytes of one file
	maxKeys   = 8 << 20 // bytes of all
)

// minPassphrase is the fewest characters of a passphrase.
const minPassphrase = 12

// sealKeys closes the hub's keys, which are files of its data folder, by a passphrase (age, scrypt).
func sealKeys(data, passphrase string) ([]byte, error) {
	if len(passphrase) < minPassphrase {
		return nil, fmt.Errorf("the passphrase has fewer than %d characters: %w", minPassphrase, errdef.ErrInvalid)
	}
	to, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return nil, err
	}
	files, err := keyFiles(data)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	sealed, err := age.Encrypt(&out, to)
	if err != nil {
		return nil, err
	}
	w := tar.NewWriter(sealed)
	for _, name := range files {
		text, err := os.ReadFile(filepath.Join(data, name))
		if err != nil {
			return nil, err
		}
		if len(text) > maxKey {
			return nil, fmt.Errorf("%s has more than %d bytes, which no key has: %w", filepath.Join(data, name), maxKey, errdef.ErrInvalid)
		}
		if err := w.WriteHeader(&tar.Header{Name: filepath.ToSlash(name), Size: int64(len(text)), Mode: 0o600}); err != nil {
			return nil, err
		}
		if _, err := w.Write(text); err != nil {
			return nil, err
		}
	}
	err = errors.Join(w.Close(), sealed.Close())
	return out.Bytes(), err
}

// keyFiles are the hub's keys: the sealing key, and its own authority if it has one.
func keyFiles(data string) ([]string, error) {
	files := []string{SealKey}
	list, err := os.ReadDir(filepath.Join(data, tlsFolder))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range list {
		if e.Type().IsRegular() && !strings.HasPrefix(e.Name(), ".") {
			files = append(files, filepath.Join(tlsFolder, e.Name()))
		}
	}
	return files, nil
}

// openKeys opens what sealKeys closed; errdef.ErrDenied for a wrong passphrase.
func openKeys(sealed []byte, passphrase string) (map[string][]byte, error) {
	by, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return nil, fmt.Errorf("passphrase: %w: %w", err, errdef.ErrInvalid)
	}
	r, err := age.Decrypt(bytes.NewReader(sealed), by)
	if err != nil {
		return nil, fmt.Errorf("the keys in the backup do not open by this passphrase: %w: %w", err, errdef.ErrDenied)
	}
	files := map[string][]byte{}
	for in := tar.NewReader(io.LimitReader(r, maxKeys)); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, fmt.Errorf("keys in the backup: %w", err)
		}
		dir, _ := path.Split(h.Name)
		if h.Name != SealKey && dir != tlsFolder+"/" || h.Size > maxKey || path.Clean(h.Name) != h.Name {
			return nil, fmt.Errorf("keys in the backup: %q is none of a hub: %w", h.Name, errdef.ErrInvalid)
		}
		if files[h.Name], err = io.ReadAll(in); err != nil {
			return nil, fmt.Errorf("keys in the backup: %w", err)
		}
	}
}

// conflicting refuses keys when the data folder has others.
func conflicting(data string, files map[string][]byte) error {
	for name, text := range files {
		have, err := os.ReadFile(filepath.Join(data, filepath.FromSlash(name)))
		if err == nil && !bytes.Equal(have, text) {
			return fmt.Errorf("%s is there, and is not the one of the backup: move it away: %w", filepath.Join(data, name), errdef.ErrConflict)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// writeKeys puts keys into a data folder.
func writeKeys(data string, files map[string][]byte) error {
	if err := conflicting(data, files); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		at := filepath.Join(data, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
			return err
		}
		err := writeFile(filepath.Dir(at), at, func(w io.Writer) error {
			_, err := w.Write(files[name])
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// copyKeys gives another data folder the hub's keys.
func copyKeys(from, to string) error {
	names, err := keyFiles(from)
	if err != nil {
		return err
	}
	files := map[string][]byte{}
	for _, name := range names {
		if files[filepath.ToSlash(name)], err = os.ReadFile(filepath.Join(from, name)); err != nil {
			return err
		}
	}
	return writeKeys(to, files)
}
