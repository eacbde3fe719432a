package link

import (
	"context"
	"errors"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest/linkv1"
)

// maxWrite bounds one WriteStdin.
const maxWrite = 1 << 20

// Stdin is the input of one process. Several clients may write to it at once; each write goes in whole, for
// turn is held over all calls of one write. It guards the two fields below.
type Stdin struct {
	link   *Link
	execID string
	turn   chan struct{} // holds one token: the right to write
	pos    int64         // bytes that the process has been given
	known  bool          // pos is the tether's position
}

// Stdin returns the input of a process of this link. Take one per process and share it: it counts
// the bytes. untouched says that nobody has written to the process before.
func (l *Link) Stdin(execID string, untouched bool) *Stdin {
	s := &Stdin{link: l, execID: execID, turn: make(chan struct{}, 1), known: untouched}
	s.turn <- struct{}{}
	return s
}

// Write hands p to the process and returns when it is in its pipe. ErrConflict or ErrNotFound when
// the process has ended or closed its input.
func (s *Stdin) Write(ctx context.Context, p []byte) error {
	return s.write(ctx, p, false)
}

// Close ends the input.
func (s *Stdin) Close(ctx context.Context) error {
	return s.write(ctx, nil, true)
}

func (s *Stdin) write(ctx context.Context, p []byte, end bool) error {
	select {
	case <-s.turn:
		defer func() { s.turn <- struct{}{} }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if !s.known { // another vicd may have written before
		if err := s.send(ctx, nil, false); err != nil {
			return err
		}
	}
	for len(p) > maxWrite {
		if err := s.send(ctx, p[:maxWrite], false); err != nil {
			return err
		}
		p = p[maxWrite:]
	}
	if len(p) == 0 && !end {
		return nil
	}
	return s.send(ctx, p, end)
}

// send makes one call, again after a broken link: the offset keeps bytes from being taken twice.
func (s *Stdin) send(ctx context.Context, p []byte, end bool) error {
	err := s.link.call(ctx, func() error {
		r, err := s.link.client.WriteStdin(ctx, &linkv1.WriteStdinRequest{ExecId: s.execID, Offset: s.pos, Data: p, Close: end})
		if err != nil {
			return err
		}
		s.pos, s.known = r.GetOffset(), true
		return nil
	})
	if err != nil {
		s.known = false // a part of it may have been taken
	}
	return err
}

// Ended says whether an error of Write means that the process does not read any more.
func Ended(err error) bool {
	return errors.Is(err, errdef.ErrConflict) || errors.Is(err, errdef.ErrNotFound)
}
