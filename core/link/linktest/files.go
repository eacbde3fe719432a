package linktest

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/openvic/vic/sdk/guest/linkv1"
)

// files are the container's: regular ones, by absolute path. All have been added to the image.
type files struct {
	mu  sync.Mutex
	all map[string][]byte
}

func (f *files) below(name string) (names []string, dir bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for n := range f.all {
		if n == name || strings.HasPrefix(n, strings.TrimSuffix(name, "/")+"/") {
			names, dir = append(names, n), dir || n != name
		}
	}
	slices.Sort(names)
	return names, dir || name == "/"
}

func (f *files) stat(name string) (*linkv1.PathStat, []string, error) {
	name = path.Clean("/" + name)
	names, dir := f.below(name)
	st := &linkv1.PathStat{Name: path.Base(name), Mode: 0o644}
	switch {
	case dir:
		st.Mode = uint32(fs.ModeDir | 0o755)
	case len(names) == 0:
		return nil, nil, status.Errorf(codes.NotFound, "lstat %s: no such file or directory", name)
	default:
		st.Size = int64(len(f.all[name]))
	}
	return st, names, nil
}

func (f *files) tar(names []string, parent string) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, n := range names {
		// A buffer takes everything, and the headers are sound.
		_ = w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: strings.TrimPrefix(strings.TrimPrefix(n, parent), "/"), Mode: 0o644, Size: int64(len(f.all[n]))})
		_, _ = w.Write(f.all[n])
	}
	_ = w.Close()
	return buf.Bytes()
}

// StatPath implements the link.
func (t *Tether) StatPath(_ context.Context, req *linkv1.StatPathRequest) (*linkv1.StatPathResponse, error) {
	st, _, err := t.files.stat(req.GetPath())
	return &linkv1.StatPathResponse{Stat: st}, err
}

// CopyOut implements the link.
func (t *Tether) CopyOut(req *linkv1.CopyOutRequest, s grpc.ServerStreamingServer[linkv1.CopyOutResponse]) error {
	name := path.Clean("/" + req.GetPath())
	if req.GetWhole() {
		name = "/"
	}
	st, names, err := t.files.stat(name)
	if err != nil {
		return err
	}
	if err := s.Send(&linkv1.CopyOutResponse{Stat: st}); err != nil {
		return err
	}
	return s.Send(&linkv1.CopyOutResponse{Data: t.files.tar(names, path.Dir(name))})
}

// CopyIn implements the link.
func (t *Tether) CopyIn(s grpc.ClientStreamingServer[linkv1.CopyInRequest, linkv1.CopyInResponse]) error {
	first, err := s.Recv()
	if err != nil {
		return err
	}
	if st, _, err := t.files.stat(first.GetPath()); err != nil {
		return err
	} else if !fs.FileMode(st.GetMode()).IsDir() {
		return status.Error(codes.InvalidArgument, "extraction point is not a directory")
	}
	for tr := tar.NewReader(linkv1.NewReader(func() ([]byte, error) { m, err := s.Recv(); return m.GetData(), err })); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return s.SendAndClose(&linkv1.CopyInResponse{})
		}
		if err != nil {
			return status.Error(codes.InvalidArgument, err.Error())
		}
		b, err := io.ReadAll(tr)
		if err != nil {
			return err
		}
		t.files.mu.Lock()
		t.files.all[path.Join(path.Clean("/"+first.GetPath()), h.Name)] = b
		t.files.mu.Unlock()
	}
}

// Changes implements the link; the base is read and not looked at.
func (t *Tether) Changes(s grpc.BidiStreamingServer[linkv1.ChangesRequest, linkv1.ChangesResponse]) error {
	first, err := s.Recv()
	for err == nil {
		_, err = s.Recv()
	}
	if !errors.Is(err, io.EOF) {
		return err
	}
	names, _ := t.files.below("/")
	if first.GetLayer() {
		return s.Send(&linkv1.ChangesResponse{Data: t.files.tar(names, "/")})
	}
	m := &linkv1.ChangesResponse{}
	for _, n := range names {
		m.Changes = append(m.Changes, &linkv1.Change{Kind: linkv1.ChangeKind_CHANGE_KIND_ADDED, Path: n})
	}
	return s.Send(m)
}
