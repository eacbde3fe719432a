package link

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/guest/linkv1"
)

// Hello is what a tether says of itself.
type Hello struct {
	ID      string
	BootID  string
	Running bool
	Exit    *guest.Exit // set when the process has ended
	Started time.Time
	// The container's output of this boot lies between these offsets.
	OutputStart, OutputEnd int64
	Pid                    int
	// State is nil if the tether is older than the states.
	State *State
}

// Exec is a further process in a container.
type Exec struct {
	ID            string
	Process       guest.Process
	DiscardOutput bool
}

// Stream says where a chunk of output came from.
type Stream int

// The streams.
const (
	Stdout Stream = 1
	Stderr Stream = 2
)

// Chunk is a piece of output.
type Chunk struct {
	Next   int64 // offset of what follows
	Stream Stream
	Time   time.Time
	Data   []byte
}

// OutputRequest asks for output; see linkv1.OutputRequest.
type OutputRequest struct {
	ExecID    string
	Offset    int64 // -1: from the present end
	Follow    bool
	TailLines int64
	Since     time.Time
	Attached  bool
}

// Hello waits for a connection and asks who is there.
func (l *Link) Hello(ctx context.Context) (Hello, error) {
	var h Hello
	err := l.call(ctx, func() error {
		r, err := l.client.Hello(ctx, &linkv1.HelloRequest{})
		if err != nil {
			return err
		}
		h = Hello{ID: r.GetId(), BootID: r.GetBootId(), Running: r.GetRunning(), Exit: toExit(r.GetExit()),
			Started: toTime(r.GetStarted()), OutputStart: r.GetOutputStart(), OutputEnd: r.GetOutputEnd(), Pid: int(r.GetPid()), State: toState(r.GetState())}
		return nil
	})
	return h, err
}

// Wait returns when the process has ended; execID "" is the container's own.
func (l *Link) Wait(ctx context.Context, execID string) (guest.Exit, error) {
	var e guest.Exit
	err := l.call(ctx, func() error {
		r, err := l.client.Wait(ctx, &linkv1.WaitRequest{ExecId: execID})
		if err == nil && r.GetExit() != nil {
			e = *toExit(r.GetExit())
		}
		return err
	})
	return e, err
}

// Signal sends a signal; ErrNotFound or ErrConflict if there is no such process any more.
func (l *Link) Signal(ctx context.Context, execID string, signal int) error {
	return l.call(ctx, func() error {
		_, err := l.client.Signal(ctx, &linkv1.SignalRequest{ExecId: execID, Signal: int32(signal)})
		return err
	})
}

// Resize sets the terminal's size.
func (l *Link) Resize(ctx context.Context, execID string, width, height uint32) error {
	return l.call(ctx, func() error {
		_, err := l.client.Resize(ctx, &linkv1.ResizeRequest{ExecId: execID, Width: width, Height: height})
		return err
	})
}

// Exec starts a process and returns its pid.
func (l *Link) Exec(ctx context.Context, x Exec) (int, error) {
	var pid int
	p := x.Process
	err := l.call(ctx, func() error {
		r, err := l.client.Exec(ctx, &linkv1.ExecRequest{ExecId: x.ID, Args: p.Args, Env: p.Env, Dir: p.Dir, User: p.User,
			Tty: p.TTY, Stdin: p.Stdin, Width: uint32(p.Width), Height: uint32(p.Height), DiscardOutput: x.DiscardOutput, Privileged: p.Privileged})
		pid = int(r.GetPid())
		return err
	})
	return pid, err
}

// Configure puts other networks, hosts and DNS servers into effect in the guest.
func (l *Link) Configure(ctx context.Context, n guest.NetworkConfig) error {
	b, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("link to %s: %w", l.id, err)
	}
	return l.call(ctx, func() error {
		_, err := l.client.Configure(ctx, &linkv1.ConfigureRequest{Config: b})
		return err
	})
}

// Shutdown has the VM power itself off. It is tried once: the answer may be lost.
func (l *Link) Shutdown(ctx context.Context) error {
	_, err := l.client.Shutdown(ctx, &linkv1.ShutdownRequest{})
	return l.class(ctx, err)
}

// Output calls fn with every piece of output in order, once, over as many connections as it takes.
func (l *Link) Output(ctx context.Context, req OutputRequest, fn func(Chunk) error) error {
	if err := l.Place(ctx, &req); err != nil {
		return err
	}
	return l.call(ctx, func() error { return l.output(ctx, &req, fn) })
}

// Place makes "from the present end" of a request a fixed place. Whatever is written from then on is in the output, also
// if the link breaks before the first byte; Output does it by itself for who need not know when.
func (l *Link) Place(ctx context.Context, req *OutputRequest) error {
	if req.Offset >= 0 || req.TailLines != 0 {
		return nil
	}
	h, err := l.Hello(ctx)
	if err == nil {
		req.Offset = h.OutputEnd
	}
	return err
}

// handlerError is an error of the caller's function, as against one of the link.
type handlerError struct{ err error }

func (h handlerError) Error() string { return h.err.Error() }

// output reads one stream and moves req to what is still wanted.
func (l *Link) output(ctx context.Context, req *OutputRequest, fn func(Chunk) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	msg := &linkv1.OutputRequest{ExecId: req.ExecID, Offset: req.Offset, Follow: req.Follow, TailLines: req.TailLines, Attached: req.Attached}
	if !req.Since.IsZero() {
		msg.Since = timestamppb.New(req.Since)
	}
	s, err := l.client.Output(ctx, msg)
	if err != nil {
		return err
	}
	for {
		c, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if req.TailLines == 0 && c.GetNext() <= req.Offset && len(c.GetData()) > 0 {
			continue // seen before the link broke
		}
		req.TailLines, req.Offset = 0, c.GetNext()
		if err := fn(Chunk{Next: c.GetNext(), Stream: Stream(c.GetStream()), Time: toTime(c.GetTime()), Data: c.GetData()}); err != nil {
			return handlerError{err}
		}
	}
}

// call runs fn until it ends with something else than a broken link. The next try waits for a connection at
// gRPC (WaitForReady); the pause before it is for a tether that takes connections and refuses calls, as one
// that is going down does.
func (l *Link) call(ctx context.Context, fn func() error) error {
	for delay := time.Millisecond; ; delay = min(2*delay, 500*time.Millisecond) {
		err := fn()
		var h handlerError
		if errors.As(err, &h) {
			return h.err
		}
		if status.Code(err) != codes.Unavailable || l.ctx.Err() != nil {
			return l.class(ctx, err)
		}
		select {
		case <-time.After(delay): // the next try waits for a connection by itself
		case <-ctx.Done():
			return ctx.Err()
		case <-l.ctx.Done():
			return l.class(ctx, err)
		}
	}
}

func (l *Link) class(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("link to %s: %w", l.id, ctx.Err())
	case l.ctx.Err() != nil:
		return fmt.Errorf("link to %s is closed: %w", l.id, errdef.ErrUnavailable)
	}
	return errdef.FromGRPC(err)
}

func toExit(s *linkv1.ExitStatus) *guest.Exit {
	if s == nil {
		return nil
	}
	return &guest.Exit{Code: s.GetCode(), OOM: s.GetOom(), Error: s.GetError(), Started: toTime(s.GetStarted()), Finished: toTime(s.GetFinished())}
}

func toTime(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}
