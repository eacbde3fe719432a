package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/openvic/vic/contrib/lab/public"
)

// maxSocketPath is what a Unix socket address holds.
const maxSocketPath = 100

// ErrNotRunning is returned when no lab answers in a folder.
var ErrNotRunning = errors.New("no lab runs")

func port(addr string) string {
	_, p, _ := net.SplitHostPort(addr)
	return p
}

// socketPath returns a path to the control socket that is short enough; release frees it.
func socketPath(dir string) (path string, release func(), err error) {
	p := filepath.Join(dir, "control.sock")
	if len(p) <= maxSocketPath {
		return p, func() {}, nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/control.sock", d.Fd()), func() { _ = d.Close() }, nil
}

// ListenControl makes the socket that the commands talk to.
func (l *Lab) ListenControl() (net.Listener, error) {
	p, release, err := socketPath(l.cfg.Dir)
	if err != nil {
		return nil, err
	}
	defer release()
	_ = os.Remove(p) // left by a lab that was killed; the folder's lock is ours
	return net.Listen("unix", p)
}

// ServeControl answers `vic-lab status`, `down` and `forward` until the lab stops.
func (l *Lab) ServeControl(ctx context.Context, ln net.Listener) error {
	srv := &http.Server{Handler: l.controlMux(), BaseContext: func(net.Listener) context.Context { return ctx }}
	shut := make(chan struct{})
	go func() {
		defer close(shut)
		<-l.done
		sctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = srv.Shutdown(sctx) // lets the answer to "down" out
	}()
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	<-shut
	return nil
}

func (l *Lab) controlMux() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { reply(w, l.Status(), nil) })
	mux.HandleFunc("POST /down", func(w http.ResponseWriter, r *http.Request) {
		reply(w, struct{}{}, l.Stop(context.WithoutCancel(r.Context())))
	})
	mux.HandleFunc("POST /forwards", func(w http.ResponseWriter, r *http.Request) {
		var f public.Forward
		err := json.NewDecoder(r.Body).Decode(&f)
		if err == nil {
			err = l.AddForward(r.Context(), f)
		}
		reply(w, struct{}{}, err)
	})
	mux.HandleFunc("DELETE /forwards", func(w http.ResponseWriter, r *http.Request) {
		n, err := l.RemoveForward(r.URL.Query().Get("vm"), r.URL.Query().Get("listen"))
		if err == nil && n == 0 {
			err = errors.New("there is no such forward")
		}
		reply(w, struct{}{}, err)
	})
	l.userRoutes(mux)
	return mux
}

func reply(w http.ResponseWriter, v any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client is gone
}

// Client talks to the lab that runs in a folder.
type Client struct{ dir string }

// NewClient returns a client for the lab in dir.
func NewClient(dir string) *Client { return &Client{dir: dir} }

// Call makes a request; body and out may be nil.
func (c *Client) Call(ctx context.Context, method, path string, body, out any) error {
	dir, err := filepath.Abs(c.dir)
	if err != nil {
		return err
	}
	p, release, err := socketPath(dir)
	if err != nil {
		return fmt.Errorf("%w in %s", ErrNotRunning, dir)
	}
	defer release()
	hc := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", p)
	}}}
	req, err := request(ctx, method, path, body)
	if err != nil {
		return err
	}
	res, err := hc.Do(req)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" {
			return fmt.Errorf("%w in %s", ErrNotRunning, dir)
		}
		return err
	}
	defer func() { _ = res.Body.Close() }()
	return decode(res, out)
}
