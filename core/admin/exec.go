package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/openvic/vic/core/access"
	"github.com/openvic/vic/sdk/errdef"
)

// ExecRequest runs a command in the endpoint VM.
type ExecRequest struct {
	Args  []string `json:"args"`
	Env   []string `json:"env,omitempty"`
	Dir   string   `json:"dir,omitempty"`
	Stdin []byte   `json:"stdin,omitempty"`
}

// ExecFrame is a piece of a command's output; the last one of a stream has Exit.
type ExecFrame struct {
	Stdout []byte `json:"stdout,omitempty"`
	Stderr []byte `json:"stderr,omitempty"`
	Exit   *int   `json:"exit,omitempty"`
	Error  string `json:"error,omitempty"` // why there is no exit code of its own
}

// The codes of a shell for a command that could not be started, and for one that a signal ended.
const (
	exitNotFound = 127
	exitSignal   = 128
)

// exec runs the command as long as the caller stays.
func (a *api) exec(w http.ResponseWriter, r *http.Request) {
	var req ExecRequest
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		fail(w, fmt.Errorf("body: %w: %w", err, errdef.ErrInvalid))
		return
	}
	if len(req.Args) == 0 {
		fail(w, fmt.Errorf("a command is missing: %w", errdef.ErrInvalid))
		return
	}
	a.Log.Warn("command in the endpoint VM", "args", req.Args, "caller", access.From(r.Context()).Name)
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := &frames{enc: json.NewEncoder(w), flush: http.NewResponseController(w).Flush}
	code, err := run(r.Context(), req, out)
	last := ExecFrame{Exit: &code}
	if err != nil {
		last.Error = err.Error()
	}
	_ = out.send(last)
}

// run returns the command's exit code, and an error if it has none.
func run(ctx context.Context, req ExecRequest, out *frames) (int, error) {
	cmd := exec.CommandContext(ctx, req.Args[0], req.Args[1:]...)
	cmd.Dir = req.Dir
	cmd.Env = append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "TERM=dumb"}, req.Env...)
	if len(req.Stdin) > 0 {
		cmd.Stdin = bytes.NewReader(req.Stdin)
	}
	cmd.Stdout = stream(func(p []byte) error { return out.send(ExecFrame{Stdout: p}) })
	cmd.Stderr = stream(func(p []byte) error { return out.send(ExecFrame{Stderr: p}) })
	// The command and what it started end with the caller.
	inGroup(cmd)
	cmd.WaitDelay = 2 * time.Second
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &exit):
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return exitSignal + int(status.Signal()), nil
		}
		return exit.ExitCode(), nil
	}
	return exitNotFound, err
}

type stream func(p []byte) error

func (s stream) Write(p []byte) (int, error) { return len(p), s(p) }

// frames writes one frame at a time.
type frames struct {
	mu    sync.Mutex
	enc   *json.Encoder
	flush func() error
}

func (f *frames) send(frame ExecFrame) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enc.Encode(frame); err != nil {
		return err
	}
	return f.flush()
}
