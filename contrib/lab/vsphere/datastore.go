package vsphere

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// errNoSpace says that a datastore of a set size is full.
var errNoSpace = errors.New("the datastore is full")

// childOverhead is what an empty child disk takes.
const childOverhead = 128 << 10

// path turns "[ds] a/b" into a file; empty when there is no such datastore or the path leaves it.
func (s *Server) path(name string) string {
	var p object.DatastorePath
	if !p.FromString(name) {
		return ""
	}
	ds := s.datastore(p.Datastore)
	if ds == nil || !filepath.IsLocal(filepath.Clean("./"+p.Path)) {
		return ""
	}
	return filepath.Join(ds.Path, p.Path)
}

// datastorePath is the reverse of path.
func (s *Server) datastorePath(file string) string {
	for _, ds := range s.cfg.Datastores {
		if rel, err := filepath.Rel(ds.Path, file); err == nil && filepath.IsLocal(rel) {
			return (&object.DatastorePath{Datastore: ds.Name, Path: rel}).String()
		}
	}
	return file
}

func (s *Server) datastore(name string) *Datastore {
	for i := range s.cfg.Datastores {
		if s.cfg.Datastores[i].Name == name {
			return &s.cfg.Datastores[i]
		}
	}
	return nil
}

// space returns capacity and free bytes.
func (d *Datastore) space() (capacity, free int64) {
	var st syscall.Statfs_t
	if syscall.Statfs(d.Path, &st) == nil {
		capacity, free = int64(st.Blocks)*st.Bsize, int64(st.Bavail)*st.Bsize
	}
	if d.Size == 0 {
		return capacity, free
	}
	return d.Size, max(0, min(free, d.Size-d.used()))
}

// used is what the files take on disk.
func (d *Datastore) used() int64 {
	var n int64
	_ = filepath.WalkDir(d.Path, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return nil // a file that has just gone takes nothing
		}
		if info, err := e.Info(); err == nil {
			if st, ok := info.Sys().(*syscall.Stat_t); ok {
				n += st.Blocks * 512
			}
		}
		return nil
	})
	return n
}

// room is the fault for a file that does not fit; nil when it does.
func (s *Server) room(name string, need int64) types.BaseMethodFault {
	var p object.DatastorePath
	if !p.FromString(name) {
		return &types.InvalidDatastorePath{DatastorePath: name}
	}
	ds := s.datastore(p.Datastore)
	if ds == nil {
		return &types.InvalidDatastorePath{DatastorePath: name}
	}
	if _, free := ds.space(); need > free {
		return &types.NoDiskSpace{FileFault: types.FileFault{File: name}, Datastore: ds.Name}
	}
	return nil
}

// refreshDatastores makes the reported space true; the simulator counts in its own way.
func (s *Server) refreshDatastores() {
	ctx := s.context()
	for _, e := range s.reg.All("Datastore") {
		if ds, ok := e.(*simulator.Datastore); ok {
			s.refreshDatastore(ctx, ds)
		}
	}
}

func (s *Server) refreshDatastore(ctx *simulator.Context, ds *simulator.Datastore) {
	d := s.datastore(ds.Name)
	if d == nil {
		return
	}
	capacity, free := d.space()
	ctx.WithLock(ds, func() {
		info := ds.Info.GetDatastoreInfo()
		info.FreeSpace, info.Timestamp = free, types.NewTime(time.Now())
		ds.Summary.MultipleHostAccess = types.NewBool(true)
		info.MaxFileSize, info.MaxVirtualDiskCapacity = 62<<40, 62<<40
		ctx.Update(ds, []types.PropertyChange{
			{Name: "summary.capacity", Val: capacity},
			{Name: "summary.freeSpace", Val: free},
			{Name: "summary.type", Val: "VMFS"},
		})
	})
}

// labDatastore reports the space that there is.
type labDatastore struct {
	*simulator.Datastore
	base
}

// RefreshDatastore brings the reported space up to date.
func (d *labDatastore) RefreshDatastore(ctx *simulator.Context, _ *types.RefreshDatastore) soap.HasFault {
	d.lab.refreshDatastore(ctx, d.Datastore)
	return &methods.RefreshDatastoreBody{Res: &types.RefreshDatastoreResponse{}}
}

// RefreshDatastoreStorageInfo does the same.
func (d *labDatastore) RefreshDatastoreStorageInfo(ctx *simulator.Context, _ *types.RefreshDatastoreStorageInfo) soap.HasFault {
	d.lab.refreshDatastore(ctx, d.Datastore)
	return &methods.RefreshDatastoreStorageInfoBody{Res: &types.RefreshDatastoreStorageInfoResponse{}}
}

// labFiles guards files that are in use.
type labFiles struct {
	*simulator.FileManager
	base
}

// DeleteDatastoreFileTask deletes a file or a folder, unless a running VM uses something in it.
func (f *labFiles) DeleteDatastoreFileTask(ctx *simulator.Context, req *types.DeleteDatastoreFile_Task) soap.HasFault {
	t := simulator.CreateTask(f.FileManager, "deleteDatastoreFile", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		target := f.lab.path(req.Name)
		if target == "" {
			return nil, &types.InvalidDatastorePath{DatastorePath: req.Name}
		}
		if user := f.lab.userOf(target); user != "" {
			return nil, &types.FileLocked{FileFault: types.FileFault{File: req.Name}}
		}
		if _, err := os.Lstat(target); err != nil {
			return nil, fileFault(req.Name, err)
		}
		if err := os.RemoveAll(target); err != nil {
			return nil, fileFault(req.Name, err)
		}
		f.lab.refreshDatastores()
		return nil, nil
	}).Run(ctx)
	return &methods.DeleteDatastoreFile_TaskBody{Res: &types.DeleteDatastoreFile_TaskResponse{Returnval: t}}
}
