package hub

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/hub/registries"
	"github.com/openvic/vic/core/hub/replication"
	"github.com/openvic/vic/core/hub/token"
	"github.com/openvic/vic/core/plugin"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/sdk/outbound"
	"github.com/openvic/vic/sdk/replicate"
	"github.com/openvic/vic/sdk/secret"
)

// inner is the registry as the hub's own plugins reach it: at a port of the loopback address, with a certificate of this
// process's, whatever names and addresses the hub has for others. What they show there are tokens of the hub's tasks.
type inner struct {
	listener net.Listener
	ca       []byte // PEM
	handler  http.Handler
}

// innerLife is how long the certificate is good for: longer than a process lives.
const innerLife = 10 * 365 * 24 * time.Hour

// openInner makes the listener and its certificate.
func openInner(handler http.Handler) (*inner, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{SerialNumber: big.NewInt(now.UnixNano()), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(innerLife),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true, IsCA: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for plugins: %w", err)
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{{Certificate: [][]byte{raw}, PrivateKey: key}}}
	return &inner{listener: tls.NewListener(l, conf), ca: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}), handler: handler}, nil
}

// run serves until ctx ends.
func (i *inner) run(ctx context.Context) error {
	server := &http.Server{Handler: i.handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() }) // plugins end with the hub
	defer stop()
	err := server.Serve(i.listener)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// tokenLife is how long the token of a task is good for at most; it ends with the task in any case.
const tokenLife = 13 * time.Hour

// local is this hub for a task that copies from one of its repositories, or to it.
func (h *Hub) local(ctx context.Context, task int64, repository string, push bool) (replicate.Endpoint, error) {
	access := token.Access{Type: token.TypeRepository, Name: repository, Actions: []string{token.ActionPull}}
	if push {
		access.Actions = append(access.Actions, token.ActionPush)
	}
	raw, _, err := h.issuer.Issue(ctx, token.Claims{Subject: strconv.FormatInt(task, 10), Kind: token.Job, Access: []token.Access{access}}, tokenLife)
	return replicate.Endpoint{URL: "https://" + h.inner.listener.Addr().String(), Secret: secret.Text(raw), CA: h.inner.ca,
		Options: map[string]string{outbound.OptionAllow: "127.0.0.1"}}, err
}

// tasks is authz.Jobs: the tasks that show tokens.
type tasks struct{ h *Hub }

// Under implements authz.Jobs.
func (t tasks) Under(ctx context.Context, task string) (string, bool, error) {
	n, err := strconv.ParseInt(task, 10, 64)
	if err != nil {
		return "", false, nil
	}
	var kind, status string
	err = t.h.db.QueryRow(ctx, `SELECT COALESCE(MAX(kind), ''), COALESCE(MAX(status), '') FROM job_task WHERE id = $1`, n).Scan(&kind, &status)
	return replication.Caller, kind == replication.Kind && status == string(jobs.Running), err
}

// replicators are the plugins that replicate, in their order.
func (h *Hub) replicators() (all []replication.Driver) {
	for _, p := range plugin.Role(h.plugins, replicate.Plugin()) {
		all = append(all, replication.Driver{Name: p.Plugin, Driver: p.Driver, Capabilities: p.Capabilities})
	}
	return all
}

// openReplication makes what copies to other registries and from them. It is there before the queue, which asks it for its kind.
func (h *Hub) openReplication() {
	h.replication = replication.New(replication.Options{DB: h.db, Sealer: h.sealer, Queue: func() *jobs.Queue { return h.jobs },
		Registry: func() *registry.Registry { return h.registry }, Registries: func() *registries.Registries { return h.registries },
		Labels: h.labels, Hooks: h.hooks, Outbound: h.outbound, Drivers: h.replicators,
		Local: h.local, Host: h.host(), Parallel: h.cfg.Replication.Parallel})
}
