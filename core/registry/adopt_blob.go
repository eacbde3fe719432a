package registry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/distribution/distribution/v3"
	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/core/store"
)

// blob gives a repository content of the plain registry. why says what is wrong with it; "": nothing.
func (a *adopter) blob(ctx context.Context, here string, b v1.Descriptor) (why string, err error) {
	known, err := a.known(ctx, here, b)
	if err != nil || known {
		return "", err
	}
	info, err := a.from.Stat(ctx, plainBlob(b.Digest))
	if errors.As(err, &storagedriver.PathNotFoundError{}) {
		return "it is missing", nil
	}
	if err != nil {
		return "", err
	}
	if info.Size() != b.Size {
		return fmt.Sprintf("it has %d bytes, not %d", info.Size(), b.Size), nil
	}
	if a.o.DryRun {
		a.count(b)
		return "", nil
	}
	switch {
	case a.o.From == nil || b.Size == 0:
		err = a.inPlace(ctx, here, b)
	default:
		err = a.bring(ctx, here, b)
	}
	if errors.As(err, &distribution.ErrBlobInvalidDigest{}) {
		return err.Error(), nil
	}
	if err == nil {
		a.count(b)
	}
	return "", err
}

func (a *adopter) count(b v1.Descriptor) {
	a.did.Blobs++
	a.did.Bytes += b.Size
}

// known says whether the repository has the content; if the registry has it, the repository gets it.
func (a *adopter) known(ctx context.Context, here string, b v1.Descriptor) (known bool, err error) {
	var size int64
	err = a.g.store.QueryRow(ctx, `SELECT size FROM blob WHERE digest = $1`, b.Digest.String()).Scan(&size)
	if errors.Is(err, sql.ErrNoRows) || err != nil || a.o.DryRun {
		return err == nil, noRows(err)
	}
	err = a.g.store.Tx(ctx, func(tx *store.Tx) error {
		p, err := a.g.ensureRepo(tx, here)
		if err != nil {
			return err
		}
		err = tx.Lock(`SELECT size FROM blob WHERE digest = $1`, b.Digest.String()).Scan(&size)
		if err != nil {
			return err
		}
		return a.g.link(tx, p, b.Digest, size)
	})
	return err == nil, noRows(err)
}

func noRows(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}

// inPlace makes the plain registry's object one of ours, where it lies. An empty one needs none.
func (a *adopter) inPlace(ctx context.Context, here string, b v1.Descriptor) error {
	err := a.g.store.Tx(ctx, func(tx *store.Tx) error {
		p, err := a.g.ensureRepo(tx, here)
		if err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO blob (digest, size, location) VALUES ($1, $2, $3) ON CONFLICT (digest) DO NOTHING`, b.Digest.String(), b.Size,
			plainBlob(b.Digest))
		if err != nil {
			return err
		}
		var size int64
		if err := tx.Lock(`SELECT size FROM blob WHERE digest = $1`, b.Digest.String()).Scan(&size); err != nil {
			return err
		}
		return a.g.link(tx, p, b.Digest, size)
	})
	if err == nil {
		a.did.InPlace++
	}
	return err
}

// bring links or copies content as an upload would bring it: a row names the object before it is there.
func (a *adopter) bring(ctx context.Context, here string, b v1.Descriptor) error {
	u, err := a.g.newUpload(ctx, &request{route: route{name: here}}, true, b.Digest)
	if err != nil {
		return err
	}
	if a.o.Link != nil && a.o.Link(plainBlob(b.Digest), u.location) == nil {
		return a.linked(ctx, u, b)
	}
	r, err := a.from.Reader(ctx, plainBlob(b.Digest), 0)
	if err != nil {
		return errors.Join(err, u.Cancel(ctx))
	}
	defer r.Close()
	if _, err := u.ReadFrom(r); err != nil {
		return err // it is cancelled
	}
	if _, err := u.Commit(ctx, b); err != nil {
		return errors.Join(err, u.Cancel(ctx))
	}
	a.did.Copied++
	return u.Close()
}

// linked publishes an object that got its second name.
func (a *adopter) linked(ctx context.Context, u *writer, b v1.Descriptor) error {
	u.size = b.Size
	if err := u.publish(ctx, b.Digest); err != nil {
		return errors.Join(err, u.Cancel(ctx))
	}
	u.done = true
	a.did.Linked++
	return u.Close()
}

// LinkFiles links files of one folder into another: a Link for AdoptOptions. Both are the folders of Filesystem.
func LinkFiles(from, to string) func(string, string) error {
	return func(a, b string) error {
		at := filepath.Join(to, filepath.FromSlash(b))
		if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
			return err
		}
		return os.Link(filepath.Join(from, filepath.FromSlash(a)), at)
	}
}
