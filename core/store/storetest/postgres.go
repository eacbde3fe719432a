package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// server is a PostgreSQL cluster of this process: it dies with it.
type server struct {
	dir    string
	cmd    *exec.Cmd
	serve  func() error // starts the server and waits until it answers
	exited chan error   // one value for each start: how it ended
	output bytes.Buffer
	number atomic.Int64
}

// started is the cluster of this test process. Tests of one process share it, each with databases of its own.
var started *server

var cluster = sync.OnceValues(func() (*server, error) {
	s, err := start("off")
	started = s
	return s, err
})

// programs finds PostgreSQL's, which Debian keeps out of PATH. The newest version is taken.
func programs() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err == nil && len(found) > 0 {
		slices.Sort(found)
		return filepath.Dir(found[len(found)-1]), nil
	}
	path, err := exec.LookPath("postgres")
	if err != nil {
		return "", fmt.Errorf("postgres: %w", os.ErrNotExist)
	}
	return filepath.Dir(path), nil
}

// identity is whom the server runs as: it refuses to be root.
func identity() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

// Server starts a PostgreSQL that writes to the disk as one in use does, for measurements, and names an empty database of it.
// The caller calls stop, which removes it. parent is the process whose children are all of the server's.
func Server(ctx context.Context) (url string, parent int, stop func() error, err error) {
	s, err := start("on")
	if err != nil {
		return "", 0, nil, err
	}
	name, err := s.create(ctx)
	if err != nil {
		return "", 0, nil, errors.Join(err, s.stop())
	}
	return s.url(name), s.cmd.Process.Pid, s.stop, nil
}

// start makes a cluster and its server. fsync is the server's setting of that name.
func start(fsync string) (*server, error) {
	bin, err := programs()
	if err != nil {
		return nil, &os.PathError{Op: "find", Path: "postgres", Err: os.ErrNotExist}
	}
	as, err := identity()
	if err != nil {
		return nil, err
	}
	s := &server{exited: make(chan error, 1)}
	if s.dir, err = os.MkdirTemp("", "pg"); err != nil {
		return nil, err
	}
	if as != nil {
		if err := os.Chown(s.dir, int(as.Uid), int(as.Gid)); err != nil {
			return nil, err
		}
	}
	data := filepath.Join(s.dir, "data")
	// A locale whose order is not that of the bytes, so that a list that needs it and does not say so shows.
	initdb := s.command(as, filepath.Join(bin, "initdb"), "-D", data, "-U", "vic", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8",
		"--locale-provider=icu", "--icu-locale=en", "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	s.serve = func() error {
		s.output.Reset()
		// Without fsync a crash of the server loses what it had not written, as it does with it; only a crash of the
		// machine would lose more.
		s.cmd = s.command(as, filepath.Join(bin, "postgres"), "-D", data, "-k", s.dir, "-c", "listen_addresses=", "-c", "fsync="+fsync)
		s.cmd.Stdout, s.cmd.Stderr = &s.output, &s.output
		if err := s.launch(); err != nil {
			return err
		}
		return s.ready()
	}
	return s, s.serve()
}

// halt ends the server and its connections as an administrator does.
func (s *server) halt() error {
	if err := s.cmd.Process.Signal(syscall.SIGINT); err != nil {
		return err
	}
	return <-s.exited
}

// crash ends the server at once, without writing what it has in memory, and starts it again.
func (s *server) crash() error {
	if err := s.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		return err
	}
	<-s.exited //nolint:errcheck // however it says that it ended
	return s.serve()
}

func (s *server) command(as *syscall.Credential, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as, Pdeathsig: syscall.SIGINT}
	return cmd
}

// launch starts the server from a thread that lives as long as it: the kernel signals a child when its parent's thread
// ends.
func (s *server) launch() error {
	begun := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := s.cmd.Start()
		begun <- err
		if err == nil {
			s.exited <- s.cmd.Wait()
		}
	}()
	return <-begun
}

// ready waits until the server answers.
func (s *server) ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		c, err := pgx.Connect(ctx, s.url("postgres"))
		if err == nil {
			return c.Close(ctx)
		}
		select {
		case e := <-s.exited:
			return fmt.Errorf("PostgreSQL ended: %w\n%s", e, s.output.Bytes())
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL did not come up: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *server) url(database string) string {
	return "postgres://vic@/" + database + "?host=" + s.dir
}

func (s *server) create(ctx context.Context) (string, error) {
	name := fmt.Sprintf("t%d", s.number.Add(1))
	return name, s.exec(ctx, "CREATE DATABASE "+name)
}

func (s *server) drop(ctx context.Context, name string) error {
	return s.exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)")
}

func (s *server) exec(ctx context.Context, statement string) error {
	c, err := pgx.Connect(ctx, s.url("postgres"))
	if err != nil {
		return err
	}
	_, err = c.Exec(ctx, statement)
	return errors.Join(err, c.Close(ctx))
}

// stop shuts the cluster down and removes it.
func (s *server) stop() error {
	var err error
	if s.cmd != nil && s.cmd.Process != nil {
		if err = s.cmd.Process.Signal(syscall.SIGINT); err == nil {
			err = <-s.exited
		}
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}
