package listen

import (
	"io"
	"net"
	"testing"
)

func TestConnectionsBeyondTheLimitAreClosed(t *testing.T) {
	for name, limits := range map[string]Limits{"in total": {Total: 2}, "of one source": {Total: 10, Each: 2}} {
		t.Run(name, func(t *testing.T) {
			inner, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			refused := make(chan string, 1)
			l := Limit(inner, limits, func(source string) { refused <- source })
			defer l.Close()
			accepted := make(chan net.Conn)
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						close(accepted)
						return
					}
					accepted <- c
				}
			}()
			dial := func() net.Conn {
				t.Helper()
				c, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = c.Close() })
				return c
			}
			dial()
			first := <-accepted
			dial()
			<-accepted
			third := dial()
			if got := <-refused; got != "127.0.0.1/32" {
				t.Errorf("refused %q", got)
			}
			if _, err := third.Read(make([]byte, 1)); err == nil {
				t.Error("the third is open")
			}
			_ = first.Close()
			_ = first.Close() // counts once
			dial()
			<-accepted
			dial()
			<-refused
			if _, err := io.WriteString(first, "x"); err == nil {
				t.Error("a closed connection takes more")
			}
		})
	}
}

func TestSourcesOfConnections(t *testing.T) {
	for addr, want := range map[string]string{"192.0.2.7": "192.0.2.7/32", "2001:db8::1:2": "2001:db8::/64", "::ffff:192.0.2.7": "192.0.2.7/32"} {
		if got := source(&net.TCPAddr{IP: net.ParseIP(addr)}).String(); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
	if source(&net.UnixAddr{Name: "x"}).IsValid() {
		t.Error("a Unix socket has an address")
	}
}
