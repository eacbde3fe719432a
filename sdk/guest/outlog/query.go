package outlog

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path"
	"path/filepath"
	"time"
)

// Query says which part of a log is wanted.
type Query struct {
	Offset    int64     // first byte wanted
	TailLines int64     // > 0: the last so many lines; Offset is ignored
	Since     time.Time // leave out older records
	Until     time.Time // leave out newer records
}

// Wants tells whether the query's times admit the record.
func (q Query) Wants(r Record) bool {
	return (q.Since.IsZero() || !r.Time.Before(q.Since)) && (q.Until.IsZero() || !r.Time.After(q.Until))
}

// ReadDir returns the records of the log in a directory, in order. It ends after the first error.
func ReadDir(dir string, q Query) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		from := q.Offset
		if q.TailLines > 0 {
			var err error
			if from, err = TailOffset(dir, q.TailLines); err != nil {
				yield(Record{}, err)
				return
			}
		}
		c := NewCursor(dir, from)
		defer c.Close()
		for {
			r, err := c.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err == nil && !q.Wants(r) {
				continue
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

// ReadTar is ReadDir for a tar stream that holds the log's files, in any order and below any
// directory; other entries are skipped. The files are spooled to a temporary directory.
func ReadTar(r io.Reader, q Query) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		dir, err := os.MkdirTemp("", "vic-outlog-")
		if err != nil {
			yield(Record{}, err)
			return
		}
		defer os.RemoveAll(dir)
		if err := spool(dir, r); err != nil {
			yield(Record{}, err)
			return
		}
		ReadDir(dir, q)(yield)
	}
}

func spool(dir string, r io.Reader) error {
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the log's archive: %w", err)
		}
		name := path.Base(h.Name)
		if _, ok := parseName(name); !ok || h.Typeflag != tar.TypeReg {
			continue
		}
		if err := spoolFile(filepath.Join(dir, name), tr); err != nil {
			return err
		}
	}
}

func spoolFile(name string, r io.Reader) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}

// TailOffset returns the offset at which the last n lines of the log in dir begin. A last line
// without its newline is a line. It reads the newest files only, as many as it takes.
func TailOffset(dir string, n int64) (int64, error) {
	files, err := list(dir)
	if err != nil {
		return 0, err
	}
	found := tail{want: n, complete: true}
	for i := len(files) - 1; i >= 0; i-- {
		lines, start, err := fileLines(dir, files[i], n+1)
		if err != nil {
			return 0, err
		}
		if off, ok := found.file(lines, start); ok {
			return off, nil
		}
	}
	return found.oldest, nil
}

// lineEnds are the offsets after the last newlines of a file, and the end of its data.
type lineEnds struct {
	ends []int64
	end  int64
}

// tail counts lines from the end of a log backwards.
type tail struct {
	want     int64
	complete bool // no data has been seen yet
	oldest   int64
}

// file takes one file's line ends, newest file first, and returns the offset when it is found.
func (t *tail) file(l lineEnds, start int64) (int64, bool) {
	t.oldest = start
	for i := len(l.ends) - 1; i >= 0; i-- {
		if t.complete && l.ends[i] == l.end {
			t.complete = false // the newline that ends the last line begins no further one
			continue
		}
		t.complete = false
		if t.want--; t.want == 0 {
			return l.ends[i], true
		}
	}
	if l.end > start {
		t.complete = false
	}
	return 0, false
}

func fileLines(dir string, f file, keep int64) (lineEnds, int64, error) {
	c := &Cursor{dir: dir, only: true}
	defer c.Close()
	l := lineEnds{end: f.start}
	if err := c.open(f); err != nil {
		return l, f.start, err
	}
	for {
		r, err := c.Next()
		if errors.Is(err, io.EOF) {
			return l, f.start, nil
		}
		if err != nil {
			return l, f.start, err
		}
		l.end = r.Next()
		l.ends = appendLineEnds(l.ends, r, int(keep))
	}
}

// appendLineEnds adds the offsets after r's newlines and keeps the last ones only.
func appendLineEnds(ends []int64, r Record, keep int) []int64 {
	for i := 0; ; {
		j := bytes.IndexByte(r.Data[i:], '\n')
		if j < 0 {
			break
		}
		i += j + 1
		ends = append(ends, r.Offset+int64(i))
	}
	if len(ends) > 2*keep {
		ends = append(ends[:0], ends[len(ends)-keep:]...)
	}
	return ends
}
