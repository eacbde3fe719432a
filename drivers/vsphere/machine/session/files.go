package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	vsphere "github.com/openvic/vic/drivers/vsphere/session"
	"github.com/openvic/vic/sdk/errdef"
)

// Files are the files of one datastore. Paths are relative to the datastore.
type Files struct {
	Datacenter *object.Datacenter
	Datastore  *object.Datastore
}

// Path is p as vSphere writes it: "[datastore] p".
func (f Files) Path(p string) string { return f.Datastore.Path(p) }

// MakeDir makes one directory; ErrExists if it is there.
func (f Files) MakeDir(ctx context.Context, p string) error {
	ctx, cancel := Detached(ctx)
	defer cancel()
	fm := object.NewFileManager(f.Datastore.Client())
	if err := fm.MakeDirectory(ctx, f.Path(p), f.Datacenter, false); err != nil {
		return fmt.Errorf("make directory %s: %w", f.Path(p), vsphere.Classify(err))
	}
	return nil
}

// Delete removes a file, or a directory with all that is in it; ErrNotFound if it is not there.
func (f Files) Delete(ctx context.Context, p string) error {
	if strings.Trim(p, "/. ") == "" {
		return fmt.Errorf("delete %s: %w: the datastore's root", f.Path(p), errdef.ErrInvalid)
	}
	task, err := object.NewFileManager(f.Datastore.Client()).DeleteDatastoreFile(ctx, f.Path(p), f.Datacenter)
	if err := Wait(ctx, task, err); err != nil {
		return fmt.Errorf("delete %s: %w", f.Path(p), err)
	}
	return nil
}

// Upload writes a file; size is -1 if unknown.
func (f Files) Upload(ctx context.Context, r io.Reader, size int64, p string) error {
	param := soap.DefaultUpload
	if size >= 0 {
		param.ContentLength = size
	}
	if err := f.Datastore.Upload(ctx, r, p, &param); err != nil {
		return fmt.Errorf("upload %s: %w", f.Path(p), httpClass(err))
	}
	return nil
}

// Put writes a small file.
func (f Files) Put(ctx context.Context, b []byte, p string) error {
	return f.Upload(ctx, bytes.NewReader(b), int64(len(b)), p)
}

// Get reads a small file, up to limit bytes; ErrNotFound if it is not there.
func (f Files) Get(ctx context.Context, p string, limit int64) ([]byte, error) {
	r, _, err := f.Datastore.Download(ctx, p, nil)
	if err != nil {
		return nil, fmt.Errorf("download %s: %w", f.Path(p), httpClass(err))
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, limit))
}

// Tail reads the end of a file, at most limit bytes of it. ErrNotFound as Get.
func (f Files) Tail(ctx context.Context, p string, limit int64) ([]byte, error) {
	r, err := f.Datastore.Open(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", f.Path(p), vsphere.Classify(err))
	}
	defer r.Close()
	st, err := r.Stat()
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("%s: %w", f.Path(p), errdef.ErrNotFound)
	case err != nil:
		return nil, fmt.Errorf("look at %s: %w", f.Path(p), httpClass(err))
	case st.Size() == 0:
		return nil, nil
	}
	if _, err := r.Seek(max(0, st.Size()-limit), io.SeekStart); err != nil {
		return nil, fmt.Errorf("read %s: %w", f.Path(p), err)
	}
	b, err := io.ReadAll(io.LimitReader(r, limit))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.Path(p), httpClass(err))
	}
	return b, nil
}

// httpClass finds the class of a failed transfer, of which govmomi tells only the status line.
func httpClass(err error) error {
	for code, class := range map[int]error{
		http.StatusNotFound:            errdef.ErrNotFound,
		http.StatusForbidden:           errdef.ErrDenied,
		http.StatusUnauthorized:        errdef.ErrDenied,
		http.StatusInsufficientStorage: errdef.ErrExhausted,
	} {
		if strings.Contains(err.Error(), fmt.Sprint(code, " ", http.StatusText(code))) {
			return fmt.Errorf("%w: %w", class, err)
		}
	}
	return err
}

// List returns the names in a directory; ErrNotFound if it is not there.
func (f Files) List(ctx context.Context, p string) ([]string, error) {
	b, err := f.Datastore.Browser(ctx)
	if err != nil {
		return nil, fmt.Errorf("browse %s: %w", f.Path(p), vsphere.Classify(err))
	}
	spec := types.HostDatastoreBrowserSearchSpec{MatchPattern: []string{"*"}}
	task, err := b.SearchDatastore(ctx, f.Path(p), &spec)
	res, err := Await(ctx, task, err)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", f.Path(p), err)
	}
	found, ok := res.(types.HostDatastoreBrowserSearchResults)
	if !ok {
		return nil, fmt.Errorf("list %s: %w: the answer is a %T", f.Path(p), errdef.ErrInternal, res)
	}
	var names []string
	for _, fi := range found.File {
		names = append(names, fi.GetFileInfo().Path)
	}
	return names, nil
}

// IsEmpty says that a directory is there and holds nothing.
func (f Files) IsEmpty(ctx context.Context, p string) (bool, error) {
	names, err := f.List(ctx, p)
	if errors.Is(err, errdef.ErrNotFound) {
		return false, nil
	}
	return err == nil && len(names) == 0, err
}
