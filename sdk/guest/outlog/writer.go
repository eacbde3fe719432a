package outlog

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// The bounds that hold where Options leaves them open.
const (
	DefaultMaxSize  = 16 << 20
	DefaultMaxFiles = 5
)

// Options bounds a log.
type Options struct {
	MaxSize  int64 // bytes per file; 0 means DefaultMaxSize
	MaxFiles int   // files kept; 0 means DefaultMaxFiles
	// Release, if set, is called before a file is removed; every record in it lies below next. It
	// may wait, which holds the writer back.
	Release func(next int64)
}

// Writer appends to a log. It is not safe for concurrent use.
type Writer struct {
	dir    string
	opts   Options
	files  []file // the last one is open
	f      *os.File
	size   int64
	end    int64
	header []byte
}

// Open opens the log in dir for appending, creating the directory, and cuts off a record that a
// loss of power left incomplete.
func Open(dir string, opts Options) (*Writer, error) {
	if opts.MaxSize <= 0 {
		opts.MaxSize = DefaultMaxSize
	}
	if opts.MaxFiles <= 0 {
		opts.MaxFiles = DefaultMaxFiles
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the log: %w", err)
	}
	files, err := list(dir)
	if err != nil {
		return nil, err
	}
	w := &Writer{dir: dir, opts: opts, files: files}
	if len(files) == 0 {
		return w, w.create()
	}
	return w, w.resume()
}

// resume opens the last file at the end of its last whole record.
func (w *Writer) resume() error {
	last := w.files[len(w.files)-1]
	w.end = last.start
	c := &Cursor{dir: w.dir, only: true}
	defer c.Close()
	if err := c.open(last); err != nil {
		return err
	}
	for {
		r, err := c.Next()
		if err != nil {
			break // the end, or what is no record: both end the log here
		}
		w.end = r.Next()
	}
	w.size = c.pos
	f, err := os.OpenFile(last.path, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	if err := errors.Join(f.Truncate(w.size), seek(f, w.size)); err != nil {
		return errors.Join(fmt.Errorf("open the log: %w", err), f.Close())
	}
	w.f = f
	return nil
}

func seek(f *os.File, pos int64) error {
	_, err := f.Seek(pos, io.SeekStart)
	return err
}

func (w *Writer) create() error {
	next := file{path: filepath.Join(w.dir, fileName(w.end)), start: w.end}
	f, err := os.OpenFile(next.path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	w.f, w.size = f, 0
	w.files = append(w.files, next)
	return nil
}

// End is the offset after the last record.
func (w *Writer) End() int64 { return w.end }

// Oldest is the lowest offset that is kept.
func (w *Writer) Oldest() int64 { return w.files[0].start }

// Append writes one record and returns it. The offset advances also when writing fails: the output
// is then lost to the log, and the gap shows.
func (w *Writer) Append(s Stream, t time.Time, data []byte) (Record, error) {
	r := Record{Offset: w.end, Time: t, Stream: s, Data: data}
	w.end = r.Next()
	if err := w.rotate(r); err != nil {
		return r, err
	}
	w.header = AppendHeader(w.header[:0], r)
	if err := w.write(r); err != nil {
		// Nothing may follow half a record: a reader would stop there.
		return r, errors.Join(fmt.Errorf("write the log: %w", err), w.f.Truncate(w.size), seek(w.f, w.size))
	}
	w.size += int64(HeaderSize + len(data))
	return r, nil
}

// write makes one system call of small records, and does not copy large ones.
func (w *Writer) write(r Record) error {
	if len(r.Data) <= 4096 {
		w.header = append(w.header, r.Data...)
		_, err := w.f.Write(w.header)
		return err
	}
	if _, err := w.f.Write(w.header); err != nil {
		return err
	}
	_, err := w.f.Write(r.Data)
	return err
}

// rotate begins a new file if r would make the present one too large, and removes the oldest.
func (w *Writer) rotate(r Record) error {
	if w.f != nil && (w.size == 0 || w.size+int64(HeaderSize+len(r.Data)) <= w.opts.MaxSize) {
		return nil
	}
	if w.f != nil {
		if err := w.f.Close(); err != nil {
			return fmt.Errorf("rotate the log: %w", err)
		}
		w.f = nil
	}
	for len(w.files) >= w.opts.MaxFiles {
		next := r.Offset
		if len(w.files) > 1 {
			next = w.files[1].start
		}
		if w.opts.Release != nil {
			w.opts.Release(next)
		}
		if err := os.Remove(w.files[0].path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("rotate the log: %w", err)
		}
		w.files = w.files[1:]
	}
	end := w.end
	w.end = r.Offset
	err := w.create()
	w.end = end
	return err
}

// Close closes the log; the caller syncs the file system.
func (w *Writer) Close() error {
	if w.f == nil {
		return nil
	}
	return w.f.Close()
}
