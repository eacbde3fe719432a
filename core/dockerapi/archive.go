package dockerapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/errdefs"
	"github.com/moby/go-archive"
	"github.com/moby/go-archive/compression"

	"github.com/openvic/vic/core/engine"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest/rootfs"
)

// Docker's router gives these methods no context: they end with the engine's calls, whose streams
// fail when the client has gone.

// plainArchives has archives of files sent as they are: Docker's router would compress them for a
// client that takes it, which costs the endpoint VM far more than the network gains.
type plainArchives struct{}

// WrapHandler implements middleware.Middleware.
func (plainArchives) WrapHandler(next handler) handler {
	return func(ctx context.Context, w http.ResponseWriter, r *http.Request, vars map[string]string) error {
		if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/archive") {
			r.Header.Del("Accept-Encoding")
		}
		return next(ctx, w, r, vars)
	}
}

// noFile is Docker's words for a path that is not in the container.
func noFile(err error, path, name string) error {
	var e *engine.Error // about the container itself
	if errors.Is(err, errdef.ErrNotFound) && !errors.As(err, &e) {
		return errdefs.NotFound(fmt.Errorf("Could not find the file %s in container %s", path, name)) //nolint:staticcheck // Docker's text
	}
	return wrap(err)
}

func pathStat(s rootfs.Stat) *container.PathStat {
	return &container.PathStat{Name: s.Name, Size: s.Size, Mode: s.Mode, Mtime: s.ModTime, LinkTarget: s.LinkTarget}
}

// ContainerStatPath is the first half of docker cp.
func (b *containers) ContainerStatPath(name, path string) (*container.PathStat, error) {
	st, err := b.opts.Engine.StatPath(context.Background(), name, path)
	if err != nil {
		return nil, noFile(err, path, name)
	}
	return pathStat(st), nil
}

// ContainerArchivePath is docker cp from a container.
func (b *containers) ContainerArchivePath(name, path string) (io.ReadCloser, *container.PathStat, error) {
	st, r, err := b.opts.Engine.CopyOut(context.Background(), name, path)
	if err != nil {
		return nil, nil, noFile(err, path, name)
	}
	return r, pathStat(st), nil
}

// ContainerExtractToDir is docker cp to a container.
func (b *containers) ContainerExtractToDir(name, path string, copyUIDGID, noOverwriteDirNonDir bool, content io.Reader) error {
	tar, err := compression.DecompressStream(content)
	if err != nil {
		return errdefs.InvalidParameter(err)
	}
	defer tar.Close()
	req := engine.CopyInRequest{Path: path, KeepKinds: noOverwriteDirNonDir, AsUser: copyUIDGID}
	err = b.opts.Engine.CopyIn(context.Background(), name, req, tar)
	if err != nil {
		return noFile(err, path, name)
	}
	return nil
}

// ContainerExport is docker export.
func (b *containers) ContainerExport(ctx context.Context, name string, out io.Writer) error {
	if _, err := b.opts.Engine.Get(name); err != nil {
		return wrap(err)
	}
	if err := b.opts.Engine.Export(ctx, name, out); err != nil {
		return fmt.Errorf("Error exporting container %s: %w", name, wrap(err)) //nolint:staticcheck // Docker's text
	}
	return nil
}

// ContainerChanges is docker diff.
func (b *containers) ContainerChanges(ctx context.Context, name string) ([]archive.Change, error) {
	all, err := b.opts.Engine.Changes(ctx, name)
	if err != nil {
		return nil, wrap(err)
	}
	kinds := map[rootfs.ChangeKind]archive.ChangeType{rootfs.Modified: archive.ChangeModify, rootfs.Added: archive.ChangeAdd,
		rootfs.Deleted: archive.ChangeDelete}
	out := make([]archive.Change, 0, len(all))
	for _, c := range all {
		out = append(out, archive.Change{Path: c.Path, Kind: kinds[c.Kind]})
	}
	slices.SortFunc(out, func(a, b archive.Change) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}
