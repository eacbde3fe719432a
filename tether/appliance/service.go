package appliance

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/tether/spawn"
	"golang.org/x/sys/unix"
)

// Restart times of a service that ends.
const (
	firstRestart = 100 * time.Millisecond
	maxRestart   = 30 * time.Second
	// steady is how long a service has to run for its next restart to be quick again.
	steady = time.Minute
)

// supervisor keeps one service running. Its run is in a goroutine of its own; change and signal come from the
// one that follows the configuration and from the end of the machine. report is called from run, from the
// reader of the notify socket and, with mu held, from change: it must not call back.
type supervisor struct {
	service guest.Service
	reaper  *spawn.Reaper
	log     *slog.Logger
	runDir  string // for the notify socket
	logDir  string
	console *os.File
	// report is told of each change of the service's state and of its STATUS.
	report func(name, state, status string)
	first  time.Duration // firstRestart but for tests

	syslog *syslog // may be nil

	mu   sync.Mutex     // guards service's arguments and environment, and proc; held over a start
	proc *spawn.Process // nil while none runs: its ID is then no longer ours to signal
}

// run starts the service, again and again, until ctx ends.
func (s *supervisor) run(ctx context.Context) {
	wait := s.first
	for ctx.Err() == nil {
		began := time.Now()
		state, err := s.once(ctx)
		if err != nil {
			s.log.Error("service could not be started", "service", s.service.Name, "err", err)
			state = "failed: " + err.Error()
		}
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > steady {
			wait = s.first
		}
		s.log.Warn("service ended", "service", s.service.Name, "state", state, "again", wait)
		s.report(s.service.Name, state, "")
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
		wait = min(2*wait, maxRestart)
	}
}

// once runs the service to its end and returns how it ended.
func (s *supervisor) once(ctx context.Context) (string, error) {
	n, err := listenNotify(filepath.Join(s.runDir, s.service.Name+".notify"))
	if err != nil {
		return "", err
	}
	defer n.close()
	out, err := openServiceLog(filepath.Join(s.logDir, s.service.Name+".log"), s.console)
	if err != nil {
		return "", err
	}
	defer out.close()
	out.syslog, out.name = s.syslog, s.service.Name
	p, err := s.start(n.path)
	if err != nil {
		return "", err
	}
	s.report(s.service.Name, "running", "")
	go n.read(func(n notice) {
		state := ""
		switch {
		case n.ready:
			state = "ready"
		case n.failed:
			state = "reload failed: " + n.status
		}
		s.report(s.service.Name, state, n.status)
	})
	copied := out.copy(p.Stdout)
	stop := context.AfterFunc(ctx, func() { s.signal(unix.SIGTERM) })
	defer stop()
	ws := <-p.Ended
	s.mu.Lock()
	s.proc = nil
	s.mu.Unlock()
	// Children that outlive the service may hold its output open.
	spawn.EndOutput(p.Stdout)
	<-copied
	spawn.Drain(p.Stdout, func(rest []byte) { _, _ = out.Write(rest) })
	p.Stdout.Close()
	if ws.Signaled() {
		return fmt.Sprintf("killed by signal %d", ws.Signal()), nil
	}
	return fmt.Sprintf("exited %d", ws.ExitStatus()), nil
}

// start starts the program, as its definition is now.
func (s *supervisor) start(notify string) (*spawn.Process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	env := append([]string{"PATH=" + spawn.DefaultPath, "HOME=/root", "NOTIFY_SOCKET=" + notify}, goDebug(processor())...)
	env = append(env, s.service.Env...)
	p, err := spawn.StartService(s.reaper, s.service.Args, env)
	if err == nil {
		s.proc = p
	}
	return p, err
}

// change gives the service its new definition, or, if that is the same, tells it that files have
// changed. A service that is not running finds both when it starts.
func (s *supervisor) change(to guest.Service, files bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	same := slices.Equal(s.service.Args, to.Args) && slices.Equal(s.service.Env, to.Env)
	s.service.Args, s.service.Env = to.Args, to.Env
	if s.proc == nil || (same && !files) {
		return
	}
	if s.report(to.Name, "reloading", ""); same {
		// The program alone: what it has started is its to tell.
		unix.Kill(s.proc.PID, unix.SIGHUP)
		return
	}
	unix.Kill(-s.proc.PID, unix.SIGTERM)
}

// signal sends a signal to the service and its children.
func (s *supervisor) signal(sig unix.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc != nil {
		unix.Kill(-s.proc.PID, sig)
	}
}
