package harness

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/go-git/go-billy/v5"
	"github.com/go-git/go-billy/v5/osfs"
	"github.com/willscott/go-nfs"
	"github.com/willscott/go-nfs/helpers"
)

// NFSAddr is where the tests' NFS server (version 3) listens; the lab's guests reach this machine's
// loopback at LabHost.
var NFSAddr = Address("127.0.0.1", 49)

// LabHost is this machine for guests on the lab's public network.
const LabHost = "192.168.127.254"

// NFSStore is the volume store on the NFS server, labelled "shared". There is no port mapper: the
// ports are options.
func NFSStore() string {
	_, port, err := net.SplitHostPort(NFSAddr)
	if err != nil {
		return ""
	}
	return "nfs://" + LabHost + ":" + port + "/export?vers=3&mountport=" + port + "&mountproto=tcp:shared"
}

// serveNFS serves the lab's folder nfs until the process ends.
func (l *Lab) serveNFS() error {
	dir := filepath.Join(l.root, "nfs")
	if err := os.MkdirAll(filepath.Join(dir, "export"), 0o755); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", NFSAddr)
	if err != nil {
		return err
	}
	nfs.SetLogger(quiet{nfs.Log})
	h := &nfsHandler{Handler: helpers.NewNullAuthHandler(files{osfs.New(dir, osfs.WithChrootOS())}), dir: dir}
	go func() { _ = nfs.Serve(listener, helpers.NewCachingHandler(h, 1<<16)) }()
	return nil
}

// quiet drops what the server says of each call.
type quiet struct{ nfs.Logger }

func (quiet) Errorf(string, ...any) {}
func (quiet) Warnf(string, ...any)  {}

// nfsHandler lets clients mount the directory that they name, as NFS servers do.
type nfsHandler struct {
	nfs.Handler
	dir string
}

// Mount implements nfs.Handler.
func (h *nfsHandler) Mount(_ context.Context, _ net.Conn, req nfs.MountRequest) (nfs.MountStatus, billy.Filesystem, []nfs.AuthFlavor) {
	dir := filepath.Join(h.dir, filepath.Clean("/"+string(req.Dirpath)))
	if st, err := os.Stat(dir); err != nil || !st.IsDir() {
		return nfs.MountStatusErrNoEnt, nil, nil
	}
	return nfs.MountStatusOk, files{osfs.New(dir, osfs.WithChrootOS())}, []nfs.AuthFlavor{nfs.AuthFlavorNull}
}

// Change implements nfs.Handler.
func (h *nfsHandler) Change(fs billy.Filesystem) billy.Change {
	c, _ := fs.(billy.Change)
	return c
}

// files is a folder whose files can have owners and modes.
type files struct{ billy.Filesystem }

var _ billy.Change = files{}

func (f files) path(name string) string { return filepath.Join(f.Root(), name) }

// Chmod implements billy.Change.
func (f files) Chmod(name string, mode os.FileMode) error { return os.Chmod(f.path(name), mode) }

// Lchown implements billy.Change.
func (f files) Lchown(name string, uid, gid int) error { return os.Lchown(f.path(name), uid, gid) }

// Chown implements billy.Change.
func (f files) Chown(name string, uid, gid int) error { return os.Chown(f.path(name), uid, gid) }

// Chtimes implements billy.Change.
func (f files) Chtimes(name string, atime, mtime time.Time) error {
	return os.Chtimes(f.path(name), atime, mtime)
}
