package engine_test

import (
	"bytes"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/core/engine"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/storage"
)

// gate is a client that takes nothing until it is opened.
type gate struct {
	bytes.Buffer
	waits chan struct{} // closed at the first write
	open  chan struct{}
}

func newGate() *gate { return &gate{waits: make(chan struct{}), open: make(chan struct{})} }

func (g *gate) Write(p []byte) (int, error) {
	select {
	case <-g.waits:
	default:
		close(g.waits)
	}
	<-g.open
	return g.Buffer.Write(p)
}

// A VM that goes off by itself takes its container along (--rm), but not before its attached client
// has read the rest from the disk.
func TestAutoRemoveWaitsForAClientThatReadsTheRest(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.create("c1", []string{"count", "3000", "0"}, autoRemove)
		client := newGate()
		s, err := w.OpenSession("c1")
		w.must(err)
		done := make(chan error, 1)
		go func() {
			defer s.Close()
			done <- s.Run(ctx(t), engine.Streams{Stdout: client, Stream: true})
		}()
		w.must(w.Start(ctx(t), "c1"))
		<-client.waits
		w.eventually("its end", func() bool { return slices.Contains(w.events.actions(), "die 0") })
		w.Compute.PowerOff(c.ID)
		w.eventually("the log on the disk", func() bool {
			r, err := w.Storage.Export(ctx(t), storage.ExportRequest{ID: c.ID, Path: guest.StateDir + "/log"})
			if err == nil {
				r.Close()
			}
			return err == nil
		})
		w.pass(30 * time.Second) // its patience with the client is a minute
		if slices.Contains(w.events.actions(), "destroy") {
			t.Fatal("removed before its client had the rest")
		}
		close(client.open)
		w.await(done)
		var want strings.Builder
		for i := range 3000 {
			want.WriteString("line " + strconv.Itoa(i) + "\n")
		}
		if client.String() != want.String() {
			t.Errorf("%d bytes of output, want %d", client.Len(), want.Len())
		}
		w.eventually("removed", func() bool { return len(w.List()) == 0 })
	})
}

// docker run attaches before it starts: a start that fails is told once, by the start.
func TestAnAttachedClientIsNotToldOfAFailedStart(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("c1", []string{"count", "1", "0"})
		s, err := w.OpenSession("c1")
		w.must(err)
		done := make(chan error, 1)
		go func() {
			defer s.Close()
			done <- s.Run(ctx(t), engine.Streams{Stdout: &bytes.Buffer{}, Stream: true})
		}()
		w.World.Storage.Fail("Export", errdef.ErrConflict) // the VM needs its disk
		w.Compute.Fail("Start", errdef.ErrExhausted)
		if err := w.Start(ctx(t), "c1"); err == nil {
			t.Fatal("it started")
		}
		w.await(done)
	})
}

// inputFunc is a client's input.
type inputFunc func(p []byte) (int, error)

func (f inputFunc) Read(p []byte) (int, error) { return f(p) }

// What a client types has its answer in what the client sees: it is read only once the place is fixed from where the
// client's output comes. On a busy machine the echo came before that place, and was lost.
func TestInputWaitsForThePlaceOfTheOutput(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.create("c1", []string{"cat"}, withStdin)
		w.must(w.Start(ctx(t), "c1"))
		w.eventually("that it runs", func() bool { return w.status("c1") == engine.StatusRunning })
		tether := w.Tether(c.ID)
		before := tether.Hellos() // a session asks once more, for the place
		_, _, done := w.attach("c1", inputFunc(func([]byte) (int, error) {
			if tether.Hellos() == before {
				t.Error("the input is read before the place of the output is known")
			}
			return 0, io.EOF
		}))
		w.await(done)
	})
}
