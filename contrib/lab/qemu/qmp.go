package qemu

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
)

type args = map[string]any

// monitor speaks QMP over a socket pair. It is our own and not a library's because the socket is
// inherited, and libraries dial.
type monitor struct {
	conn net.Conn
	mu   sync.Mutex // one command at a time
	resp chan message

	evMu    sync.Mutex
	deleted map[string]chan struct{} // device id: closed when the guest let go
	onEvent func(name string, data eventData)
}

type message struct {
	Return json.RawMessage `json:"return"`
	Error  *struct {
		Class string `json:"class"`
		Desc  string `json:"desc"`
	} `json:"error"`
	Event string    `json:"event"`
	Data  eventData `json:"data"`
}

type eventData struct {
	Device string `json:"device"`
	Guest  bool   `json:"guest"`
	Reason string `json:"reason"`
}

// newMonitor reads the greeting and negotiates.
func newMonitor(c net.Conn, onEvent func(string, eventData)) (*monitor, error) {
	m := &monitor{conn: c, resp: make(chan message, 1), deleted: map[string]chan struct{}{}, onEvent: onEvent}
	r := bufio.NewReader(c)
	if _, err := r.ReadBytes('\n'); err != nil {
		return nil, fmt.Errorf("monitor: %w", ErrStopped)
	}
	go m.read(r)
	return m, m.run("qmp_capabilities", nil)
}

func (m *monitor) read(r *bufio.Reader) {
	defer close(m.resp)
	for {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return
		}
		var msg message
		if json.Unmarshal(line, &msg) != nil {
			continue
		}
		if msg.Event == "" {
			m.resp <- msg
			continue
		}
		if msg.Event == "DEVICE_DELETED" {
			m.released(msg.Data.Device)
		}
		m.onEvent(msg.Event, msg.Data)
	}
}

func (m *monitor) released(id string) {
	m.evMu.Lock()
	defer m.evMu.Unlock()
	if ch := m.deleted[id]; ch != nil {
		close(ch)
		delete(m.deleted, id)
	}
}

// watchRelease returns a channel that is closed when the device is gone.
func (m *monitor) watchRelease(id string) <-chan struct{} {
	m.evMu.Lock()
	defer m.evMu.Unlock()
	ch := make(chan struct{})
	m.deleted[id] = ch
	return ch
}

// run sends a command and waits for its answer.
func (m *monitor) run(cmd string, a args) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	req := args{"execute": cmd}
	if a != nil {
		req["arguments"] = a
	}
	if err := json.NewEncoder(m.conn).Encode(req); err != nil {
		return fmt.Errorf("%s: %w", cmd, ErrStopped)
	}
	r, ok := <-m.resp
	if !ok {
		return fmt.Errorf("%s: %w", cmd, ErrStopped)
	}
	if r.Error != nil {
		return qmpError(cmd, r.Error.Desc)
	}
	return nil
}

// qmpError makes an error of QEMU's text. QEMU gives locks and missing files no error class, so the
// text decides.
func qmpError(cmd, desc string) error {
	switch {
	case strings.Contains(desc, `" lock`):
		return fmt.Errorf("%s: %w: %s", cmd, ErrLocked, desc)
	case strings.Contains(desc, "No such file or directory"):
		return fmt.Errorf("%s: %w: %s", cmd, os.ErrNotExist, desc)
	}
	return fmt.Errorf("%s: %s", cmd, desc)
}
