package engine

import (
	"errors"
	"io"
	"sync"
)

// maxInput bounds what is collected of a client's input.
const maxInput = 1 << 20

// errQuit says that an input is not wanted any more.
var errQuit = errors.New("input is not wanted")

// input is a bounded buffer between a client that writes and a process that is far away.
type input struct {
	mu   sync.Mutex
	cond *sync.Cond
	buf  []byte
	err  error // why there is no more after buf
}

func newInput() *input {
	q := &input{}
	q.cond = sync.NewCond(&q.mu)
	return q
}

// fill reads until the end of r, and waits while the buffer is full.
func (q *input) fill(r io.Reader) {
	p := make([]byte, 64<<10)
	for {
		n, err := r.Read(p)
		if !q.put(p[:n], err) {
			return
		}
	}
}

// put adds bytes; false when nothing more is wanted.
func (q *input) put(p []byte, err error) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.buf)+len(p) > maxInput && q.err == nil {
		q.cond.Wait()
	}
	if q.err != nil {
		return false
	}
	q.buf, q.err = append(q.buf, p...), err
	q.cond.Broadcast()
	return err == nil
}

// take returns all that is there, waiting for some; without bytes, why there are none.
func (q *input) take() ([]byte, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.buf) == 0 && q.err == nil {
		q.cond.Wait()
	}
	if errors.Is(q.err, errQuit) {
		return nil, errQuit
	}
	p := q.buf
	q.buf = nil
	q.cond.Broadcast()
	if len(p) > 0 {
		return p, nil
	}
	return nil, q.err
}

// quit ends both sides; a read of the client that is under way ends with its connection.
func (q *input) quit() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.err = errQuit
	q.cond.Broadcast()
}
