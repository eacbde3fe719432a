package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/session"
	"github.com/openvic/vic/sdk/errdef"
)

// maxSmallFile bounds what get reads.
const maxSmallFile = 1 << 20

// store is the image store's folder on its datastore, or a volume store's. Names are relative to it.
type store struct {
	session *session.Session
	dc      *object.Datacenter
	ds      *object.Datastore
	browser types.ManagedObjectReference
	root    object.DatastorePath
}

// openStore finds the datastore that root names.
func openStore(ctx context.Context, s *session.Session, datacenter, root string) (*store, error) {
	st := &store{session: s, dc: object.NewDatacenter(s.Client(), types.ManagedObjectReference{Type: "Datacenter", Value: datacenter})}
	if !st.root.FromString(root) {
		return nil, fmt.Errorf("store %q: %w", root, errdef.ErrInvalid)
	}
	var dc mo.Datacenter
	pc := property.DefaultCollector(s.Client())
	if err := pc.RetrieveOne(ctx, st.dc.Reference(), []string{"datastore"}, &dc); err != nil {
		return nil, session.Error("read datacenter "+datacenter, err)
	}
	var all []mo.Datastore
	if len(dc.Datastore) > 0 {
		if err := pc.Retrieve(ctx, dc.Datastore, []string{"name", "browser"}, &all); err != nil {
			return nil, session.Error("read the datastores", err)
		}
	}
	for _, d := range all {
		if d.Name != st.root.Datastore {
			continue
		}
		st.browser = d.Browser
		st.ds = object.NewDatastore(s.Client(), d.Self)
		return st, session.Error("find datastore "+d.Name, st.ds.FindInventoryPath(ctx))
	}
	return nil, fmt.Errorf("store %s: datastore %s: %w", root, st.root.Datastore, errdef.ErrNotFound)
}

// path is the datastore path "[ds] root/name".
func (s *store) path(name ...string) string {
	p := s.root
	p.Path = path.Join(append([]string{p.Path}, name...)...)
	return p.String()
}

// mkdir makes a folder and those above it. ErrExists if it is there.
func (s *store) mkdir(ctx context.Context, name string) error { return s.makeDir(ctx, name, true) }

// mkdirIn makes a folder in one that is there. ErrExists if it is there itself.
func (s *store) mkdirIn(ctx context.Context, name string) error { return s.makeDir(ctx, name, false) }

func (s *store) makeDir(ctx context.Context, name string, parents bool) error {
	p := s.path(name)
	return session.Error("make folder "+p, object.NewFileManager(s.session.Client()).MakeDirectory(ctx, p, s.dc, parents))
}

// remove removes a file or a folder with all in it; that it is gone is no error.
func (s *store) remove(ctx context.Context, name string) error {
	p := s.path(name)
	_, err := s.run(ctx, "delete "+p, func(ctx context.Context) (*object.Task, error) {
		return object.NewFileManager(s.session.Client()).DeleteDatastoreFile(ctx, p, s.dc)
	})
	if session.Is(err, &types.FileNotFound{}) {
		return nil
	}
	return err
}

// flatten copies a disk and all that it stands on into one new disk.
func (s *store) flatten(ctx context.Context, from, to string) error {
	spec := &types.FileBackedVirtualDiskSpec{VirtualDiskSpec: types.VirtualDiskSpec{
		AdapterType: string(types.VirtualDiskAdapterTypeLsiLogic), DiskType: string(types.VirtualDiskTypeThin),
	}}
	_, err := s.run(ctx, "copy disk "+from, func(ctx context.Context) (*object.Task, error) {
		return object.NewVirtualDiskManager(s.session.Client()).CopyVirtualDisk(ctx, from, s.dc, to, s.dc, spec, false)
	})
	return err
}

// list returns the files below a folder that match one of the patterns, by folder, with the bytes that
// each takes. Folders without such files are there too.
func (s *store) list(ctx context.Context, name string, patterns ...string) (map[string]fileSizes, error) {
	root := s.path(name)
	info, err := s.run(ctx, "list "+root, func(ctx context.Context) (*object.Task, error) {
		b := object.NewHostDatastoreBrowser(s.session.Client(), s.browser)
		return b.SearchDatastoreSubFolders(ctx, root, &types.HostDatastoreBrowserSearchSpec{MatchPattern: patterns,
			Details: &types.FileQueryFlags{FileSize: true}})
	})
	if err != nil {
		return nil, err
	}
	res, ok := info.Result.(types.ArrayOfHostDatastoreBrowserSearchResults)
	if !ok {
		return nil, fmt.Errorf("list %s: the task's result is %T: %w", root, info.Result, errdef.ErrInternal)
	}
	out := map[string]fileSizes{}
	for _, r := range res.HostDatastoreBrowserSearchResults {
		folder := strings.Trim(strings.TrimPrefix(r.FolderPath, root), "/")
		if out[folder] == nil {
			out[folder] = fileSizes{}
		}
		out[folder].add(r.File)
	}
	return out, nil
}

// fileSizes are the files of one folder.
type fileSizes map[string]int64

func (f fileSizes) has(name string) bool { _, ok := f[name]; return ok }

func (f fileSizes) add(files []types.BaseFileInfo) {
	for _, x := range files {
		f[x.GetFileInfo().Path] = x.GetFileInfo().FileSize
	}
}

// disks is what the disks among them take; a disk may be several files.
func (f fileSizes) disks() (sum int64) {
	for name, size := range f {
		if strings.HasSuffix(name, ".vmdk") {
			sum += size
		}
	}
	return sum
}

func (s *store) run(ctx context.Context, what string, start func(context.Context) (*object.Task, error)) (*types.TaskInfo, error) {
	return s.session.Run(ctx, what, func(ctx context.Context) (types.ManagedObjectReference, error) {
		t, err := start(ctx)
		if err != nil {
			return types.ManagedObjectReference{}, err
		}
		return t.Reference(), nil
	})
}

// transfer runs f, which reads or writes a file over HTTP, and once more if it fails.
func (s *store) transfer(ctx context.Context, what, name string, f func(file string) error) error {
	file := path.Join(s.root.Path, name)
	err := f(file)
	if err != nil && !errors.Is(err, errdef.ErrNotFound) && ctx.Err() == nil {
		// The session may have ended: a call of the API makes a new one.
		if _, cerr := methods.GetCurrentTime(ctx, s.session); cerr == nil {
			err = f(file)
		}
	}
	return session.Error(what+" "+s.path(name), err)
}

// put writes a small file.
func (s *store) put(ctx context.Context, name string, data []byte) error {
	return s.transfer(ctx, "write", name, func(file string) error {
		return s.http(ctx, http.MethodPut, file, data, func(io.Reader) error { return nil })
	})
}

// get reads a small file.
func (s *store) get(ctx context.Context, name string) ([]byte, error) {
	return s.read(ctx, name, maxSmallFile)
}

// read reads a file, or its beginning.
func (s *store) read(ctx context.Context, name string, limit int64) ([]byte, error) {
	var data []byte
	err := s.transfer(ctx, "read", name, func(file string) error {
		return s.http(ctx, http.MethodGet, file, nil, func(r io.Reader) (err error) {
			data, err = io.ReadAll(io.LimitReader(r, limit))
			return err
		})
	})
	return data, err
}

// http makes one request for a file of the datastore.
func (s *store) http(ctx context.Context, method, file string, body []byte, read func(io.Reader) error) error {
	if err := s.session.Away(); err != nil {
		return err
	}
	u := s.ds.NewURL(file)
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	return s.ds.Client().Client.Do(ctx, req, func(res *http.Response) error {
		switch res.StatusCode {
		case http.StatusOK, http.StatusCreated:
			return read(res.Body)
		case http.StatusForbidden:
			return fmt.Errorf("%s: %w", session.Denied("Datastore.Browse or Datastore.FileManagement on datastore "+s.root.Datastore+" or its datacenter"),
				errdef.ErrDenied)
		case http.StatusNotFound:
			return errdef.ErrNotFound
		}
		return errors.New(res.Status)
	})
}
