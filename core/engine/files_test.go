package engine_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/openvic/vic/core/engine"
	"github.com/openvic/vic/sdk/compute"
	"github.com/openvic/vic/sdk/errdef"
)

func tarOf(t *testing.T, name, data string) io.Reader {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	_ = w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600, Size: int64(len(data))})
	_, _ = io.WriteString(w, data)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &buf
}

func contentOf(t *testing.T, r io.Reader) string {
	t.Helper()
	var all []string
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return strings.Join(all, " ")
		}
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(tr)
		all = append(all, h.Name+"="+string(b))
	}
}

// Whether a container runs or not, its files go in and out the same way.
func TestFilesOfAContainer(t *testing.T) {
	for _, running := range []bool{false, true} {
		t.Run(map[bool]string{false: "stopped", true: "running"}[running], func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				c := w.create("box", []string{"sleep", "100"})
				if running {
					if err := w.Start(ctx(t), "box"); err != nil {
						t.Fatal(err)
					}
				}
				if err := w.CopyIn(ctx(t), "box", engine.CopyInRequest{Path: "/"}, tarOf(t, "f", "text")); err != nil {
					t.Fatal(err)
				}
				st, err := w.StatPath(ctx(t), c.ID, "/f")
				if err != nil || st.Name != "f" || st.Size != 4 {
					t.Errorf("stat %+v, %v", st, err)
				}
				if _, err := w.StatPath(ctx(t), "box", "/none"); !errors.Is(err, errdef.ErrNotFound) {
					t.Errorf("what is not there: %v", err)
				}
				if err := w.CopyIn(ctx(t), "box", engine.CopyInRequest{Path: "/f"}, tarOf(t, "x", "")); !errors.Is(err, errdef.ErrInvalid) {
					t.Errorf("into a file: %v", err)
				}
				_, r, err := w.CopyOut(ctx(t), "box", "/f")
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				if got := contentOf(t, r); got != "f=text" {
					t.Errorf("out came %q", got)
				}
				var whole, layer bytes.Buffer
				if err := w.Export(ctx(t), "box", &whole); err != nil || contentOf(t, &whole) != "f=text" {
					t.Errorf("export: %v", err)
				}
				changes, err := w.Changes(ctx(t), "box")
				if err != nil || len(changes) != 1 || changes[0].String() != "A /f" {
					t.Errorf("changes %v, %v", changes, err)
				}
				if err := w.Diff(ctx(t), "box", &layer); err != nil || contentOf(t, &layer) != "f=text" {
					t.Errorf("diff: %v", err)
				}
				if got := strings.Join(w.events.actions(), " "); !strings.Contains(got, "extract-to-dir archive-path export") {
					t.Errorf("events %s", got)
				}
				if _, err := w.DiskUsage(ctx(t), "box"); err != nil {
					t.Errorf("usage: %v", err)
				}
			})
		})
	}
}

func TestCopyToAStoppedContainerKeepsItStopped(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("box", []string{"sleep", "100"})
		pr, pw := io.Pipe()
		copied := make(chan error, 1)
		go func() { copied <- w.CopyIn(ctx(t), "box", engine.CopyInRequest{Path: "/"}, pr) }()
		if _, err := pw.Write(make([]byte, 1)); err != nil { // it reads: the copy has begun
			t.Fatal(err)
		}
		started := make(chan error, 1)
		go func() { started <- w.Start(ctx(t), "box") }()
		w.settle()
		select {
		case err := <-started:
			t.Fatalf("started while files were written: %v", err)
		default:
		}
		_ = pw.CloseWithError(errors.New("the client has gone"))
		if err := <-copied; err == nil {
			t.Error("a broken archive is no error")
		}
		if err := <-started; err != nil {
			t.Errorf("start afterwards: %v", err)
		}
	})
}

func TestAStopEndsAStreamWithAReason(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.create("box", []string{"sleep", "100"})
		if err := w.Start(ctx(t), "box"); err != nil {
			t.Fatal(err)
		}
		pr, pw := io.Pipe()
		defer pr.Close()
		copied := make(chan error, 1)
		go func() { copied <- w.CopyIn(ctx(t), "box", engine.CopyInRequest{Path: "/"}, pr) }()
		if _, err := pw.Write(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if err := w.Kill(ctx(t), c.ID, 9); err != nil {
			t.Fatal(err)
		}
		w.eventually("VM off", func() bool { vm, _ := w.Compute.Get(ctx(t), c.ID); return vm.State == compute.StateOff })
		go func() { _, _ = pw.Write(make([]byte, 1<<20)); _ = pw.Close() }()
		if err := <-copied; !errors.Is(err, errdef.ErrConflict) || !strings.Contains(err.Error(), "has stopped while its files were in use") {
			t.Errorf("got %v", err)
		}
	})
}

func TestFilesOfWhatIsNotThere(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		if _, err := w.Changes(ctx(t), "none"); !errors.Is(err, errdef.ErrNotFound) {
			t.Errorf("got %v", err)
		}
	})
}
