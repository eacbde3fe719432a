package keep

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"sync"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
)

// object is live content in a hub's storage. An empty one has no object there.
type object struct {
	digest   digest.Digest
	size     int64
	location string
}

// copiers is how many objects are copied at once.
const copiers = 4

// opener opens a copy of the database, which is read more than once. The caller closes what it gets.
type opener func() (io.ReadCloser, error)

// objects hands out all live content that a copy of the database names, some hundred at a time.
func objects(ctx context.Context, open opener, each func([]object) error) error {
	r, err := open()
	if err != nil {
		return err
	}
	defer r.Close()
	d, err := newReader(r)
	if err != nil {
		return err
	}
	defer d.close()
	const some = 500
	var list []object
	err = d.each(func(table) error { return ctx.Err() }, func(t table, line []byte) error {
		if t.Name != "blob" {
			return nil
		}
		o, err := readObject(t, line)
		if err != nil || o.size == 0 {
			return err
		}
		if list = append(list, o); len(list) < some {
			return nil
		}
		full := list
		list = nil
		return each(full)
	})
	if err != nil {
		return err
	}
	return each(list)
}

func readObject(t table, line []byte) (o object, err error) {
	row, err := t.decode(line)
	if err != nil {
		return o, err
	}
	for i, c := range t.Columns {
		switch v := row[i].(type) {
		case string:
			if c.Name == "digest" {
				o.digest = digest.Digest(v)
			} else if c.Name == "location" {
				o.location = v
			}
		case int64:
			if c.Name == "size" {
				o.size = v
			}
		}
	}
	if err := o.digest.Validate(); err != nil {
		return o, fmt.Errorf("copy of the database: %q: %w", o.digest, err)
	}
	if o.size < 0 || !strings.HasPrefix(o.location, "/") || path.Clean(o.location) != o.location {
		return o, fmt.Errorf("copy of the database: %s has %d bytes at %q, which cannot be", o.digest, o.size, o.location)
	}
	return o, nil
}

// parallel runs f for all live content, several at a time.
func parallel(ctx context.Context, open opener, f func(context.Context, object) error) error {
	return objects(ctx, open, func(list []object) error {
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(copiers)
		for _, o := range list {
			g.Go(func() error { return f(gctx, o) })
		}
		return g.Wait()
	})
}

// gone says that an object is not in the storage.
func gone(err error) bool { return errors.As(err, &storagedriver.PathNotFoundError{}) }

// errContent is content that is not what its digest says.
var errContent = errors.New("the content is not what its digest says")

// checked reads content and fails at its end with errContent unless it has the digest and the size.
type checked struct {
	r        io.Reader
	want     object
	verifier digest.Verifier
	n        int64
}

func check(r io.Reader, o object) (*checked, error) {
	if err := o.digest.Validate(); err != nil {
		return nil, fmt.Errorf("%q: %w", o.digest, err)
	}
	return &checked{r: r, want: o, verifier: o.digest.Verifier()}, nil
}

// Read implements io.Reader.
func (c *checked) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if more := c.n + int64(n) - c.want.size; more > 0 { // nobody gets more than the size
		c.n = c.want.size
		return n - int(more), fmt.Errorf("%s: %w", c.want.digest, errContent)
	}
	c.n += int64(n)
	_, _ = c.verifier.Write(p[:n]) // a hash never fails
	if errors.Is(err, io.EOF) && (c.n != c.want.size || !c.verifier.Verified()) {
		return n, fmt.Errorf("%s: %w", c.want.digest, errContent)
	}
	return n, err
}

// put puts content into a storage, if it is not there, and is what it should be. It reads all of r.
func put(ctx context.Context, d storagedriver.StorageDriver, o object, r io.Reader) error {
	in, err := check(r, o)
	if err != nil {
		return err
	}
	w, err := d.Writer(ctx, o.location, false)
	if err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	if _, err := io.Copy(w, in); err != nil {
		return errors.Join(fmt.Errorf("storage: %s: %w", o.digest, err), w.Cancel(context.WithoutCancel(ctx)))
	}
	if err := errors.Join(w.Commit(ctx), w.Close()); err != nil {
		return fmt.Errorf("storage: %s: %w", o.digest, err)
	}
	return nil
}

// there says whether a storage has an object, by reading it: a process that died may have left part of it.
func there(ctx context.Context, d storagedriver.StorageDriver, o object) (bool, error) {
	info, err := d.Stat(ctx, o.location)
	if gone(err) || err == nil && info.Size() != o.size {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	r, err := d.Reader(ctx, o.location, 0)
	if gone(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer r.Close()
	in, err := check(r, o)
	if err != nil {
		return false, err
	}
	_, err = io.Copy(io.Discard, in)
	if errors.Is(err, errContent) {
		return false, nil
	}
	return err == nil, err
}

// maxFaults is how many faults are told one by one.
const maxFaults = 100

// Faults are objects that were not as they should be.
type Faults struct {
	Count int      `json:"count"`
	First []string `json:"first"` // 100 at most

	mu sync.Mutex
}

func (f *Faults) add(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.Count++; len(f.First) < maxFaults {
		f.First = append(f.First, fmt.Sprintf(format, args...))
	}
}
