package appliance

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
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

// supervisor keeps one service running.
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

	mu   sync.Mutex
	proc *spawn.Process
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
	env := append([]string{"PATH=" + spawn.DefaultPath, "HOME=/root", "NOTIFY_SOCKET=" + n.path}, s.service.Env...)
	p, err := spawn.StartService(s.reaper, s.service.Args, env)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	s.proc = p
	s.mu.Unlock()
	s.report(s.service.Name, "running", "")
	go n.read(func(ready bool, status string) {
		state := ""
		if ready {
			state = "ready"
		}
		s.report(s.service.Name, state, status)
	})
	copied := out.copy(p.Stdout)
	stop := context.AfterFunc(ctx, func() { s.signal(unix.SIGTERM) })
	defer stop()
	ws := <-p.Ended
	s.mu.Lock()
	s.proc = nil
	s.mu.Unlock()
	// Children that outlive the service may hold its output open.
	p.Stdout.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	<-copied
	p.Stdout.Close()
	if ws.Signaled() {
		return fmt.Sprintf("killed by signal %d", ws.Signal()), nil
	}
	return fmt.Sprintf("exited %d", ws.ExitStatus()), nil
}

// signal sends a signal to the service and its children.
func (s *supervisor) signal(sig unix.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc != nil {
		unix.Kill(-s.proc.PID, sig)
	}
}
