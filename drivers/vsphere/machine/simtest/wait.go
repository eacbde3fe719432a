package simtest

import (
	"bytes"
	"context"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// patience is how long a test waits for what it means before it fails.
const patience = 2 * time.Minute

// changes tells whoever waits that something is new: its channel is closed at each change, and replaced.
// The zero value is ready. All methods may be called at once.
type changes struct {
	mu   sync.Mutex
	next chan struct{}
}

// after returns the channel that is closed at the next change. Take it before looking: what changes
// between the look and the wait is not missed then.
func (c *changes) after() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next == nil {
		c.next = make(chan struct{})
	}
	return c.next
}

func (c *changes) tell() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next != nil {
		close(c.next)
		c.next = nil
	}
}

// until waits for f, which is asked again after each change; false if ctx ends before.
func (c *changes) until(ctx context.Context, f func() bool) bool {
	for {
		next := c.after()
		if f() {
			return true
		}
		select {
		case <-next:
		case <-ctx.Done():
			return false
		}
	}
}

// inventory is told by the simulator of every object that is made, changed or removed.
type inventory struct{ changes }

var _ simulator.RegisterObject = (*inventory)(nil)

// Reference is the key of the simulator's table of listeners.
func (i *inventory) Reference() types.ManagedObjectReference {
	return types.ManagedObjectReference{Type: "Listener", Value: "simtest"}
}

func (i *inventory) PutObject(*simulator.Context, mo.Reference) { i.tell() }

func (i *inventory) UpdateObject(*simulator.Context, mo.Reference, []types.PropertyChange) { i.tell() }

func (i *inventory) RemoveObject(*simulator.Context, types.ManagedObjectReference) { i.tell() }

// Until waits until f is true, which is asked again whenever something changes in the simulator. The
// test fails if that takes too long.
func (s *Sim) Until(what string, f func() bool) {
	s.T.Helper()
	ctx, cancel := context.WithTimeout(s.T.Context(), patience)
	defer cancel()
	if !s.changes.until(ctx, f) {
		s.T.Errorf("not within %s: %s", patience, what)
	}
}

// Appears waits for a VM of a name.
func (s *Sim) Appears(name string) {
	s.T.Helper()
	s.Until("there is a VM "+name, func() bool { _, err := s.Find(name); return err == nil })
}

// Output is what a program prints, for tests that wait for a line of it. The zero value is ready; its
// methods may be called at once.
type Output struct {
	mu  sync.Mutex
	buf bytes.Buffer
	changes
}

// Write appends.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	n, err := o.buf.Write(p)
	o.mu.Unlock()
	o.tell()
	return n, err
}

// String is all of it until now.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// Await waits for a text that matches and returns its submatches. The test fails if that takes too long.
func (o *Output) Await(t testing.TB, pattern string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	re, found := regexp.MustCompile(pattern), []string(nil)
	if !o.until(ctx, func() bool { found = re.FindStringSubmatch(o.String()); return found != nil }) {
		t.Fatalf("no %s within %s in:\n%s", pattern, patience, o)
	}
	return found
}
