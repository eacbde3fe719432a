// Package linktest is a tether without a VM: it serves the link over any connection, with the
// identity it finds in a guest configuration, and "runs" a handful of programs (echo, cat, sleep,
// count, ...). Tests of the engine and of the Docker API stand on it.
package linktest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/guest/linkv1"
)

// Tether is one boot of a container VM.
type Tether struct {
	linkv1.UnimplementedLinkServer
	cfg    guest.Config
	bootID string
	main   *Process
	start  int64 // of this boot's output
	off    func(guest.Exit)
	tls    *tls.Config
	files  files

	mu    sync.Mutex
	execs map[string]*Process
	conns map[net.Conn]struct{}
	dead  bool
	// network is the last one that Configure was given.
	network *guest.NetworkConfig

	// Under mu: the process over its restarts.
	restarts                     int
	waits, over, stopped, paused bool
	booting                      bool
	hellos                       int
	synced                       bool
	last                         *guest.Exit
	health                       *linkv1.Health
	limits                       guest.Limits
	changed                      chan struct{}
	stop, ended, halted          chan struct{}
}

// Boot starts the container's process. off is called when the host has the VM power itself off.
func Boot(cfg guest.Config, bootID string, log *Output, off func(guest.Exit)) (*Tether, error) {
	cert, err := tls.X509KeyPair([]byte(cfg.Identity.Cert), []byte(cfg.Identity.Key))
	if err != nil {
		return nil, fmt.Errorf("tether identity: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(cfg.Identity.CA)) {
		return nil, errors.New("tether identity: no CA")
	}
	t := &Tether{cfg: cfg, bootID: bootID, off: off, execs: map[string]*Process{}, conns: map[net.Conn]struct{}{}}
	t.files.all = map[string][]byte{}
	t.tls = &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert}, ClientCAs: pool,
		ClientAuth: tls.RequireAndVerifyClientCert, VerifyConnection: func(s tls.ConnectionState) error {
			return s.PeerCertificates[0].VerifyHostname(guest.HostName)
		}}
	t.start = log.End()
	t.changed, t.stop, t.ended, t.halted = make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan struct{})
	t.main = startProcess(cfg.Process, log)
	go t.live()
	return t, nil
}

// Serve serves the link on one connection until it ends.
func (t *Tether) Serve(conn net.Conn) {
	t.mu.Lock()
	if t.dead {
		t.mu.Unlock()
		_ = conn.Close()
		return
	}
	t.conns[conn] = struct{}{}
	t.mu.Unlock()
	s := grpc.NewServer(grpc.Creds(credentials.NewTLS(t.tls)),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}))
	linkv1.RegisterLinkServer(s, t)
	l := &oneListener{conn: make(chan net.Conn, 1), closed: make(chan struct{})}
	l.conn <- &watched{Conn: conn, closed: l.close}
	_ = s.Serve(l)
	s.Stop()
	t.mu.Lock()
	delete(t.conns, conn)
	t.mu.Unlock()
}

// Break closes the present connections, as a vMotion or a dying driver does.
func (t *Tether) Break() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.conns {
		_ = c.Close()
	}
}

// Halt is the end of the power: processes and connections are gone.
func (t *Tether) Halt() {
	t.mu.Lock()
	if !t.dead {
		t.dead = true
		close(t.halted)
	}
	for _, p := range t.execs {
		p.end(137, "")
	}
	t.mu.Unlock()
	t.process0().end(137, "")
	t.Break()
}

// Running says whether the container's process runs.
func (t *Tether) Running() bool { return t.process0().running() }

// Exit is the exit record, if the process has ended.
func (t *Tether) Exit() guest.Exit { return t.process0().status() }

func (t *Tether) process(id string) (*Process, error) {
	if id == "" {
		return t.process0(), nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.execs[id]; p != nil {
		return p, nil
	}
	return nil, status.Errorf(codes.NotFound, "no exec %s", id)
}

// Hello implements the link.
func (t *Tether) Hello(context.Context, *linkv1.HelloRequest) (*linkv1.HelloResponse, error) {
	t.mu.Lock()
	t.hellos++
	t.mu.Unlock()
	st, _ := t.state()
	main := t.process0()
	running := main.running() && st.Phase != linkv1.ContainerState_PHASE_STARTING
	r := &linkv1.HelloResponse{Id: t.cfg.ID, BootId: t.bootID, Running: running, Pid: 42, State: st,
		Started: timestamppb.New(main.status().Started), OutputEnd: main.Out.End(), OutputStart: t.start}
	if st.Phase == linkv1.ContainerState_PHASE_ENDED {
		r.Exit = exitStatus(main)
	}
	return r, nil
}

// Wait implements the link.
func (t *Tether) Wait(ctx context.Context, req *linkv1.WaitRequest) (*linkv1.WaitResponse, error) {
	p, err := t.process(req.GetExecId())
	if err != nil {
		return nil, err
	}
	done := p.done
	if req.GetExecId() == "" {
		done = t.ended
	}
	select {
	case <-done:
		if req.GetExecId() == "" {
			p = t.process0()
		}
		return &linkv1.WaitResponse{Exit: exitStatus(p)}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Signal implements the link.
func (t *Tether) Signal(_ context.Context, req *linkv1.SignalRequest) (*linkv1.SignalResponse, error) {
	p, err := t.process(req.GetExecId())
	if err != nil {
		return nil, err
	}
	if req.GetStop() && t.noMore() {
		return &linkv1.SignalResponse{}, nil
	}
	if !p.running() {
		return nil, status.Error(codes.FailedPrecondition, "the process has ended")
	}
	p.signal(int(req.GetSignal()))
	return &linkv1.SignalResponse{}, nil
}

// Resize implements the link.
func (t *Tether) Resize(_ context.Context, req *linkv1.ResizeRequest) (*linkv1.ResizeResponse, error) {
	p, err := t.process(req.GetExecId())
	if err != nil {
		return nil, err
	}
	p.resize(req.GetWidth(), req.GetHeight())
	return &linkv1.ResizeResponse{}, nil
}

// Output implements the link.
func (t *Tether) Output(req *linkv1.OutputRequest, s linkv1.Link_OutputServer) error {
	p, err := t.process(req.GetExecId())
	if err != nil {
		return err
	}
	from := req.GetOffset()
	if n := req.GetTailLines(); n > 0 {
		from = p.Out.tail(n)
	} else if from < 0 {
		from = p.Out.End()
	}
	return p.Out.read(s.Context(), from, req.GetFollow(), func(r Record) error {
		if req.GetSince() != nil && r.Time.Before(req.GetSince().AsTime()) {
			return nil
		}
		return s.Send(&linkv1.OutputChunk{Offset: r.Offset, Next: r.Next, Stream: linkv1.Stream(r.Stream), Time: timestamppb.New(r.Time), Data: r.Data})
	})
}

// WriteStdin implements the link.
func (t *Tether) WriteStdin(_ context.Context, req *linkv1.WriteStdinRequest) (*linkv1.WriteStdinResponse, error) {
	p, err := t.process(req.GetExecId())
	if err != nil {
		return nil, err
	}
	if !p.running() {
		return nil, status.Error(codes.FailedPrecondition, "the process has ended")
	}
	pos, ok := p.stdin.write(req.GetOffset(), req.GetData(), req.GetClose())
	if !ok {
		return nil, status.Error(codes.OutOfRange, "a gap in the input")
	}
	return &linkv1.WriteStdinResponse{Offset: pos}, nil
}

// Exec implements the link.
func (t *Tether) Exec(_ context.Context, req *linkv1.ExecRequest) (*linkv1.ExecResponse, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.execs[req.GetExecId()] == nil {
		t.execs[req.GetExecId()] = startProcess(guest.Process{Args: req.GetArgs(), Env: req.GetEnv(), TTY: req.GetTty(), Stdin: req.GetStdin()}, NewOutput())
	}
	if req.GetArgs()[0] == "nosuch" { // an exec that has ended, not an error of the call
		return &linkv1.ExecResponse{}, nil
	}
	return &linkv1.ExecResponse{Pid: 43}, nil
}

// Configure implements the link: it remembers.
func (t *Tether) Configure(_ context.Context, req *linkv1.ConfigureRequest) (*linkv1.ConfigureResponse, error) {
	var n guest.NetworkConfig
	if err := json.Unmarshal(req.GetConfig(), &n); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.network = &n
	return &linkv1.ConfigureResponse{}, nil
}

// Network is the network configuration that is in effect.
func (t *Tether) Network() guest.NetworkConfig {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.network != nil {
		return *t.network
	}
	return t.cfg.Network()
}

// Synced says whether the host has asked for a shutdown, for which the guest writes out its disks.
func (t *Tether) Synced() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.synced
}

// Shutdown implements the link.
func (t *Tether) Shutdown(context.Context, *linkv1.ShutdownRequest) (*linkv1.ShutdownResponse, error) {
	e := t.process0().status()
	t.mu.Lock()
	t.synced = true
	t.mu.Unlock()
	go t.off(e)
	return &linkv1.ShutdownResponse{}, nil
}

func exitStatus(p *Process) *linkv1.ExitStatus {
	e := p.status()
	return &linkv1.ExitStatus{Code: e.Code, Error: e.Error, Started: timestamppb.New(e.Started), Finished: timestamppb.New(e.Finished), OutputEnd: p.Out.End()}
}

// oneListener hands out one connection and then waits for its end.
type oneListener struct {
	conn   chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *oneListener) close() { l.once.Do(func() { close(l.closed) }) }

func (l *oneListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *oneListener) Close() error   { l.close(); return nil }
func (l *oneListener) Addr() net.Addr { return &net.UnixAddr{Name: "link"} }

type watched struct {
	net.Conn
	closed func()
}

func (w *watched) Close() error { w.closed(); return w.Conn.Close() }
