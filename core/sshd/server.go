package sshd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/ssh"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
)

// Bounds of what a client may do.
const (
	maxClients     = 16
	maxTries       = 4 // of authentication, on one connection
	loginPatience  = 30 * time.Second
	refusalPause   = 2 * time.Second // before a wrong password is answered
	loginName      = "root"
	serverVersion  = "SSH-2.0-vic"
	keepAlivePause = time.Minute
)

// Server lets in those who hold one of its keys, or know its password.
type Server struct {
	config guest.SSH
	ssh    *ssh.ServerConfig
	log    *slog.Logger
	slots  chan struct{}
	shell  string
	wg     sync.WaitGroup
}

// New makes a server with a host key. ErrInvalid if nobody could ever log in, or a key cannot be read.
func New(c guest.SSH, host ssh.Signer, log *slog.Logger) (*Server, error) {
	var known [][]byte
	for _, line := range c.AuthorizedKeys {
		k, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil {
			return nil, fmt.Errorf("authorized key %q: %w: %w", line, errdef.ErrInvalid, err)
		}
		known = append(known, k.Marshal())
	}
	if len(known) == 0 && c.PasswordHash == "" {
		return nil, fmt.Errorf("neither a key nor a password lets anybody in: %w", errdef.ErrInvalid)
	}
	s := &Server{config: c, log: log, slots: make(chan struct{}, maxClients), shell: "/bin/sh"}
	s.ssh = &ssh.ServerConfig{MaxAuthTries: maxTries, ServerVersion: serverVersion,
		PublicKeyCallback: func(m ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			for _, k := range known {
				if m.User() == loginName && bytes.Equal(k, key.Marshal()) {
					return &ssh.Permissions{Extensions: map[string]string{"by": "key " + ssh.FingerprintSHA256(key)}}, nil
				}
			}
			return nil, errdef.ErrDenied
		}}
	if c.PasswordHash != "" {
		s.ssh.PasswordCallback = s.password
	}
	s.ssh.AddHostKey(host)
	return s, nil
}

func (s *Server) password(m ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
	err := bcrypt.CompareHashAndPassword([]byte(s.config.PasswordHash), password)
	if err != nil || m.User() != loginName {
		s.log.Warn("ssh: wrong password", "user", m.User(), "address", m.RemoteAddr().String())
		time.Sleep(refusalPause)
		return nil, errdef.ErrDenied
	}
	return &ssh.Permissions{Extensions: map[string]string{"by": "password"}}, nil
}

// Serve takes connections until ctx ends; then it ends those that are open, and what runs on them.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	s.log.Info("ssh: open", "address", l.Addr().String(), "keys", len(s.config.AuthorizedKeys), "password", s.config.PasswordHash != "")
	defer s.wg.Wait()
	for {
		c, err := l.Accept()
		if ctx.Err() != nil {
			s.log.Info("ssh: closed")
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		select {
		case s.slots <- struct{}{}:
		default:
			s.log.Warn("ssh: too many clients", "address", c.RemoteAddr().String())
			_ = c.Close()
			continue
		}
		s.wg.Go(func() {
			defer func() { <-s.slots }()
			s.client(ctx, c)
		})
	}
}

// client serves one connection to its end.
func (s *Server) client(ctx context.Context, c net.Conn) {
	defer c.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	_ = c.SetDeadline(time.Now().Add(loginPatience))
	conn, channels, requests, err := ssh.NewServerConn(c, s.ssh)
	if err != nil {
		s.log.Warn("ssh: login refused", "address", c.RemoteAddr().String(), "err", err)
		return
	}
	_ = c.SetDeadline(time.Time{})
	log := s.log.With("address", c.RemoteAddr().String())
	log.Warn("ssh: login", "user", conn.User(), "by", conn.Permissions.Extensions["by"])
	defer log.Info("ssh: end")
	go ssh.DiscardRequests(requests)
	go keepAlive(ctx, conn, cancel)
	var sessions sync.WaitGroup
	for n := range channels {
		if n.ChannelType() != "session" {
			_ = n.Reject(ssh.Prohibited, "a shell and commands are all that there is")
			continue
		}
		ch, reqs, err := n.Accept()
		if err != nil {
			break
		}
		sessions.Go(func() { s.session(ctx, ch, reqs, log) })
	}
	cancel()
	sessions.Wait()
}

// keepAlive ends the connection of a client that answers no more.
func keepAlive(ctx context.Context, conn ssh.Conn, end context.CancelFunc) {
	tick := time.NewTicker(keepAlivePause)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		answered := make(chan error, 1)
		go func() {
			_, _, err := conn.SendRequest("keepalive@openssh.com", true, nil)
			answered <- err
		}()
		select {
		case err := <-answered:
			if err == nil || errors.Is(err, context.Canceled) {
				continue
			}
		case <-time.After(loginPatience):
		case <-ctx.Done():
		}
		end()
		return
	}
}
