package wire

import "io"

// ChunkSize is the most that one message of a byte stream carries.
const ChunkSize = 256 << 10

// Send reads r to its end and hands its bytes on in chunks. The slice is reused after send returns.
func Send(r io.Reader, send func([]byte) error) error {
	buf := make([]byte, ChunkSize)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if serr := send(buf[:n]); serr != nil {
				return &SendError{serr}
			}
		}
		// Not errors.Is: an error that wraps io.EOF is a stream that broke, not one that ended.
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// SendError tells a failure of the receiving side from one of the reader.
type SendError struct{ Err error }

func (e *SendError) Error() string { return e.Err.Error() }
func (e *SendError) Unwrap() error { return e.Err }

// Write hands p on in chunks.
func Write(p []byte, send func([]byte) error) (int, error) {
	done := 0
	for done < len(p) {
		end := min(done+ChunkSize, len(p))
		if err := send(p[done:end]); err != nil {
			return done, err
		}
		done = end
	}
	return done, nil
}

// Reader reads the bytes of messages.
type Reader struct {
	recv func() ([]byte, error)
	rest []byte
	err  error
}

// NewReader makes a Reader; recv returns the data of the next message, io.EOF at the end.
func NewReader(recv func() ([]byte, error)) *Reader { return &Reader{recv: recv} }

// Read reads from one message; an error stays.
func (r *Reader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		r.rest, r.err = r.recv()
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// WriteTo hands whole messages on, without a copy of its own.
func (r *Reader) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for {
		if len(r.rest) > 0 {
			n, err := w.Write(r.rest)
			total += int64(n)
			r.rest = r.rest[n:]
			if err != nil {
				return total, err
			}
		}
		if r.err != nil {
			if r.err == io.EOF { //nolint:errorlint // one that wraps io.EOF is a stream that broke
				return total, nil
			}
			return total, r.err
		}
		r.rest, r.err = r.recv()
	}
}
