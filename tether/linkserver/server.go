package linkserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/guest/cork"
	"github.com/openvic/vic/sdk/guest/linkv1"
	"github.com/openvic/vic/sdk/guest/outlog"
	"github.com/openvic/vic/tether/output"
	"github.com/openvic/vic/tether/supervisor"
	"github.com/openvic/vic/tether/task"
	"github.com/openvic/vic/tether/usage"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Machine is what the link gives access to.
type Machine interface {
	// Task returns a task by its exec ID, the container's own for the empty one;
	// errdef.ErrNotFound.
	Task(execID string) (*task.Task, error)
	// Exec starts a further process; a second call with the same ID changes nothing.
	Exec(ctx context.Context, execID string, p guest.Process, discard bool) (pid int, err error)
	// Spaces returns the views of the container's files; errdef.ErrConflict if its disks could not be
	// mounted.
	Spaces() (Spaces, error)
	// Configure puts other networks, hosts, DNS servers and firewalls into effect.
	Configure(ctx context.Context, n guest.NetworkConfig) error
	// Shutdown syncs the disks and powers the machine off some time after it has returned.
	Shutdown()
	// Supervisor is the container's process over its restarts.
	Supervisor() *supervisor.Supervisor
	// Usage reads what the container uses.
	Usage() *usage.Reader
	// Limits changes the container's limits.
	Limits() Limits
}

// Limits bounds a container; 0 is no bound.
type Limits interface {
	LimitMemory(bytes int64) error
	LimitCPU(nano int64) error
	LimitPids(n int64) error
}

// Server serves the link protocol. It has one connection at a time, whose calls run at once, each in a
// goroutine of its own; calls of a connection that broke may still run beside those of the next. So all that
// Machine gives is for concurrent use, and Server itself keeps only two counters.
type Server struct {
	linkv1.UnimplementedLinkServer
	ID      string
	BootID  string
	Version string
	Machine Machine
	Log     *slog.Logger

	last atomic.Int64 // Unix nanoseconds of the last call's end
	busy atomic.Int64 // calls in progress
}

var _ linkv1.LinkServer = (*Server)(nil)

// Sizes of the transport: large, since an emulated CPU pays by the piece.
const (
	window     = 4 << 20
	bufferSize = 128 << 10
	maxMessage = 8 << 20
)

// When the core is asked whether it is still there, and how long it may take to answer.
const (
	pingAfter = 5 * time.Second
	pingWait  = 15 * time.Second
)

// handshakeWait is how long the core may leave a connection unused.
const handshakeWait = 10 * time.Minute

// Serve dials and serves until ctx ends.
func (s *Server) Serve(ctx context.Context, dial Dialer, id guest.Identity) error {
	conf, err := TLSConfig(id)
	if err != nil {
		return err
	}
	g := grpc.NewServer(
		grpc.Creds(credentials.NewTLS(conf)),
		grpc.InitialWindowSize(window), grpc.InitialConnWindowSize(window),
		grpc.WriteBufferSize(bufferSize), grpc.ReadBufferSize(bufferSize),
		grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage),
		// The handshake begins when the core wants the link, which may be long after the driver took
		// the connection. A peer that is gone is noticed by the kernel (see control).
		grpc.ConnectionTimeout(handshakeWait),
		// The kernel notices a host that was reset. This is for one whose kernel answers while its process
		// hangs; a process that is slow because the host is busy keeps its link.
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: pingAfter, Timeout: pingWait}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}),
		grpc.ChainUnaryInterceptor(s.unary), grpc.ChainStreamInterceptor(s.stream),
	)
	linkv1.RegisterLinkServer(g, s)
	stop := context.AfterFunc(ctx, g.Stop)
	defer stop()
	err = g.Serve(cork.Listener(newListener(ctx, dial, s.ID, s.Log)))
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// Idle is how long no call has been in progress; very long if there was none yet.
func (s *Server) Idle() time.Duration {
	if s.busy.Load() > 0 {
		return 0
	}
	return time.Since(time.Unix(0, s.last.Load()))
}

func (s *Server) unary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	s.busy.Add(1)
	defer s.done()
	res, err := next(ctx, req)
	return res, toStatus(err)
}

func (s *Server) stream(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	s.busy.Add(1)
	defer s.done()
	return toStatus(next(srv, ss))
}

func (s *Server) done() {
	s.last.Store(time.Now().UnixNano())
	s.busy.Add(-1)
}

func toStatus(err error) error {
	var gap *task.GapError
	if errors.As(err, &gap) {
		return status.Error(codes.OutOfRange, gap.Error())
	}
	return errdef.ToGRPC(err)
}

// Hello implements linkv1.LinkServer.
func (s *Server) Hello(context.Context, *linkv1.HelloRequest) (*linkv1.HelloResponse, error) {
	t, err := s.Machine.Task("")
	if err != nil {
		return nil, err
	}
	// Read before the task: who is told of a state is never told of an older process.
	st, _ := s.state()
	running, pid, exit, _ := t.State()
	res := &linkv1.HelloResponse{Id: s.ID, Version: s.Version, BootId: s.BootID, Running: running, Pid: int64(pid),
		Started: timestamp(exit.Started), OutputStart: t.OutputStart(), State: st}
	if t.Output() != nil {
		res.OutputEnd = t.Output().End()
	}
	if st.Phase == linkv1.ContainerState_PHASE_ENDED {
		res.Exit = exitStatus(t, s.Machine.Supervisor().Exit())
	}
	return res, nil
}

// Wait implements linkv1.LinkServer.
func (s *Server) Wait(ctx context.Context, req *linkv1.WaitRequest) (*linkv1.WaitResponse, error) {
	t, err := s.Machine.Task(req.ExecId)
	if err != nil {
		return nil, err
	}
	wait := t.Wait
	if req.ExecId == "" {
		wait = s.Machine.Supervisor().Wait // the end for good
	}
	exit, err := wait(ctx)
	if err != nil {
		return nil, err
	}
	return &linkv1.WaitResponse{Exit: exitStatus(t, exit)}, nil
}

// Signal implements linkv1.LinkServer.
func (s *Server) Signal(ctx context.Context, req *linkv1.SignalRequest) (*linkv1.SignalResponse, error) {
	if req.ExecId == "" {
		return &linkv1.SignalResponse{}, s.Machine.Supervisor().Signal(ctx, int(req.Signal), req.Stop)
	}
	t, err := s.Machine.Task(req.ExecId)
	if err != nil {
		return nil, err
	}
	return &linkv1.SignalResponse{}, t.Signal(ctx, int(req.Signal))
}

// Resize implements linkv1.LinkServer.
func (s *Server) Resize(_ context.Context, req *linkv1.ResizeRequest) (*linkv1.ResizeResponse, error) {
	t, err := s.Machine.Task(req.ExecId)
	if err != nil {
		return nil, err
	}
	return &linkv1.ResizeResponse{}, t.Resize(uint16(req.Width), uint16(req.Height))
}

// Output implements linkv1.LinkServer.
func (s *Server) Output(req *linkv1.OutputRequest, stream grpc.ServerStreamingServer[linkv1.OutputChunk]) error {
	t, err := s.Machine.Task(req.ExecId)
	if err != nil || t.Output() == nil {
		return err
	}
	o := output.Options{Follow: req.Follow, Attached: req.Attached, FromEnd: req.Offset < 0 && req.TailLines <= 0}
	o.Offset, o.TailLines = max(req.Offset, 0), req.TailLines
	if req.Since != nil {
		o.Since = req.Since.AsTime()
	}
	r, err := t.Output().NewReader(o)
	if err != nil {
		return err
	}
	defer r.Close()
	for {
		rec, err := r.Next(stream.Context())
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.Send(chunk(rec)); err != nil {
			return err
		}
	}
}

func chunk(r outlog.Record) *linkv1.OutputChunk {
	return &linkv1.OutputChunk{Offset: r.Offset, Next: r.Next(), Stream: linkv1.Stream(r.Stream),
		Time: timestamppb.New(r.Time), Data: r.Data}
}

// WriteStdin implements linkv1.LinkServer.
func (s *Server) WriteStdin(ctx context.Context, req *linkv1.WriteStdinRequest) (*linkv1.WriteStdinResponse, error) {
	t, err := s.Machine.Task(req.ExecId)
	if err != nil {
		return nil, err
	}
	pos, err := t.WriteStdin(ctx, req.Offset, req.Data, req.Close)
	if err != nil {
		return nil, err
	}
	return &linkv1.WriteStdinResponse{Offset: pos}, nil
}

// Exec implements linkv1.LinkServer.
func (s *Server) Exec(ctx context.Context, req *linkv1.ExecRequest) (*linkv1.ExecResponse, error) {
	p := guest.Process{Args: req.Args, Env: req.Env, Dir: req.Dir, User: req.User, TTY: req.Tty, Stdin: req.Stdin,
		Width: uint16(req.Width), Height: uint16(req.Height),
		Privileged: req.Privileged}
	pid, err := s.Machine.Exec(ctx, req.ExecId, p, req.DiscardOutput)
	if err != nil {
		return nil, err
	}
	return &linkv1.ExecResponse{Pid: int64(pid)}, nil
}

// Configure implements linkv1.LinkServer.
func (s *Server) Configure(ctx context.Context, req *linkv1.ConfigureRequest) (*linkv1.ConfigureResponse, error) {
	var n guest.NetworkConfig
	if err := json.Unmarshal(req.Config, &n); err != nil {
		return nil, fmt.Errorf("network configuration: %w: %w", errdef.ErrInvalid, err)
	}
	return &linkv1.ConfigureResponse{}, s.Machine.Configure(ctx, n)
}

// Shutdown implements linkv1.LinkServer.
func (s *Server) Shutdown(context.Context, *linkv1.ShutdownRequest) (*linkv1.ShutdownResponse, error) {
	s.Machine.Shutdown()
	return &linkv1.ShutdownResponse{}, nil
}

func exitStatus(t *task.Task, e guest.Exit) *linkv1.ExitStatus {
	st := &linkv1.ExitStatus{Code: e.Code, Oom: e.OOM, Error: e.Error, Started: timestamp(e.Started), Finished: timestamp(e.Finished)}
	if t.Output() != nil {
		st.OutputEnd = t.Output().End()
	}
	return st
}

func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
