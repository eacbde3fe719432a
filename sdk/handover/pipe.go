package handover

import (
	"fmt"
	"os"
	"syscall"
)

// GiveReader makes a pipe and gives its reading end to the host; the writing end is the caller's.
func (s *Sink) GiveReader() (*os.File, error) {
	r, w, err := newPipe()
	if err != nil {
		return nil, err
	}
	return s.giveEnd(r, w)
}

// GiveWriter is GiveReader for bytes that come from the host.
func (s *Sink) GiveWriter() (*os.File, error) {
	r, w, err := newPipe()
	if err != nil {
		return nil, err
	}
	return s.giveEnd(w, r)
}

func newPipe() (r, w *os.File, err error) {
	if r, w, err = os.Pipe(); err != nil {
		return nil, nil, fmt.Errorf("handover: %w", err)
	}
	_ = control(w, enlarge)
	return r, w, nil
}

// giveEnd gives theirs away and returns ours.
func (s *Sink) giveEnd(theirs, ours *os.File) (*os.File, error) {
	err := control(theirs, s.Give)
	_ = theirs.Close()
	if err != nil {
		_ = ours.Close()
		return nil, fmt.Errorf("handover: %w", err)
	}
	return ours, nil
}

// control runs f with the descriptor of c.
func control(c syscall.Conn, f func(fd int) error) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var ferr error
	if err := raw.Control(func(fd uintptr) { ferr = f(int(fd)) }); err != nil {
		return err
	}
	return ferr
}
