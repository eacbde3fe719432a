package engine_test

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openvic/vic/core/engine"
	"github.com/openvic/vic/core/engine/enginetest"
	"github.com/openvic/vic/core/event"
)

// world is a test's world with one engine.
type world struct {
	*enginetest.World
	*engine.Engine
	t      *testing.T
	bubble bool
	stop   func()
	events *recorder
}

// inWorld tells a story in a bubble of its own, where time passes only while everything waits for it: what has
// not happened when nothing moves any more does not happen. Its end is the end of all VMs.
func inWorld(t *testing.T, story func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &world{World: enginetest.New(t), t: t, bubble: true}
		w.restart()
		story(t, w)
	})
}

// newWorld is a world in real time, for stories whose parts are to get in one another's way.
func newWorld(t *testing.T) *world {
	t.Parallel()
	w := &world{World: enginetest.New(t), t: t}
	w.restart()
	return w
}

// settle returns when nothing moves any more.
func (w *world) settle() { synctest.Wait() }

// pass lets time pass.
func (w *world) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// restart is another vicd over the same platform.
func (w *world) restart() {
	if w.stop != nil {
		w.stop()
	}
	var hub *event.Hub
	w.Engine, hub, w.stop = w.World.Engine()
	w.events = &recorder{}
	hub.Subscribe(w.events.add)
}

// shut ends the present vicd.
func (w *world) shut() { w.stop() }

type recorder struct {
	mu  sync.Mutex
	all []event.Event
}

func (r *recorder) add(e event.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, e)
}

func (r *recorder) actions() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, e := range r.all {
		if e.Type == event.Network {
			continue
		}
		a := e.Action
		if c, ok := e.Attributes["exitCode"]; ok {
			a += " " + c
		}
		out = append(out, a)
	}
	return out
}

func ctx(t *testing.T) context.Context {
	c, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return c
}

type option func(*engine.CreateRequest)

func (w *world) create(name string, args []string, opts ...option) engine.Container {
	w.t.Helper()
	req := request(name, args...)
	for _, o := range opts {
		o(&req)
	}
	c, err := w.Create(ctx(w.t), req)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func withStdin(r *engine.CreateRequest)  { r.Process.Stdin, r.Process.StdinOnce = true, true }
func autoRemove(r *engine.CreateRequest) { r.AutoRemove = true }

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) eventually(what string, cond func() bool) {
	w.t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		if w.bubble {
			synctest.Wait()
		}
		if cond() {
			return
		}
		<-time.After(2 * time.Millisecond)
	}
	w.t.Fatalf("not within 10 s: %s; events %v", what, w.events.actions())
}

func (w *world) status(ref string) engine.Status {
	c, err := w.Get(ref)
	if err != nil {
		return ""
	}
	return c.State.Status
}

// attach runs a session in the background.
func (w *world) attach(ref string, in io.Reader) (out, errOut *bytes.Buffer, done chan error) {
	w.t.Helper()
	s, err := w.OpenSession(ref)
	w.must(err)
	out, errOut, done = &bytes.Buffer{}, &bytes.Buffer{}, make(chan error, 1)
	go func() {
		defer s.Close()
		st := engine.Streams{Stdout: out, Stderr: errOut, Stream: true}
		if in != nil {
			st.Stdin = in
		}
		done <- s.Run(ctx(w.t), st)
	}()
	return out, errOut, done
}

func (w *world) await(done chan error) {
	w.t.Helper()
	select {
	case err := <-done:
		w.must(err)
	case <-time.After(15 * time.Second):
		w.t.Fatal("the attached client is not released")
	}
}

func (w *world) logs(ref string, o engine.LogOptions) string {
	w.t.Helper()
	o.Stdout, o.Stderr = true, true
	if o.Tail == 0 {
		o.Tail = -1
	}
	var b strings.Builder
	w.must(w.Logs(ctx(w.t), ref, o, func(l engine.LogLine) error { b.Write(l.Data); return nil }))
	return b.String()
}

func (w *world) exitCode(ref string) int {
	w.t.Helper()
	ch, err := w.Wait(ctx(w.t), ref, engine.WaitNotRunning)
	w.must(err)
	r := <-ch
	w.must(r.Err)
	return r.State.ExitCode
}
