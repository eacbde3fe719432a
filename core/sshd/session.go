package sshd

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/creack/pty"
	"golang.org/x/crypto/ssh"
)

// The codes of a shell for a command that could not be started, and for one that a signal ended.
const (
	exitNotFound = 127
	exitSignal   = 128
	// drain is how long output may come after the end of a command that left others behind.
	drain = 2 * time.Second
)

// session is one shell or command.
type session struct {
	ch   ssh.Channel
	cmd  *exec.Cmd // nil until it has started
	term string
	size *pty.Winsize // nil without a terminal
	tty  *os.File
}

// Messages of RFC 4254, section 6.
type (
	ptyRequest struct {
		Term                string
		Columns, Rows, X, Y uint32
		Modes               string
	}
	windowChange struct{ Columns, Rows, X, Y uint32 }
	execRequest  struct{ Command string }
	exitStatus   struct{ Status uint32 }
)

// session serves a channel until its command has ended or the client has closed it.
func (s *Server) session(ctx context.Context, ch ssh.Channel, reqs <-chan *ssh.Request, log *slog.Logger) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	v := &session{ch: ch, term: "dumb"}
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel() // before the wait: the client is gone, and with it what it has started
	for r := range reqs {
		ok := false
		switch r.Type {
		case "pty-req":
			ok = v.terminal(r.Payload)
		case "window-change":
			ok = v.resize(r.Payload)
		case "shell", "exec":
			var e execRequest
			if v.cmd != nil || r.Type == "exec" && ssh.Unmarshal(r.Payload, &e) != nil {
				break
			}
			log.Warn("ssh: command", "command", e.Command)
			v.cmd = s.command(ctx, v.term, e.Command)
			started := v.start()
			ok = true
			running.Go(func() { v.wait(started) })
		}
		if r.WantReply {
			_ = r.Reply(ok, nil)
		}
	}
}

// command is a shell, or a command of it, that ends with all that it started when ctx does.
func (s *Server) command(ctx context.Context, term, command string) *exec.Cmd {
	args := []string{"-l"}
	if command != "" {
		args = []string{"-c", command}
	}
	cmd := exec.CommandContext(ctx, s.shell, args...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/", "USER=" + loginName, "LOGNAME=" + loginName,
		"SHELL=" + s.shell, "TERM=" + term, `PS1=` + s.config.Name + `:\w# `}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = drain
	return cmd
}

func (v *session) terminal(payload []byte) bool {
	var p ptyRequest
	if v.cmd != nil || ssh.Unmarshal(payload, &p) != nil {
		return false
	}
	v.term, v.size = p.Term, &pty.Winsize{Cols: uint16(p.Columns), Rows: uint16(p.Rows)}
	return true
}

func (v *session) resize(payload []byte) bool {
	var w windowChange
	if v.tty == nil || ssh.Unmarshal(payload, &w) != nil {
		return false
	}
	return pty.Setsize(v.tty, &pty.Winsize{Cols: uint16(w.Columns), Rows: uint16(w.Rows)}) == nil
}

// start starts the command, on a terminal if one was asked for.
func (v *session) start() error {
	if v.size != nil {
		var err error
		v.tty, err = pty.StartWithSize(v.cmd, v.size)
		return err
	}
	v.cmd.Stdout, v.cmd.Stderr = v.ch, v.ch.Stderr()
	in, err := v.cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := v.cmd.Start(); err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(in, v.ch)
		_ = in.Close()
	}()
	return nil
}

// wait tells the client how the command has ended.
func (v *session) wait(err error) {
	if err == nil && v.tty != nil {
		go func() { _, _ = io.Copy(v.tty, v.ch) }()
		copied := make(chan struct{})
		go func() {
			defer close(copied)
			_, _ = io.Copy(v.ch, v.tty) // ends with EIO when the last process on the terminal has closed it
		}()
		err = v.cmd.Wait()
		select {
		case <-copied:
		case <-time.After(drain):
		}
		_ = v.tty.Close()
	} else if err == nil {
		err = v.cmd.Wait()
	}
	code, ran := exitCode(err)
	if !ran {
		_, _ = io.WriteString(v.ch.Stderr(), err.Error()+"\n")
	}
	_, _ = v.ch.SendRequest("exit-status", false, ssh.Marshal(exitStatus{uint32(code)}))
	_ = v.ch.Close()
}

// exitCode says too whether the command was started at all.
func exitCode(err error) (code int, ran bool) {
	var exit *exec.ExitError
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		return 0, true
	case errors.As(err, &exit):
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return exitSignal + int(status.Signal()), true
		}
		return exit.ExitCode(), true
	}
	return exitNotFound, false
}
