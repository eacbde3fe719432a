package service

import (
	"context"
	"crypto/sha1" // vSphere's people compare SHA-1 thumbprints
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/certs"
)

// Listen says where and how to listen.
type Listen struct {
	Address   string // host:port
	Cert, Key string // files; none: a certificate is made that vouches for itself
	Plain     bool   // no TLS; on loopback alone
	// Drain is how long tasks may go on after the end was asked for, before they are interrupted.
	Drain time.Duration
}

// Time limits of connections. Answers as a whole have none: progress is followed for as long as it takes.
const (
	headerTime = 10 * time.Second
	bodyTime   = 30 * time.Second
	idleTime   = 2 * time.Minute
	endTime    = 10 * time.Second
)

// Run serves until ctx ends; then running tasks are interrupted, and have cleaned up when it returns.
// It says on out where it listens, and with which certificate.
func (s *Service) Run(ctx context.Context, l Listen, out io.Writer) error {
	cfg, err := l.tls(out)
	if err != nil {
		return err
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", l.Address)
	if err != nil {
		return advice.Wrap(invalid("--listen %s: %v", l.Address, err), "give --listen an address of this machine and a port that is free")
	}
	scheme := "http"
	if cfg != nil {
		ln, scheme = tls.NewListener(ln, cfg), "https"
	}
	srv := &http.Server{Handler: s, ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: 32 << 10,
		ErrorLog: slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug)}
	fmt.Fprintf(out, "serving on %s://%s; the document is at /openapi.json\n", scheme, ln.Addr())
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ln) }()
	select {
	case err := <-ended:
		s.Interrupt()
		return errors.Join(err, s.Wait(context.WithoutCancel(ctx)))
	case <-ctx.Done():
	}
	return s.end(context.WithoutCancel(ctx), srv, l.Drain)
}

// end lets the tasks end, then the connections.
func (s *Service) end(ctx context.Context, srv *http.Server, drain time.Duration) error {
	s.Drain()
	s.cfg.Log.Info("service is ending; tasks that run may go on for a while", "seconds", drain.Seconds())
	if drain > 0 {
		patience, cancel := context.WithTimeout(ctx, drain)
		defer cancel()
		_ = s.Wait(patience) // those that are left are interrupted
	}
	s.Interrupt()
	err := s.Wait(ctx)
	short, cancel := context.WithTimeout(ctx, endTime)
	defer cancel()
	if srv.Shutdown(short) != nil {
		return errors.Join(err, srv.Close())
	}
	return err
}

// tls makes the server's side of TLS; nil for none.
func (l Listen) tls(out io.Writer) (*tls.Config, error) {
	host, _, err := net.SplitHostPort(l.Address)
	if err != nil {
		return nil, advice.Wrap(invalid("--listen %q: not an address", l.Address), "give it as host:port")
	}
	if l.Plain {
		if a, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !a.IsLoopback()) {
			return nil, advice.Wrap(invalid("--plain-http: %s is not on this machine alone", l.Address),
				"listen on 127.0.0.1, or leave --plain-http away: passwords of vSphere pass here")
		}
		return nil, nil
	}
	pair, err := l.pair(host)
	if err != nil {
		return nil, err
	}
	cert, err := tls.X509KeyPair(pair.Cert, pair.Key)
	if err != nil {
		return nil, advice.Wrap(invalid("--cert %s, --key %s: %v", l.Cert, l.Key, err), "give a PEM certificate with its chain, and its key")
	}
	if l.Cert == "" {
		fmt.Fprintf(out, "a certificate was made for this run; give your own with --cert and --key\n%s", pair.Cert)
	}
	fmt.Fprintf(out, "thumbprint of the certificate (SHA-256): %s\n", hexOf(sha256.Sum256(cert.Certificate[0])))
	fmt.Fprintf(out, "thumbprint of the certificate (SHA-1):   %s\n", hexOf(sha1.Sum(cert.Certificate[0])))
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, nil
}

func (l Listen) pair(host string) (certs.Pair, error) {
	if (l.Cert == "") != (l.Key == "") {
		return certs.Pair{}, advice.Wrap(invalid("--cert and --key belong together"), "give both, or neither")
	}
	if l.Cert == "" {
		return certs.SelfSigned(names(host), time.Now())
	}
	var p certs.Pair
	var err error
	if p.Cert, err = os.ReadFile(l.Cert); err != nil {
		return p, advice.Wrap(invalid("--cert: %v", err), "give it a PEM file")
	}
	if p.Key, err = os.ReadFile(l.Key); err != nil {
		return p, advice.Wrap(invalid("--key: %v", err), "give it a PEM file")
	}
	return p, nil
}

// names are those that the service is asked by.
func names(host string) []string {
	out := []string{"localhost"}
	if a, err := netip.ParseAddr(host); err != nil && host != "" && host != "localhost" || err == nil && !a.IsUnspecified() {
		out = append([]string{host}, out...)
	}
	if own, err := os.Hostname(); err == nil && own != "" {
		out = append(out, own)
	}
	return out
}

func hexOf[T [20]byte | [32]byte](sum T) string {
	var words []string
	for i := range len(sum) {
		words = append(words, fmt.Sprintf("%02X", sum[i]))
	}
	return strings.Join(words, ":")
}
