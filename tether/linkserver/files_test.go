package linkserver

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/openvic/vic/sdk/guest/linkv1"
	"github.com/openvic/vic/sdk/guest/rootfs"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func tarOf(t *testing.T, name string, data []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	_ = w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600, Size: int64(len(data))})
	_, _ = w.Write(data)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// copyIn sends a stream; whole says that its end is sent too.
func copyIn(t *testing.T, c linkv1.LinkClient, path string, data []byte) error {
	t.Helper()
	s, err := c.CopyIn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(&linkv1.CopyInRequest{Path: path}); err != nil {
		t.Fatal(err)
	}
	err = linkv1.Send(bytes.NewReader(data), func(p []byte) error { return s.Send(&linkv1.CopyInRequest{Data: p}) })
	var send *linkv1.SendError
	if err != nil && !errors.As(err, &send) {
		t.Fatal(err)
	}
	_, err = s.CloseAndRecv()
	return err
}

func TestFilesOverTheLink(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("a view needs root's rights")
	}
	s := begin(t)
	c, _ := s.connect()
	ctx := t.Context()
	if _, err := c.StatPath(ctx, &linkv1.StatPathRequest{Path: "/"}); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("before there is a root: %v", err)
	}
	s.machine.root = t.TempDir()
	var base bytes.Buffer
	view := rootfs.View{Root: s.machine.root}
	if err := view.Do(func() error { return rootfs.WriteTree(&base) }); err != nil {
		t.Fatal(err)
	}
	big := bytes.Repeat([]byte("0123456789abcdef"), 64<<10) // more than one message
	if err := copyIn(t, c, "/", tarOf(t, "big", big)); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(s.machine.root, "big")); err != nil || !bytes.Equal(got, big) {
		t.Errorf("%d bytes arrived, %v", len(got), err)
	}
	if err := copyIn(t, c, "/big", tarOf(t, "x", nil)); status.Code(err) != codes.InvalidArgument {
		t.Errorf("into a file: %v", err)
	}
	if err := copyIn(t, c, "/", []byte("this is no archive, whatever it says")); status.Code(err) != codes.InvalidArgument {
		t.Errorf("not a tar stream: %v", err)
	}
	st, err := c.StatPath(ctx, &linkv1.StatPathRequest{Path: "/big"})
	if err != nil || st.GetStat().GetSize() != int64(len(big)) {
		t.Errorf("stat %v, %v", st, err)
	}
	out, err := c.CopyOut(ctx, &linkv1.CopyOutRequest{Path: "/big"})
	if err != nil {
		t.Fatal(err)
	}
	first, err := out.Recv()
	if err != nil || first.GetStat().GetName() != "big" {
		t.Fatal(first, err)
	}
	tr := tar.NewReader(linkv1.NewReader(func() ([]byte, error) { m, err := out.Recv(); return m.GetData(), err }))
	if h, err := tr.Next(); err != nil || h.Name != "big" {
		t.Fatal(h, err)
	}
	if got, err := io.ReadAll(tr); err != nil || !bytes.Equal(got, big) {
		t.Errorf("%d bytes came back, %v", len(got), err)
	}
	changesOverTheLink(t, c, base.Bytes())
}

func changesOverTheLink(t *testing.T, c linkv1.LinkClient, base []byte) {
	t.Helper()
	s, err := c.Changes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []*linkv1.ChangesRequest{{}, {Base: base}} {
		if err := s.Send(m); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.CloseSend(); err != nil {
		t.Fatal(err)
	}
	m, err := s.Recv()
	if err != nil || len(m.GetChanges()) != 1 || m.GetChanges()[0].GetPath() != "/big" || m.GetChanges()[0].GetKind() != linkv1.ChangeKind_CHANGE_KIND_ADDED {
		t.Errorf("changes %v, %v", m, err)
	}
}
