// Package wiretest gives tests a real connection, as a plugin has it: a unix socket, TLS with
// certificates made for the purpose, the connection's settings.
package wiretest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/openvic/vic/sdk/handover"
	"github.com/openvic/vic/sdk/internal/wire"
)

// Memory serves what register registers and connects to it in memory.
func Memory(t testing.TB, register func(grpc.ServiceRegistrar)) *grpc.ClientConn {
	t.Helper()
	l := bufconn.Listen(1 << 20)
	dial := func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }
	return connect(t, register, l, insecure.NewCredentials(), insecure.NewCredentials(),
		"passthrough:memory", grpc.WithContextDialer(dial))
}

// TLS serves what register registers and connects to it as the host does to a plugin.
func TLS(t testing.TB, register func(grpc.ServiceRegistrar)) *grpc.ClientConn {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	cert, pool := certificate(t)
	server := credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool,
	})
	client := credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{cert}, RootCAs: pool, ServerName: "localhost",
	})
	return connect(t, register, l, server, client, "unix:"+path)
}

// Handover is Memory between partners that hand descriptors over.
func Handover(t testing.TB, register func(grpc.ServiceRegistrar)) grpc.ClientConnInterface {
	t.Helper()
	receiver, file, err := handover.Pair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = receiver.Close() })
	sender, err := handover.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	for !receiver.Ready() {
		time.Sleep(time.Millisecond)
	}
	l := bufconn.Listen(1 << 20)
	dial := func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }
	s := grpc.NewServer(append(wire.ServerOptions(), grpc.ChainStreamInterceptor(sender.Interceptor))...)
	conn := serve(t, s, register, l, "passthrough:memory", grpc.WithContextDialer(dial),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	return bound{conn, receiver}
}

// bound takes part in handover as the host does.
type bound struct {
	*grpc.ClientConn
	receiver *handover.Receiver
}

func (b bound) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return b.ClientConn.NewStream(handover.Bind(ctx, opts, b.receiver), desc, method, opts...)
}

func connect(t testing.TB, register func(grpc.ServiceRegistrar), l net.Listener,
	server, client credentials.TransportCredentials, target string, opts ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	s := grpc.NewServer(append(wire.ServerOptions(), grpc.Creds(server))...)
	return serve(t, s, register, l, target, append(opts, grpc.WithTransportCredentials(client))...)
}

func serve(t testing.TB, s *grpc.Server, register func(grpc.ServiceRegistrar), l net.Listener, target string, opts ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	register(s)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.Serve(l)
	}()
	conn, err := grpc.NewClient(target, append(opts, wire.DialOptions()...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		s.Stop()
		<-served
	})
	return conn
}

func certificate(t testing.TB) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}
