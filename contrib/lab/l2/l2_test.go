package l2

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"
)

// station is the far end of a port.
type station struct {
	t    *testing.T
	conn net.Conn
	mac  [6]byte
}

func plug(t *testing.T, sw *Switch, last byte) *station {
	t.Helper()
	near, far, err := Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := sw.Plug(near); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = far.Close() })
	return &station{t, far, [6]byte{2, 0, 0, 0, 0, last}}
}

func (s *station) send(to [6]byte, payload string) {
	s.t.Helper()
	f := append(append(append([]byte{}, to[:]...), s.mac[:]...), payload...)
	if _, err := s.conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(f))), f...)); err != nil {
		s.t.Fatal(err)
	}
}

// get returns the payload of the next frame.
func (s *station) get() string { return s.getWithin(30 * time.Second) }

// none returns the payload of a frame that came though it should not, or nothing.
func (s *station) none() string { return s.getWithin(50 * time.Millisecond) }

func (s *station) getWithin(d time.Duration) string {
	_ = s.conn.SetReadDeadline(time.Now().Add(d))
	var h [4]byte
	if _, err := io.ReadFull(s.conn, h[:]); err != nil {
		return ""
	}
	b := make([]byte, binary.BigEndian.Uint32(h[:]))
	if _, err := io.ReadFull(s.conn, b); err != nil {
		return ""
	}
	return string(b[12:])
}

func TestSwitchLearns(t *testing.T) {
	var f Fabric
	sw := f.Switch("a")
	a, b, c := plug(t, sw, 1), plug(t, sw, 2), plug(t, sw, 3)
	other := plug(t, f.Switch("b"), 4)
	all := [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	a.send(all, "who")
	if b.get() != "who" || c.get() != "who" {
		t.Error("a broadcast reaches all")
	}
	b.send(a.mac, "me")
	if a.get() != "me" {
		t.Error("a known address is reached")
	}
	if got := c.none(); got != "" {
		t.Errorf("a frame for another came: %q", got)
	}
	a.send([6]byte{2, 9}, "flood")
	if b.get() != "flood" || c.get() != "flood" {
		t.Error("an unknown address is flooded")
	}
	a.send(a.mac, "self")
	if b.none() != "" {
		t.Error("a frame to the sender itself goes nowhere")
	}
	if other.none() != "" {
		t.Error("switches are apart")
	}
	// A station that moves is found at its new port.
	c.mac = a.mac
	c.send(all, "moved")
	b.get()
	a.get()
	b.send(a.mac, "new")
	if c.get() != "new" {
		t.Error("the station that moved")
	}
}

// unplugged waits until the switch has taken the station out, which leaves so many ports.
func (s *station) unplugged(sw *Switch, ports int) {
	s.t.Helper()
	_ = s.conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	if _, err := s.conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		s.t.Fatalf("the port is not closed: %v", err)
	}
	if n := sw.Ports(); n != ports {
		s.t.Errorf("the switch has %d ports, want %d", n, ports)
	}
}

func TestUnplug(t *testing.T) {
	var f Fabric
	sw := f.Switch("a")
	a, b := plug(t, sw, 1), plug(t, sw, 2)
	if err := b.conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	b.unplugged(sw, 1)
	a.send(b.mac, "gone") // must not block or fail
	f.Close()
	if _, err := a.conn.Read(make([]byte, 1)); err == nil {
		t.Error("a port of a closed switch is open")
	}
	near, _, err := Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Plug("a", near); err == nil {
		t.Error("plugged into a closed switch")
	}
}

func TestGarbageEndsThePortOnly(t *testing.T) {
	var f Fabric
	sw := f.Switch("a")
	a, b, c := plug(t, sw, 1), plug(t, sw, 2), plug(t, sw, 3)
	if _, err := c.conn.Write(bytes.Repeat([]byte{0xff}, 64)); err != nil {
		t.Fatal(err)
	}
	c.unplugged(sw, 2)
	a.send(b.mac, "on")
	if b.get() != "on" {
		t.Error("the others go on")
	}
}

// A station that does not read (its driver is not loaded) does not hold up the others.
func TestDeafStation(t *testing.T) {
	var f Fabric
	sw := f.Switch("a")
	a, b, deaf := plug(t, sw, 1), plug(t, sw, 2), plug(t, sw, 3)
	all := [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	deaf.send(all, "hello")
	a.get()
	b.get()
	go func() { _, _ = io.Copy(io.Discard, b.conn) }()
	payload := string(make([]byte, 1400))
	begin := time.Now()
	for range 4000 { // more than all buffers on the way
		a.send(all, payload)
		a.send(deaf.mac, payload)
	}
	if d := time.Since(begin); d > time.Minute { // with patience for each frame it would be minutes
		t.Errorf("held up for %v", d)
	}
	if deaf.get() == "" {
		t.Error("what was queued is lost")
	}
}

func BenchmarkForward(b *testing.B) {
	var f Fabric
	sw := f.Switch("a")
	t := &testing.T{}
	src, dst := plug(t, sw, 1), plug(t, sw, 2)
	dst.send([6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, "here")
	src.get()
	go func() { _, _ = io.Copy(io.Discard, dst.conn) }()
	frame := append(binary.BigEndian.AppendUint32(nil, 1514), append(append(dst.mac[:], src.mac[:]...), make([]byte, 1502)...)...)
	burst := bytes.Repeat(frame, 16)
	b.SetBytes(int64(len(burst)))
	for b.Loop() {
		if _, err := src.conn.Write(burst); err != nil {
			b.Fatal(err)
		}
	}
}
