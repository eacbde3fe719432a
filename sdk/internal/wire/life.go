package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/openvic/vic/sdk/errdef"
)

// The two sides of a long stream: the plugin says something at least every Heartbeat, and the host gives
// up after Silence.
const (
	Heartbeat = 5 * time.Second
	Silence   = time.Minute
)

// Outbound is a plugin's side of a stream of messages: one at a time, and none after one that failed.
type Outbound struct {
	mu   sync.Mutex // held while sending
	sent time.Time
	err  error // the first; it stays
}

// Do runs f, which sends, unless something failed before.
func (o *Outbound) Do(f func() error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		o.err = f()
		o.sent = time.Now()
	}
	return o.err
}

// Beats runs f, which sends a sign of life, whenever nothing was sent for that long, until stop is called
// or ctx ends. A send that is under way is life enough.
func (o *Outbound) Beats(ctx context.Context, every time.Duration, f func() error) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if !o.mu.TryLock() {
				continue
			}
			if o.err == nil && time.Since(o.sent) >= every {
				o.err = f()
				o.sent = time.Now()
			}
			o.mu.Unlock()
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// Inbound is the host's side of a stream. Open it before the stream, open the stream with Context, and
// Close it in the end.
type Inbound struct {
	ctx     context.Context
	cancel  context.CancelCauseFunc
	silence time.Duration
	max     int
}

// NewInbound makes one for a stream whose messages have at most max bytes.
func NewInbound(ctx context.Context, silence time.Duration, max int) *Inbound {
	ctx, cancel := context.WithCancelCause(ctx)
	return &Inbound{ctx: ctx, cancel: cancel, silence: silence, max: max}
}

// Context is the stream's.
func (i *Inbound) Context() context.Context { return i.ctx }

// Options are the stream's.
func (i *Inbound) Options() grpc.CallOption { return grpc.MaxCallRecvMsgSize(i.max) }

// Close ends the stream.
func (i *Inbound) Close() { i.cancel(nil) }

// Stop ends the stream because of err: Receive returns it.
func (i *Inbound) Stop(err error) { i.cancel(&stopped{err}) }

// stopped is the cause of a stream's end that this side decided.
type stopped struct{ why error }

func (s *stopped) Error() string { return s.why.Error() }

// Receive runs recv, which receives one message, and gives its error a class. io.EOF is the end of the
// stream. errdef.ErrUnavailable: the plugin said nothing for too long.
func (i *Inbound) Receive(stream grpc.ClientStream, recv func() error) error {
	quiet := time.AfterFunc(i.silence, func() {
		i.Stop(fmt.Errorf("the plugin has said nothing for %v: %w", i.silence, errdef.ErrUnavailable))
	})
	err := recv()
	quiet.Stop()
	var ours *stopped
	switch {
	case err == nil || err == io.EOF: //nolint:errorlint // the end of the stream itself
		return err
	case errors.As(context.Cause(i.ctx), &ours):
		return ours.why
	}
	return Error(err, stream.Trailer(), i.max)
}
