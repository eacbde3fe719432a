package dockerapi

import (
	"io"
	"net"
	"testing"

	"github.com/openvic/vic/core/listen"
)

// One source cannot take all connections of the Docker API.
func TestOneSourceHasABoundedNumberOfConnections(t *testing.T) {
	was := connections
	connections = listen.Limits{Total: 10, Each: 3}
	defer func() { connections = was }()
	all, err := Listen([]string{"tcp://127.0.0.1:0"}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer all[0].Close()
	go func() {
		for {
			c, err := all[0].Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); _ = c.Close() }()
		}
	}()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", all[0].Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	answers := func(c net.Conn) bool {
		_, _ = c.Write([]byte("x"))
		_, err := io.ReadFull(c, make([]byte, 1))
		return err == nil
	}
	var open []net.Conn
	for range 3 {
		c := dial()
		if !answers(c) {
			t.Fatal("one of the first three is closed")
		}
		open = append(open, c)
	}
	if answers(dial()) {
		t.Error("a fourth connection of the same source is served")
	}
	for _, c := range open {
		_ = c.Close()
	}
}
