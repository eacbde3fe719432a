package linkserver

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/guest/linkv1"
	"github.com/openvic/vic/sdk/guest/outlog"
	"github.com/openvic/vic/sdk/guest/rootfs"
	"github.com/openvic/vic/tether/output"
	"github.com/openvic/vic/tether/spawn"
	"github.com/openvic/vic/tether/supervisor"
	"github.com/openvic/vic/tether/task"
	"github.com/openvic/vic/tether/usage"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
)

const id = "0123456789abcdef"

// patience bounds every wait: it is for a machine that has much else to do.
const patience = time.Minute

// authority issues certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{}
	a.key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	a.cert, _ = x509.ParseCertificate(der)
	return a
}

func (a *authority) issue(t *testing.T, name string) guest.Identity {
	t.Helper()
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	kb, _ := x509.MarshalECPrivateKey(key)
	block := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	return guest.Identity{CA: block("CERTIFICATE", a.cert.Raw), Cert: block("CERTIFICATE", der), Key: block("EC PRIVATE KEY", kb)}
}

// client calls the tether over a connection that the tether made.
func client(t *testing.T, c net.Conn, me guest.Identity) (linkv1.LinkClient, *grpc.ClientConn) {
	t.Helper()
	pair, err := tls.X509KeyPair([]byte(me.Cert), []byte(me.Key))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(me.CA))
	var once sync.Once
	cc, err := grpc.NewClient("passthrough:///link", grpc.WithTransportCredentials(credentials.NewTLS(
		&tls.Config{ServerName: id, RootCAs: pool, Certificates: []tls.Certificate{pair}})),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			err := errors.New("used")
			once.Do(func() { err = nil })
			return c, err
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cc.Close(); c.Close() })
	return linkv1.NewLinkClient(cc), cc
}

// machine has one task whose process is the test itself.
type machine struct {
	supervisor *supervisor.Supervisor
	usage      usage.Reader
	limits     limits
	shutdown   chan struct{}
	root       string // of its files
	configured guest.NetworkConfig
}

func (m *machine) Spaces() (Spaces, error) {
	if m.root == "" {
		return Spaces{}, errdef.ErrConflict
	}
	v := rootfs.View{Root: m.root}
	return Spaces{Container: v, Root: v}, nil
}

// limits notes what was set.
type limits struct{ memory, cpu, pids int64 }

func (l *limits) LimitMemory(n int64) error { l.memory = n; return nil }
func (l *limits) LimitCPU(n int64) error    { l.cpu = n; return nil }
func (l *limits) LimitPids(n int64) error   { l.pids = n; return nil }

func (m *machine) Supervisor() *supervisor.Supervisor { return m.supervisor }
func (m *machine) Usage() *usage.Reader               { return &m.usage }
func (m *machine) Limits() Limits                     { return &m.limits }

func (m *machine) Task(exec string) (*task.Task, error) {
	if exec != "" {
		return nil, fmt.Errorf("exec: %w", errdef.ErrNotFound)
	}
	return m.supervisor.Task(), nil
}

func (m *machine) Exec(context.Context, string, guest.Process, bool) (int, error) {
	return 0, errdef.ErrUnsupported
}

func (m *machine) Configure(_ context.Context, n guest.NetworkConfig) error {
	m.configured = n
	if len(n.Networks) == 0 {
		return fmt.Errorf("no networks: %w", errdef.ErrInvalid)
	}
	return nil
}

func (m *machine) Shutdown() { close(m.shutdown) }

// process is the far side of the task's files.
type process struct {
	stdin          *os.File
	stdout, stderr *os.File
	ended          chan unix.WaitStatus
}

func (p *process) exit(code int) {
	p.stdout.Close()
	p.stderr.Close()
	p.ended <- unix.WaitStatus(code << 8)
}

type story struct {
	t       *testing.T
	l       net.Listener
	ca      *authority
	machine *machine
	proc    *process
	started chan *process // the processes after the first
	policy  atomic.Pointer[guest.Restart]
}

// begin starts a tether's link and its process.
func begin(t *testing.T) *story {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s := &story{t: t, l: l, ca: newAuthority(t)}
	buf, err := output.Open(t.TempDir(), 0, 0, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	s.started = make(chan *process, 16)
	s.policy.Store(&guest.Restart{})
	s.machine = &machine{shutdown: make(chan struct{}), supervisor: supervisor.New(buf, supervisor.Hooks{
		Spawn: s.spawn, Started: func() {}, Kills: func() int { return 0 }, Freeze: func(bool) error { return nil },
		Policy: func(context.Context) guest.Restart { return *s.policy.Load() },
	})}
	go s.machine.supervisor.Run(t.Context(), nil)
	s.proc = <-s.started
	dial, err := NewDialer(l.Addr().String(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	srv := &Server{ID: id, BootID: "b", Version: "v", Machine: s.machine, Log: slog.New(slog.DiscardHandler)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx, dial, s.ca.issue(t, id)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

// spawn makes a process of pipes.
func (s *story) spawn() (*spawn.Process, error) {
	inR, inW, _ := os.Pipe()
	outR, outW, _ := os.Pipe()
	errR, errW, _ := os.Pipe()
	p := &process{stdin: inR, stdout: outW, stderr: errW, ended: make(chan unix.WaitStatus, 1)}
	s.started <- p
	return &spawn.Process{PID: 1 << 30, Ended: p.ended, Stdin: inW, Stdout: outR, Stderr: errR}, nil
}

// accept takes the tether's next connection, after its preface.
func (s *story) accept() net.Conn {
	s.t.Helper()
	s.l.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	c, err := s.l.Accept()
	if err != nil {
		s.t.Fatal(err)
	}
	line := make([]byte, len(guest.PrefacePrefix)+len(id)+1)
	if _, err := io.ReadFull(c, line); err != nil || string(line) != guest.PrefacePrefix+id+"\n" {
		s.t.Fatalf("preface %q, %v", line, err)
	}
	return c
}

func (s *story) connect() (linkv1.LinkClient, net.Conn) {
	s.t.Helper()
	c := s.accept()
	cl, _ := client(s.t, c, s.ca.issue(s.t, guest.HostName))
	return cl, c
}

func TestCallsOverTheLink(t *testing.T) {
	s := begin(t)
	c, _ := s.connect()
	ctx := t.Context()
	h, err := c.Hello(ctx, &linkv1.HelloRequest{})
	if err != nil || h.Id != id || !h.Running || h.BootId != "b" || h.Exit != nil {
		t.Fatal(h, err)
	}
	if _, err := c.Wait(ctx, &linkv1.WaitRequest{ExecId: "x"}); status.Code(err) != codes.NotFound {
		t.Errorf("unknown exec: %v", err)
	}
	if _, err := c.Resize(ctx, &linkv1.ResizeRequest{Width: 1, Height: 1}); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("resize without a terminal: %v", err)
	}
	if _, err := c.Signal(ctx, &linkv1.SignalRequest{Signal: 99}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("signal 99: %v", err)
	}
	s.proc.stdout.WriteString("out")
	s.proc.exit(3)
	w, err := c.Wait(ctx, &linkv1.WaitRequest{})
	if err != nil || w.Exit.Code != 3 || w.Exit.OutputEnd != 3 || w.Exit.Finished == nil {
		t.Fatal(w, err)
	}
	if _, err := c.Signal(ctx, &linkv1.SignalRequest{Signal: 15}); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("signal after the end: %v", err)
	}
	if _, err := c.Shutdown(ctx, &linkv1.ShutdownRequest{}); err != nil {
		t.Fatal(err)
	}
	<-s.machine.shutdown
}

func TestInputHasOffsets(t *testing.T) {
	s := begin(t)
	c, _ := s.connect()
	for _, w := range []struct {
		offset int64
		data   string
		close  bool
		pos    int64
		code   codes.Code
	}{
		{0, "hello ", false, 6, codes.OK},
		{0, "hello ", false, 6, codes.OK}, // sent again after a broken link
		{3, "lo world", false, 11, codes.OK},
		{20, "gap", false, 0, codes.OutOfRange},
		{11, "", true, 11, codes.OK},
		{11, "", true, 11, codes.OK},
		{11, "more", false, 0, codes.FailedPrecondition},
	} {
		r, err := c.WriteStdin(t.Context(), &linkv1.WriteStdinRequest{Offset: w.offset, Data: []byte(w.data), Close: w.close})
		if status.Code(err) != w.code || r.GetOffset() != w.pos {
			t.Errorf("%q at %d: position %d, %v", w.data, w.offset, r.GetOffset(), err)
		}
	}
	if b, err := io.ReadAll(s.proc.stdin); string(b) != "hello world" || err != nil {
		t.Fatalf("the process read %q, %v", b, err)
	}
}

func TestInputWaitsForTheProcessAndCanBeCanceled(t *testing.T) {
	s := begin(t)
	c, _ := s.connect()
	ctx, cancel := context.WithCancel(t.Context())
	data := bytes.Repeat([]byte("x"), 300<<10) // more than a pipe holds
	written := make(chan error, 1)
	go func() {
		_, err := c.WriteStdin(ctx, &linkv1.WriteStdinRequest{Data: data})
		written <- err
	}()
	if _, err := io.ReadFull(s.proc.stdin, make([]byte, 1)); err != nil { // the write is under way
		t.Fatal(err)
	}
	cancel()
	if err := <-written; status.Code(err) != codes.Canceled {
		t.Fatal(err)
	}
	go io.CopyN(io.Discard, s.proc.stdin, int64(len(data)))
	r, err := c.WriteStdin(t.Context(), &linkv1.WriteStdinRequest{Data: data})
	if err != nil || r.Offset != int64(len(data)) {
		t.Fatal(r, err)
	}
}

func TestOutputGoesOnAfterTheLinkBroke(t *testing.T) {
	s := begin(t)
	const lines, breaks = 3000, 3
	part := make(chan struct{}) // has the process write a part, all of what is left when closed
	go func() {
		for i := range lines {
			if i%(lines/2/breaks) == 0 {
				<-part
			}
			fmt.Fprintf(s.proc.stdout, "line %d\n", i)
		}
		s.proc.exit(0)
	}()
	var got bytes.Buffer
	next := int64(0)
	for n := range breaks {
		part <- struct{}{}
		c, conn := s.connect()
		if s.follow(c, conn, &got, &next, true) {
			t.Fatalf("the output ended with break %d", n+1)
		}
	}
	close(part)
	c, conn := s.connect()
	if !s.follow(c, conn, &got, &next, false) {
		t.Fatal("the output did not end")
	}
	var want bytes.Buffer
	for i := range lines {
		fmt.Fprintf(&want, "line %d\n", i)
	}
	if got.String() != want.String() {
		t.Fatalf("got %d bytes of %d", got.Len(), want.Len())
	}
}

// follow reads output from next on and, to cut it, breaks the connection after the first of it. It returns
// true at the end of the output.
func (s *story) follow(c linkv1.LinkClient, conn net.Conn, got *bytes.Buffer, next *int64, cut bool) bool {
	s.t.Helper()
	stream, err := c.Output(s.t.Context(), &linkv1.OutputRequest{Offset: *next, Follow: true, Attached: true})
	if err != nil {
		s.t.Fatal(err)
	}
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return true
		}
		if err != nil {
			return false
		}
		if m.Offset != *next || m.Stream != linkv1.Stream(outlog.Stdout) {
			s.t.Fatalf("chunk at %d, want %d", m.Offset, *next)
		}
		got.Write(m.Data)
		*next = m.Next
		if cut {
			conn.Close()
		}
	}
}

func TestOthersAreNotServed(t *testing.T) {
	s := begin(t)
	for name, me := range map[string]guest.Identity{
		"another name":      s.ca.issue(t, "somebody"),
		"another authority": newAuthority(t).issue(t, guest.HostName),
	} {
		t.Run(name, func(t *testing.T) {
			me.CA = s.ca.issue(t, "x").CA // so that it is the tether that refuses
			c, _ := client(t, s.accept(), me)
			if _, err := c.Hello(t.Context(), &linkv1.HelloRequest{}); status.Code(err) != codes.Unavailable {
				t.Fatalf("it was served: %v", err)
			}
		})
	}
	c, _ := s.connect() // the host still is
	if _, err := c.Hello(t.Context(), &linkv1.HelloRequest{}); err != nil {
		t.Fatal(err)
	}
}

func TestConfigureHandsTheNetworksOver(t *testing.T) {
	s := begin(t)
	c, _ := s.connect()
	for text, code := range map[string]codes.Code{
		`{"networks":[{"name":"front","mac":"00:50:56:00:00:01"}],"dns":{"search":["example.org"]}}`: codes.OK,
		`{}`:          codes.InvalidArgument,
		`{"networks"`: codes.InvalidArgument,
	} {
		_, err := c.Configure(t.Context(), &linkv1.ConfigureRequest{Config: []byte(text)})
		if status.Code(err) != code {
			t.Errorf("%s: %v", text, err)
		}
		if n := s.machine.configured; code == codes.OK && (n.Networks[0].Name != "front" || n.DNS.Search[0] != "example.org") {
			t.Errorf("%+v", n)
		}
	}
}
