package outlog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

const readAhead = 64 << 10

// Cursor reads the records of a log from an offset on, also while a Writer appends to it: after
// io.EOF, Next may be called again. Records that rotation has removed are left out.
type Cursor struct {
	dir  string
	only bool // do not go on to the next file
	f    *os.File
	cur  file
	pos  int64 // in the file, of the next record
	from int64 // offset wanted
	buf  []byte
	base int64 // position of buf in the file
}

// NewCursor returns a cursor whose first record holds the byte at offset, or the next one kept.
func NewCursor(dir string, offset int64) *Cursor { return &Cursor{dir: dir, from: offset} }

// Close closes the file that is open.
func (c *Cursor) Close() error {
	if c.f == nil {
		return nil
	}
	err := c.f.Close()
	c.f = nil
	return err
}

func (c *Cursor) open(f file) error {
	if err := c.Close(); err != nil {
		return err
	}
	h, err := os.Open(f.path)
	if err != nil {
		return fmt.Errorf("read the log: %w", err)
	}
	c.f, c.cur, c.pos, c.buf, c.base = h, f, 0, c.buf[:0], 0
	return nil
}

// Next returns the next record, io.EOF at the present end. The data is the caller's.
func (c *Cursor) Next() (Record, error) {
	for {
		r, err := c.next()
		if err != nil {
			return Record{}, err
		}
		if r.Next() > c.from {
			r = r.From(c.from)
			c.from = r.Next()
			return r, nil
		}
	}
}

func (c *Cursor) next() (Record, error) {
	if c.f == nil {
		if ok, err := c.advance(); !ok || err != nil {
			return Record{}, eof(err)
		}
	}
	for {
		r, err := c.read()
		if !errors.Is(err, errShort) && !errors.Is(err, ErrCorrupt) {
			return r, err
		}
		if c.only {
			return Record{}, io.EOF
		}
		// The rest of a file that has a successor will not come any more. Look once more for what
		// was written between the read and the look at the directory.
		last, lerr := c.successor()
		if lerr != nil || last == nil {
			return Record{}, eof(lerr)
		}
		if r, err = c.read(); err == nil {
			return r, nil
		}
		if err := c.open(*last); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Record{}, err
		}
	}
}

func eof(err error) error {
	if err == nil {
		return io.EOF
	}
	return err
}

// advance opens the file that holds the offset wanted, or the oldest kept after it.
func (c *Cursor) advance() (bool, error) {
	files, err := list(c.dir)
	if err != nil {
		return false, err
	}
	best := -1
	for i, f := range files {
		if best < 0 || f.start <= c.from {
			best = i
		}
	}
	if best < 0 {
		return false, nil
	}
	err = c.open(files[best])
	if errors.Is(err, fs.ErrNotExist) {
		return c.advance() // rotation was faster
	}
	return err == nil, err
}

// successor returns the file after the present one, nil if there is none yet.
func (c *Cursor) successor() (*file, error) {
	files, err := list(c.dir)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if f.start > c.cur.start {
			return &f, nil
		}
	}
	return nil, nil
}

// read decodes the record at pos.
func (c *Cursor) read() (Record, error) {
	b, err := c.window(HeaderSize)
	if err != nil {
		return Record{}, err
	}
	h, err := parseHeader(b)
	if err != nil {
		return Record{}, err
	}
	r := h.rec
	r.Data = make([]byte, h.size)
	if err := c.data(r.Data); err != nil {
		return Record{}, err
	}
	c.pos += int64(HeaderSize + h.size)
	return r, nil
}

// data fills p with what follows the header: from the buffer if it is there, else straight from
// the file.
func (c *Cursor) data(p []byte) error {
	at := c.pos + HeaderSize
	if i := at - c.base; i+int64(len(p)) <= int64(len(c.buf)) {
		copy(p, c.buf[i:])
		return nil
	}
	n, err := c.f.ReadAt(p, at)
	if n == len(p) {
		return nil
	}
	return short(err)
}

// window returns n bytes at pos from the read-ahead buffer.
func (c *Cursor) window(n int) ([]byte, error) {
	if i := c.pos - c.base; i >= 0 && i+int64(n) <= int64(len(c.buf)) {
		return c.buf[i : i+int64(n)], nil
	}
	if cap(c.buf) < readAhead {
		c.buf = make([]byte, readAhead)
	}
	got, err := c.f.ReadAt(c.buf[:readAhead], c.pos)
	c.buf, c.base = c.buf[:got], c.pos
	if got < n {
		return nil, short(err)
	}
	return c.buf[:n], nil
}

func short(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return errShort
	}
	return fmt.Errorf("read the log: %w", err)
}
