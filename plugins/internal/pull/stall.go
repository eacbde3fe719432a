package pull

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/openvic/vic/sdk/errdef"
)

const stallAfter = 60 * time.Second // without a byte

// stalling is a body whose reader does not wait for ever for a registry that sends nothing more.
type stalling struct {
	body   io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
}

func watch(ctx context.Context, body io.ReadCloser, cancel context.CancelCauseFunc) *stalling {
	gone := fmt.Errorf("the registry has sent nothing for %v: %w", stallAfter, errdef.ErrUnavailable)
	return &stalling{body: body, ctx: ctx, cancel: cancel, timer: time.AfterFunc(stallAfter, func() { cancel(gone) })}
}

// Read reads. While the caller does something else, no time counts.
func (s *stalling) Read(p []byte) (int, error) {
	s.timer.Reset(stallAfter)
	n, err := s.body.Read(p)
	s.timer.Stop()
	if err != nil && err != io.EOF { //nolint:errorlint // Read returns it as it is
		if cause := context.Cause(s.ctx); cause != nil {
			return n, cause
		}
		return n, fmt.Errorf("the registry breaks off: %w: %w", err, errdef.ErrUnavailable)
	}
	return n, err
}

// Close gives the connection back.
func (s *stalling) Close() error {
	s.timer.Stop()
	err := s.body.Close()
	s.cancel(nil)
	return err
}
