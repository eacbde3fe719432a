package boottest

import (
	"encoding/json"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openvic/vic/sdk/guest"
)

// patience bounds every wait for a guest: it is for a machine that has much else to do.
const patience = 3 * time.Minute

// console takes what the guest writes to its serial port. QEMU's pipe writes, tests wait.
type console struct {
	mu      sync.Mutex
	text    strings.Builder
	changed chan struct{} // closed and replaced by each write
}

func newConsole() *console { return &console{changed: make(chan struct{})} }

// Write implements io.Writer.
func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.changed)
	c.changed = make(chan struct{})
	return c.text.Write(p)
}

// read returns what was written so far, and a channel that is closed when there is more.
func (c *console) read() (string, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.String(), c.changed
}

func (c *console) String() string {
	s, _ := c.read()
	return s
}

// wait waits until a text is on the console.
func (c *console) wait(t *testing.T, text string) {
	t.Helper()
	timeout := time.After(patience)
	for {
		all, more := c.read()
		if strings.Contains(all, text) {
			return
		}
		select {
		case <-more:
		case <-timeout:
			t.Fatalf("no %q on the console", text)
		}
	}
}

// waitService waits until the appliance's service has the state.
func (v *vm) waitService(t *testing.T, state string) {
	t.Helper()
	v.rpc.await(guest.Prefix+guest.KeyStatus, func(value string) bool {
		var s guest.Status
		return json.Unmarshal([]byte(value), &s) == nil && s.Services["vicd"] == state
	})
}

func createFile(t *testing.T, path string) string {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
