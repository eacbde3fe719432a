package sshd

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
)

func newKey(t *testing.T) ssh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// rig is a server on loopback.
type rig struct {
	t    *testing.T
	addr string
	host ssh.Signer
	end  context.CancelFunc
	done chan error
}

func serve(t *testing.T, c guest.SSH) *rig {
	t.Helper()
	r := &rig{t: t, host: newKey(t), done: make(chan error, 1)}
	c.Name = "vch1"
	s, err := New(c, r.host, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = l.Addr().String()
	var ctx context.Context
	ctx, r.end = context.WithCancel(context.Background())
	go func() { r.done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		r.end()
		if err := <-r.done; err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *rig) dial(user string, auth ...ssh.AuthMethod) (*ssh.Client, error) {
	return ssh.Dial("tcp", r.addr, &ssh.ClientConfig{User: user, Auth: auth, HostKeyCallback: ssh.FixedHostKey(r.host.PublicKey()), Timeout: 10 * time.Second})
}

func (r *rig) session(c *ssh.Client) *ssh.Session {
	r.t.Helper()
	s, err := c.NewSession()
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

func line(k ssh.Signer) string { return string(ssh.MarshalAuthorizedKey(k.PublicKey())) }

func TestWhoIsLetIn(t *testing.T) {
	mine, other := newKey(t), newKey(t)
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	keys := serve(t, guest.SSH{AuthorizedKeys: []string{line(mine)}})
	both := serve(t, guest.SSH{AuthorizedKeys: []string{line(mine)}, PasswordHash: string(hash)})
	for _, c := range []struct {
		name string
		r    *rig
		user string
		auth ssh.AuthMethod
		in   bool
	}{
		{"key", keys, "root", ssh.PublicKeys(mine), true},
		{"key of somebody else", keys, "root", ssh.PublicKeys(other), false},
		{"another user", keys, "admin", ssh.PublicKeys(mine), false},
		{"password where there is none", keys, "root", ssh.Password(""), false},
		{"key beside a password", both, "root", ssh.PublicKeys(mine), true},
		{"password", both, "root", ssh.Password("secret"), true},
		{"wrong password", both, "root", ssh.Password("Secret"), false},
		{"nothing", both, "root", ssh.Password(""), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			client, err := c.r.dial(c.user, c.auth)
			if (err == nil) != c.in {
				t.Errorf("%v", err)
			}
			if err == nil {
				client.Close()
			}
		})
	}
	for _, bad := range []guest.SSH{{}, {AuthorizedKeys: []string{"ssh-ed25519 nonsense"}}} {
		if _, err := New(bad, mine, slog.Default()); !errors.Is(err, errdef.ErrInvalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestCommandsAndShells(t *testing.T) {
	mine := newKey(t)
	r := serve(t, guest.SSH{AuthorizedKeys: []string{line(mine)}})
	c, err := r.dial("root", ssh.PublicKeys(mine))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s := r.session(c)
	var out, errs bytes.Buffer
	s.Stdin, s.Stdout, s.Stderr = strings.NewReader("of stdin\n"), &out, &errs
	var exit *ssh.ExitError
	if err := s.Run("cat; echo $USER; echo no >&2; exit 7"); !errors.As(err, &exit) || exit.ExitStatus() != 7 || out.String() != "of stdin\nroot\n" ||
		errs.String() != "no\n" {
		t.Errorf("%v, %q, %q", err, out.String(), errs.String())
	}
	if b, err := r.session(c).Output("kill -9 $$"); !errors.As(err, &exit) || exit.ExitStatus() != 137 {
		t.Errorf("killed: %v %q", err, b)
	}
	s = r.session(c)
	if err := s.RequestPty("vt100", 24, 80, nil); err != nil {
		t.Fatal(err)
	}
	out.Reset()
	s.Stdout = &out
	in, err := s.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Shell(); err != nil {
		t.Fatal(err)
	}
	if err := s.WindowChange(33, 99); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(in, "stty size; test -t 0 && echo $TERM; exit 3")
	if err := s.Wait(); !errors.As(err, &exit) || exit.ExitStatus() != 3 || !strings.Contains(out.String(), "33 99") ||
		!strings.Contains(out.String(), "\nvt100") {
		t.Errorf("%v %q", err, out.String())
	}
	if _, err := c.Dial("tcp", r.addr); err == nil {
		t.Error("forwards connections")
	}
	if err := r.session(c).RequestSubsystem("sftp"); err == nil {
		t.Error("has subsystems")
	}
}

// What was started ends with the client, and with the server.
func TestNothingOutlivesTheConnection(t *testing.T) {
	mine := newKey(t)
	r := serve(t, guest.SSH{AuthorizedKeys: []string{line(mine)}})
	byClient, byServer := func(c *ssh.Client) { c.Close() }, func(*ssh.Client) { r.end() }
	for _, c := range []struct {
		name     string
		terminal bool
		end      func(*ssh.Client)
	}{{"client", false, byClient}, {"client on a terminal", true, byClient}, {"server", true, byServer}} {
		client, err := r.dial("root", ssh.PublicKeys(mine))
		if err != nil {
			t.Fatal(err)
		}
		s := r.session(client)
		if c.terminal {
			if err := s.RequestPty("vt100", 24, 80, nil); err != nil {
				t.Fatal(err)
			}
		}
		out, err := s.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start("echo $$; trap '' HUP TERM; while :; do sleep 1; done"); err != nil {
			t.Fatal(err)
		}
		var pid int
		if _, err := fmt.Fscan(out, &pid); err != nil {
			t.Fatal(err)
		}
		c.end(client)
		_, _ = io.Copy(io.Discard, out)
		if !ends(t, pid) {
			t.Fatalf("%s: the command goes on", c.name)
		}
		client.Close()
	}
}

// ends waits for the end of a process, a minute at most.
func ends(t *testing.T, pid int) bool {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return true
	}
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(time.Minute/time.Millisecond))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		return n == 1
	}
}
