package rpci

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
)

// Stream is the transport over a byte stream, such as a virtio-serial port. While no host end is
// connected reads of such a port end at once; the stream goes on when the host is back.
//
// One goroutine reads; it gives answers to the one Call that holds mu and events to whoever waits for them.
// Calls may be made at once: they take turns.
type Stream struct {
	rw      io.ReadWriter
	mu      sync.Mutex // one command at a time: held from the question to its answer
	answers chan string
	broken  chan struct{} // a message for each time that the host went away
	halt    chan struct{}
	once    sync.Once
	resumed chan struct{}
	// Guarded by mu.
	unsure bool   // an answer may come to a question that nobody waits for
	marks  uint64 // that resync has sent
}

var _ Transport = (*Stream)(nil)

// NewStream reads from rw until ctx ends or rw is closed.
func NewStream(ctx context.Context, rw io.ReadWriter) *Stream {
	s := &Stream{rw: rw, answers: make(chan string, 1), broken: make(chan struct{}, 1), halt: make(chan struct{}), resumed: make(chan struct{}, 1)}
	go s.read(ctx)
	return s
}

// Halt implements Transport.
func (s *Stream) Halt() <-chan struct{} { return s.halt }

// Resumed implements Transport.
func (s *Stream) Resumed() <-chan struct{} { return s.resumed }

func (s *Stream) read(ctx context.Context) {
	r := bufio.NewReaderSize(s.rw, 32<<10)
	wait := time.Millisecond
	for ctx.Err() == nil {
		line, err := r.ReadString('\n')
		if err == nil {
			wait = time.Millisecond
			s.line(ctx, strings.TrimRight(line, "\r\n"))
			continue
		}
		if !errors.Is(err, io.EOF) {
			return
		}
		// The port has no means to wait for its host other than to look again.
		select {
		case s.broken <- struct{}{}:
		default:
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
		wait = min(2*wait, 200*time.Millisecond)
	}
}

func (s *Stream) line(ctx context.Context, line string) {
	if event, ok := strings.CutPrefix(line, "tclo "); ok {
		switch name, _, _ := strings.Cut(event, " "); name {
		case haltRequest:
			s.once.Do(func() { close(s.halt) })
		case resumeRequest:
			notify(s.resumed)
		}
		return
	}
	select {
	case s.answers <- line:
	case <-ctx.Done():
	case <-time.After(time.Second): // nobody asked
	}
}

// Call implements Transport. A command whose answer may have been lost with the host's end is sent
// again: all commands may be repeated.
func (s *Stream) Call(ctx context.Context, command string) (string, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unsure {
		if err := s.resync(ctx); err != nil {
			return "", false, err
		}
	}
	line, err := s.exchange(ctx, command)
	if err != nil {
		return "", false, err
	}
	return parseAnswer(line)
}

// exchange sends a command and returns the next answer. If it was sent twice, or the answer was not
// waited for, there may be one more answer than there are questions: then it is unsure.
func (s *Stream) exchange(ctx context.Context, command string) (string, error) {
	select {
	case <-s.broken:
	default:
	}
	for {
		if _, err := io.WriteString(s.rw, command+"\n"); err != nil {
			return "", fmt.Errorf("RPCI port: %w: %w", errdef.ErrUnavailable, err)
		}
		line, broken, err := s.next(ctx)
		if err != nil || !broken {
			return line, err
		}
		s.unsure = true
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// next waits for an answer, or the end of the host's end.
func (s *Stream) next(ctx context.Context) (line string, broken bool, err error) {
	select {
	case line = <-s.answers:
		return line, false, nil
	case <-s.broken:
		return "", true, nil
	case <-ctx.Done():
		s.unsure = true
		return "", false, fmt.Errorf("RPCI port: %w", context.Cause(ctx))
	}
}

// resync skips answers until the one to a question that was never asked before.
func (s *Stream) resync(ctx context.Context) error {
	for s.unsure {
		s.unsure = false
		s.marks++
		mark := fmt.Sprint(s.marks)
		line, err := s.exchange(ctx, "info-set "+guest.Prefix+guest.KeySync+" "+mark)
		if err == nil {
			line, err = s.exchange(ctx, "info-get "+guest.Prefix+guest.KeySync)
		}
		for err == nil && line != "1 "+mark {
			var broken bool
			if line, broken, err = s.next(ctx); broken {
				s.unsure = true
				break
			}
		}
		if err != nil {
			s.unsure = true
			return err
		}
	}
	return nil
}
