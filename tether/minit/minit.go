// Package minit is the small init of docker run --init: PID 1 of the container's namespace, which
// passes signals on to the process, reaps what is orphaned, and ends as the process does.
package minit

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// Path is where it appears in the container; Docker's.
const Path = "/sbin/docker-init"

// Asked tells whether a program was called as the init.
func Asked(args []string) bool { return len(args) > 2 && args[0] == Path && args[1] == "--" }

// Exit codes of a program that cannot be run, as a shell has them.
const (
	codeCannotRun = 126
	codeNotFound  = 127
)

// Run runs the program of args, which Asked has approved, and returns the exit code.
func Run(args []string) int {
	// Before the start: a signal that comes meanwhile waits.
	signals := make(chan os.Signal, 64)
	signal.Notify(signals)
	program, err := lookup(args[2])
	if err == nil {
		var code int
		if code, err = live(program, args[2:], signals); err == nil {
			return code
		}
	}
	fmt.Fprintf(os.Stderr, "exec %s failed: %v\n", args[2], err)
	if errors.Is(err, os.ErrNotExist) {
		return codeNotFound
	}
	return codeCannotRun
}

// live starts the program in a process group of its own, which has the terminal if there is one.
func live(program string, args []string, signals <-chan os.Signal) (int, error) {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if _, err := unix.IoctlGetInt(0, unix.TIOCGPGRP); err == nil {
		attr.Foreground, attr.Ctty = true, 0
	}
	pid, err := syscall.ForkExec(program, args, &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}, Sys: attr})
	if err != nil {
		return 0, err
	}
	go forward(pid, signals)
	return reap(pid), nil
}

func forward(pid int, signals <-chan os.Signal) {
	for s := range signals {
		n, ok := s.(syscall.Signal)
		// SIGURG is what the runtime of this program interrupts itself with.
		if !ok || n == unix.SIGCHLD || n == unix.SIGURG || n == unix.SIGTTIN || n == unix.SIGTTOU {
			continue
		}
		_ = unix.Kill(pid, n) // it may have ended
	}
}

// reap waits for all children until the one with this pid has ended.
func reap(pid int) int {
	for {
		var ws unix.WaitStatus
		got, err := unix.Wait4(-1, &ws, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return codeCannotRun
		case got != pid:
		case ws.Exited():
			return ws.ExitStatus()
		case ws.Signaled():
			return 128 + int(ws.Signal())
		}
	}
}
