package public

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openvic/vic/contrib/lab/l2"
)

// The gateway answers ARP for itself and for the host.
func TestGatewayAnswers(t *testing.T) {
	var f l2.Fabric
	defer f.Close()
	if _, err := New(t.Context(), f.Switch("public"), Public()); err != nil {
		t.Fatal(err)
	}
	near, far, err := l2.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Switch("public").Plug(near); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = far.Close() }()
	me := []byte{2, 0, 0, 0, 0, 9}
	for _, target := range []string{Public().Gateway, Public().Host} {
		frame := bytes.Join([][]byte{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, me, {8, 6, 0, 1, 8, 0, 6, 4, 0, 1}, me,
			net.IPv4(192, 168, 127, 77).To4(), make([]byte, 6), net.ParseIP(target).To4()}, nil)
		if _, err := far.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...)); err != nil {
			t.Fatal(err)
		}
		_ = far.SetReadDeadline(time.Now().Add(5 * time.Second))
		h := make([]byte, 4)
		if _, err := io.ReadFull(far, h); err != nil {
			t.Fatalf("%s does not answer: %v", target, err)
		}
		b := make([]byte, binary.BigEndian.Uint32(h))
		if _, err := io.ReadFull(far, b); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b[12:14], []byte{8, 6}) || !net.IP(b[28:32]).Equal(net.ParseIP(target)) {
			t.Errorf("%s: % x", target, b)
		}
	}
}

func TestParseForward(t *testing.T) {
	for _, c := range []struct {
		spec string
		want Forward
		ok   bool
	}{
		{"127.0.0.1:2376:2376", Forward{VM: "v", Listen: "127.0.0.1:2376", Port: 2376}, true},
		{"127.0.0.1:0:80", Forward{VM: "v", Listen: "127.0.0.1:0", Port: 80}, true},
		{"[::1]:2376:80", Forward{VM: "v", Listen: "[::1]:2376", Port: 80}, true},
		{"0.0.0.0:2376:2376", Forward{}, false},
		{"2376:2376", Forward{}, false},
		{"127.0.0.1:2376", Forward{}, false},
		{"127.0.0.1:2376:0", Forward{}, false},
		{"127.0.0.1:2376:99999", Forward{}, false},
		{"", Forward{}, false},
	} {
		got, err := ParseForward("v", c.spec)
		if (err == nil) != c.ok || got != c.want {
			t.Errorf("%q: %+v %v", c.spec, got, err)
		}
	}
}

// A forward finds the VM's address when a connection comes, and passes a half-close on.
func TestForward(t *testing.T) {
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = echo.Close() }()
	go func() {
		for {
			c, err := echo.Accept()
			if err != nil {
				return
			}
			go func() { // answers only after the end of the request
				b, _ := io.ReadAll(c)
				_, _ = c.Write(append([]byte("got "), b...))
				_ = c.Close()
			}()
		}
	}()
	host, port, _ := net.SplitHostPort(echo.Addr().String())
	n, _ := strconv.Atoi(port)
	var ip atomic.Value
	ip.Store("")
	f := &Forwarder{Find: func(Forward) (Dialer, string) { return direct{}, ip.Load().(string) }, Log: slog.New(slog.DiscardHandler)}
	if err := f.Add(t.Context(), Forward{VM: "v", Listen: "127.0.0.1:0", Port: n}); err != nil {
		t.Fatal(err)
	}
	listener := f.list[0].listener
	addr := listener.Addr().String()
	if got := ask(t, addr); got != "" {
		t.Errorf("before the VM has an address: %q", got)
	}
	ip.Store(host)
	if got := ask(t, addr); got != "got hello" {
		t.Errorf("%q", got)
	}
	if err := f.Add(t.Context(), Forward{VM: "w", Listen: addr, Port: 1}); err == nil {
		t.Error("two forwards on one port")
	}
	if f.Remove("v", "") != 1 || len(f.List()) != 0 {
		t.Error("remove")
	}
	if _, err := listener.Accept(); !errors.Is(err, net.ErrClosed) { // the port itself may be another program's by now
		t.Errorf("a removed forward listens: %v", err)
	}
}

type direct struct{}

func (direct) Dial(ctx context.Context, addr string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
}

func ask(t *testing.T, addr string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_, _ = c.Write([]byte("hello"))
	_ = c.(*net.TCPConn).CloseWrite()
	b, _ := io.ReadAll(c)
	return string(b)
}
