package outlog

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func at(sec int64) time.Time { return time.Unix(sec, 0) }

func write(t *testing.T, dir string, o Options, lines ...string) *Writer {
	t.Helper()
	w, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range lines {
		if _, err := w.Append(Stdout, at(int64(i)), []byte(l)); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func text(t *testing.T, dir string, q Query) string {
	t.Helper()
	var b strings.Builder
	for r, err := range ReadDir(dir, q) {
		if err != nil {
			t.Fatal(err)
		}
		b.Write(r.Data)
	}
	return b.String()
}

func TestRecordSurvivesEncoding(t *testing.T) {
	want := Record{Offset: 77, Time: time.Unix(5, 6), Stream: Stderr, Data: []byte("hello")}
	h, err := parseHeader(AppendHeader(nil, want))
	if err != nil {
		t.Fatal(err)
	}
	if h.size != 5 || h.rec.Offset != 77 || h.rec.Stream != Stderr || !h.rec.Time.Equal(want.Time) {
		t.Fatalf("got %+v", h)
	}
	b := AppendHeader(nil, want)
	b[17]++
	if _, err := parseHeader(b); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("a changed header is taken: %v", err)
	}
}

func TestReadFromOffsetStartsWithinRecord(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, Options{}, "abc", "def", "ghi")
	for off, want := range []string{"abcdefghi", "bcdefghi", "cdefghi", "defghi", "efghi"} {
		if got := text(t, dir, Query{Offset: int64(off)}); got != want {
			t.Errorf("from %d: %q, want %q", off, got, want)
		}
	}
}

func TestRotationKeepsNewestAndOffsetsGoOn(t *testing.T) {
	dir := t.TempDir()
	var released []int64
	o := Options{MaxSize: 2 * (HeaderSize + 10), MaxFiles: 2, Release: func(n int64) { released = append(released, n) }}
	w := write(t, dir, o, "0123456789", "1123456789", "2123456789", "3123456789", "4123456789")
	if got := text(t, dir, Query{}); got != "2123456789"+"3123456789"+"4123456789" {
		t.Fatalf("kept %q", got)
	}
	if w.End() != 50 || w.Oldest() != 20 || fmt.Sprint(released) != "[20]" {
		t.Fatalf("end %d oldest %d released %v", w.End(), w.Oldest(), released)
	}
	w.Close()
	w = write(t, dir, o, "5")
	if w.End() != 51 {
		t.Fatalf("the next run ends at %d", w.End())
	}
}

func TestTornRecordIsCutOff(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, Options{}, "one", "two").Close()
	name := filepath.Join(dir, fileName(0))
	st, _ := os.Stat(name)
	if err := os.Truncate(name, st.Size()-1); err != nil {
		t.Fatal(err)
	}
	if got := text(t, dir, Query{}); got != "one" {
		t.Fatalf("read %q", got)
	}
	w := write(t, dir, Options{}, "three")
	if got := text(t, dir, Query{}); got != "onethree" || w.End() != 8 {
		t.Fatalf("read %q, end %d", got, w.End())
	}
}

func TestCursorFollowsWriterOverRotation(t *testing.T) {
	dir := t.TempDir()
	w := write(t, dir, Options{MaxSize: 100, MaxFiles: 3})
	c := NewCursor(dir, 0)
	defer c.Close()
	var got, want bytes.Buffer
	for i := range 50 {
		line := fmt.Sprintf("line %d\n", i)
		want.WriteString(line)
		if _, err := w.Append(Stdout, at(0), []byte(line)); err != nil {
			t.Fatal(err)
		}
		for {
			r, err := c.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			got.Write(r.Data)
		}
	}
	if got.String() != want.String() {
		t.Fatalf("got %q", got.String())
	}
}

func TestTail(t *testing.T) {
	tests := []struct {
		name  string
		write []string
		n     int64
		want  string
	}{
		{"whole lines", []string{"a\nb\n", "c\n"}, 2, "b\nc\n"},
		{"last line open", []string{"a\nb\n", "c"}, 2, "b\nc"},
		{"fewer than asked", []string{"a\n"}, 5, "a\n"},
		{"line over records", []string{"a\nb", "b\nc\n"}, 2, "bb\nc\n"},
		{"all of it", []string{"a\nb\n"}, 2, "a\nb\n"},
		{"empty", nil, 2, ""},
		{"over files", []string{strings.Repeat("x", 50) + "\n", strings.Repeat("y", 50) + "\n", "z\n"}, 2, strings.Repeat("y", 50) + "\nz\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, Options{MaxSize: 60}, tt.write...)
			if got := text(t, dir, Query{TailLines: tt.n}); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestSinceAndUntil(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, Options{}, "0", "1", "2", "3")
	if got := text(t, dir, Query{Since: at(1), Until: at(2)}); got != "12" {
		t.Fatalf("got %q", got)
	}
}

func TestTarInAnyOrder(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, Options{MaxSize: 40}, "aaaaaaaaaa", "bbbbbbbbbb", "cccccccccc")
	files, err := list(dir)
	if err != nil || len(files) != 3 {
		t.Fatal(files, err)
	}
	var b bytes.Buffer
	tw := tar.NewWriter(&b)
	for _, i := range []int{2, 0, 1} {
		data, _ := os.ReadFile(files[i].path)
		tw.WriteHeader(&tar.Header{Name: "vic/log/" + filepath.Base(files[i].path), Size: int64(len(data)), Mode: 0o600})
		tw.Write(data)
	}
	tw.WriteHeader(&tar.Header{Name: "vic/log/other", Size: 1})
	tw.Write([]byte("x"))
	tw.Close()
	var got strings.Builder
	for r, err := range ReadTar(&b, Query{Offset: 5}) {
		if err != nil {
			t.Fatal(err)
		}
		got.Write(r.Data)
	}
	if got.String() != "aaaaabbbbbbbbbbcccccccccc" {
		t.Fatalf("got %q", got.String())
	}
}
