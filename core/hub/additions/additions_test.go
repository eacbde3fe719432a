package additions

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/openvic/vic/sdk/errdef"
)

// chart makes an archive of files, by pairs of name and text.
func chart(t testing.TB, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for i := 0; i < len(files); i += 2 {
		if err := w.WriteHeader(&tar.Header{Name: files[i], Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(files[i+1]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, files[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []io.Closer{w, z} {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func TestTheFilesOfAChart(t *testing.T) {
	b := chart(t, "web/charts/db/README.md", "of another", "web/Chart.yaml", "name: web", "web/readme.md", "# Web", "web/values.yaml", "a: 1")
	for name, want := range map[string]string{"README.md": "# Web", "values.yaml": "a: 1"} {
		if got, err := ChartFile(bytes.NewReader(b), name); err != nil || string(got) != want {
			t.Errorf("%s: %q %v", name, got, err)
		}
	}
	if _, err := ChartFile(bytes.NewReader(b), "LICENSE"); !errors.Is(err, errdef.ErrNotFound) {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestChartsThatCannotBeRead(t *testing.T) {
	var many []string
	for range maxEntries + 1 {
		many = append(many, "web/x", "")
	}
	for name, b := range map[string][]byte{
		"no gzip":          []byte("text"),
		"cut":              chart(t, "web/README.md", "# Web")[:40],
		"a large file":     chart(t, "web/README.md", string(make([]byte, maxFile+1))),
		"a bomb":           chart(t, "web/x", string(make([]byte, maxUnpacked)), "web/README.md", "x"),
		"too many entries": chart(t, many...),
	} {
		if got, err := ChartFile(bytes.NewReader(b), "README.md"); !errors.Is(err, errdef.ErrInvalid) {
			t.Errorf("%s: %.20q %v", name, got, err)
		}
	}
}

func TestConfigs(t *testing.T) {
	steps, err := History([]byte(`{"history":[{"created_by":"RUN make","empty_layer":true},{"comment":"x"}]}`))
	if err != nil || len(steps) != 2 || steps[0].CreatedBy != "RUN make" || !steps[0].EmptyLayer {
		t.Errorf("%+v %v", steps, err)
	}
	if steps, err := History([]byte(`{}`)); err != nil || steps == nil || len(steps) != 0 {
		t.Errorf("%+v %v", steps, err)
	}
	needs, err := Dependencies([]byte(`{"name":"web","dependencies":[{"name":"db","version":"1.x","repository":"oci://hub/charts"}]}`))
	if err != nil || len(needs) != 1 || needs[0] != (Dependency{"db", "1.x", "oci://hub/charts"}) {
		t.Errorf("%+v %v", needs, err)
	}
	if _, err := History([]byte("x")); !errors.Is(err, errdef.ErrInvalid) {
		t.Error(err)
	}
	if _, err := Dependencies([]byte("[]")); !errors.Is(err, errdef.ErrInvalid) {
		t.Error(err)
	}
}

func FuzzChartFile(f *testing.F) {
	f.Add(chart(f, "web/README.md", "# Web"))
	f.Add(chart(f, "web/charts/db/README.md", "x", "../README.md", "x"))
	f.Add([]byte("\x1f\x8b"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := ChartFile(bytes.NewReader(b), "README.md")
		if len(got) > maxFile || err != nil && !errors.Is(err, errdef.ErrInvalid) && !errors.Is(err, errdef.ErrNotFound) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
	})
}

// Two bytes of a config become a hundred in memory.
func TestListsWithoutAnEnd(t *testing.T) {
	for n, want := range map[int]error{maxEach: nil, maxEach + 1: errdef.ErrInvalid} {
		list := "[{}" + strings.Repeat(",{}", n-1) + "]"
		if all, err := History([]byte(`{"history":` + list + `}`)); !errors.Is(err, want) || err == nil && len(all) != n {
			t.Errorf("%d steps: %d, %v", n, len(all), err)
		}
		if all, err := Dependencies([]byte(`{"dependencies":` + list + `}`)); !errors.Is(err, want) || err == nil && len(all) != n {
			t.Errorf("%d dependencies: %d, %v", n, len(all), err)
		}
	}
	for _, none := range []string{`{}`, `{"history":null}`, `{"history":[]}`} {
		if all, err := History([]byte(none)); err != nil || all == nil || len(all) != 0 {
			t.Errorf("%s: %v, %v", none, all, err)
		}
	}
	if _, err := History([]byte(`{"history":{}}`)); !errors.Is(err, errdef.ErrInvalid) {
		t.Error(err)
	}
}
