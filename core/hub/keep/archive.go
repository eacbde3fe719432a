package keep

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/openvic/vic/sdk/errdef"
)

// Archive writes a backup as one tar stream: the copy of the database, the content, the keys, and the manifest at its end.
// If the database had to be copied again, the manifest names the last copy.
type Archive struct {
	mu   sync.Mutex
	out  *tar.Writer
	data string // where the copy of the database lies before its size is known

	written *index
	states  int
	spooled func() error // removes the copy
}

// NewArchive begins an archive. data is a folder for what is needed on the way. The caller closes the archive, and w after it.
func NewArchive(ctx context.Context, w io.Writer, data string) (*Archive, error) {
	x, err := openIndex(ctx, scratch(data, fmt.Sprintf("written-%d.db", os.Getpid())))
	if err != nil {
		return nil, err
	}
	return &Archive{out: tar.NewWriter(w), data: data, written: x}, nil
}

// Close removes what was needed on the way.
func (a *Archive) Close() error {
	err := a.written.remove()
	if a.spooled != nil {
		err = errors.Join(err, a.spooled())
	}
	return err
}

func (a *Archive) has(ctx context.Context, o object) (bool, error) {
	_, _, ok, err := a.written.find(ctx, o.digest)
	return ok, err
}

// put implements target: one at a time. When content is not what it should be after it was written, the restore sees it too.
func (a *Archive) put(ctx context.Context, o object, r io.Reader) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	in, err := check(r, o)
	if err != nil {
		return err
	}
	// The first bytes before the header: they show whether there is anything to read.
	head := make([]byte, min(o.size, 64<<10))
	if _, err := io.ReadFull(in, head); errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: %w", o.digest, errContent)
	} else if err != nil {
		return err
	}
	if err := a.header("objects/"+o.digest.Algorithm().String()+"/"+o.digest.Encoded()[:2]+"/"+o.digest.Encoded(), o.size); err != nil {
		return err
	}
	n, err := io.Copy(a.out, io.MultiReader(bytes.NewReader(head), in))
	if err != nil && n < o.size { // else only the digest is another
		return fmt.Errorf("%s ended after %d of %d bytes, and the archive with it: %w", o.digest, n, o.size, err)
	}
	return errors.Join(err, a.written.add(ctx, []object{o}))
}

func (a *Archive) header(name string, size int64) error {
	return a.out.WriteHeader(&tar.Header{Name: name, Size: size, Mode: 0o600, ModTime: time.Now(), Format: tar.FormatPAX})
}

func (a *Archive) database(_ context.Context, write func(io.Writer) error) (opener, error) {
	if a.spooled != nil {
		if err := a.spooled(); err != nil {
			return nil, err
		}
		a.spooled = nil
	}
	open, remove, err := spool(a.data, fmt.Sprintf("archive-%d", os.Getpid()), write)
	if err != nil {
		return nil, err
	}
	a.spooled = remove
	a.states++
	f, err := open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.(io.Seeker).Seek(0, io.SeekEnd)
	if err == nil {
		_, err = f.(io.Seeker).Seek(0, io.SeekStart)
	}
	if err == nil {
		err = a.header(a.state(), size)
	}
	if err == nil {
		_, err = io.Copy(a.out, f)
	}
	return open, err
}

func (a *Archive) state() string { return fmt.Sprintf("%d-%s", a.states, databaseFile) }

func (a *Archive) finish(_ context.Context, m *Manifest, keys []byte) (string, error) {
	m.Database = a.state()
	if keys != nil {
		m.Keys = keysFile
		if err := a.header(keysFile, int64(len(keys))); err != nil {
			return "", err
		}
		if _, err := a.out.Write(keys); err != nil {
			return "", err
		}
	}
	var text bytes.Buffer
	if err := m.write(&text); err != nil {
		return "", err
	}
	if err := a.header(manifestFile, int64(text.Len())); err != nil {
		return "", err
	}
	if _, err := a.out.Write(text.Bytes()); err != nil {
		return "", err
	}
	return m.Made.Format(snapshotName), a.out.Close()
}

// entry is what one file of an archive is.
func entry(name string) (kind string, d digest.Digest, err error) {
	switch parts := strings.Split(name, "/"); {
	case name == manifestFile, name == keysFile:
		return name, "", nil
	case len(parts) == 1 && strings.HasSuffix(name, "-"+databaseFile):
		return databaseFile, "", nil
	case len(parts) == 4 && parts[0] == objectsFolder && path.Clean(name) == name:
		d = digest.NewDigestFromEncoded(digest.Algorithm(parts[1]), parts[3])
		if err := d.Validate(); err != nil {
			return "", "", fmt.Errorf("%q in the archive: %w: %w", name, err, errdef.ErrInvalid)
		}
		return objectsFolder, d, nil
	}
	return "", "", fmt.Errorf("%.200q in the archive belongs to no backup of a hub: %w", name, errdef.ErrInvalid)
}
