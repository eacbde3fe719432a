// Package link is the host's side of the link: the gRPC connection from the core to one tether, over
// bytes that the compute driver carries, with mutual TLS end to end. It hides that a link breaks: a
// call goes on over the next connection, output and input continue at their offsets.
package link

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"github.com/openvic/vic/sdk/guest/cork"
	"github.com/openvic/vic/sdk/guest/linkv1"
)

// Flow control windows: large, so that bulk output is not held back by round trips.
const (
	streamWindow = 4 << 20
	connWindow   = 8 << 20
	ioBuffer     = 128 << 10
)

// handshakePatience bounds the TLS handshake on a new connection.
const handshakePatience = 15 * time.Second

// Connector is the part of a compute driver that the link needs.
type Connector interface {
	Connect(ctx context.Context, id string) (io.ReadWriteCloser, error)
}

// Dialer opens links.
type Dialer struct {
	connector Connector
	authority *Authority
}

// NewDialer returns a Dialer over a compute driver's connections.
func NewDialer(c Connector, a *Authority) *Dialer {
	return &Dialer{connector: c, authority: a}
}

// Link is the link to one container's tether. Its methods may be called at the same time. gRPC owns the
// connection: it makes one after the other as they break, and each call that was under way is made again by
// Link.call, but for those that say otherwise. Nothing of the link is left when ctx ends.
type Link struct {
	id     string
	conn   *grpc.ClientConn
	client linkv1.LinkClient
	ctx    context.Context // the life of the link: Dial's, until Close
	close  context.CancelFunc
}

// Dial returns a link at once; the connection is made in the background, and again whenever it
// breaks, until Close or the end of ctx.
func (d *Dialer) Dial(ctx context.Context, id string) (*Link, error) {
	ctx, cancel := context.WithCancel(ctx)
	conn, err := grpc.NewClient("passthrough:///"+id,
		grpc.WithContextDialer(func(dctx context.Context, _ string) (net.Conn, error) {
			return d.connect(dctx, ctx, id)
		}),
		// TLS is made in connect: its peer name is the container, not an address.
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: time.Minute,
		}),
		grpc.WithIdleTimeout(0),
		// A VM that is gone without a word (a host that failed) is noticed; the tether does the same.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 10 * time.Second, PermitWithoutStream: true}),
		grpc.WithInitialWindowSize(streamWindow),
		grpc.WithInitialConnWindowSize(connWindow),
		grpc.WithReadBufferSize(ioBuffer),
		grpc.WithWriteBufferSize(ioBuffer),
		grpc.WithDisableServiceConfig(),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true), grpc.MaxCallRecvMsgSize(16<<20)),
	)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("link to %s: %w", id, err)
	}
	conn.Connect()
	context.AfterFunc(ctx, func() { _ = conn.Close() })
	return &Link{id: id, conn: conn, client: linkv1.NewLinkClient(conn), ctx: ctx, close: cancel}, nil
}

// Close ends the link; calls in flight fail.
func (l *Link) Close() {
	l.close()
}

// connect makes one connection. It ends early when either context ends.
func (d *Dialer) connect(ctx, life context.Context, id string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(life, cancel)
	defer stop()
	raw, err := d.connector.Connect(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("link to %s: %w", id, err)
	}
	conn := tls.Client(cork.Conn(&buffered{Conn: asConn(raw), r: bufio.NewReaderSize(raw, ioBuffer)}), d.authority.clientTLS(id))
	hctx, done := context.WithTimeout(ctx, handshakePatience) // the peer may have died unseen
	defer done()
	if err := conn.HandshakeContext(hctx); err != nil {
		_ = raw.Close()
		return nil, fmt.Errorf("link to %s: %w", id, err)
	}
	return conn, nil
}

// buffered takes what has come in one read. TLS alone makes two of each record.
type buffered struct {
	net.Conn
	r *bufio.Reader
}

func (b *buffered) Read(p []byte) (int, error) { return b.r.Read(p) }

// asConn makes a net.Conn of a byte stream. Streams without deadlines are closed instead: the
// handshake's context and gRPC both close the connection to interrupt it.
func asConn(rw io.ReadWriteCloser) net.Conn {
	if c, ok := rw.(net.Conn); ok {
		return c
	}
	return streamConn{rw}
}

type streamConn struct{ io.ReadWriteCloser }

func (streamConn) LocalAddr() net.Addr              { return addr{} }
func (streamConn) RemoteAddr() net.Addr             { return addr{} }
func (streamConn) SetDeadline(time.Time) error      { return nil }
func (streamConn) SetReadDeadline(time.Time) error  { return nil }
func (streamConn) SetWriteDeadline(time.Time) error { return nil }

type addr struct{}

func (addr) Network() string { return "link" }
func (addr) String() string  { return "tether" }
