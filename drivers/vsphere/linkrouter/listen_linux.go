package linkrouter

import (
	"context"
	"log/slog"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A link that answers nothing for about five seconds is dead: the tether dials again by itself.
const userTimeout = 5000 // milliseconds

func keepAlive() net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: true, Idle: 2 * time.Second, Interval: time.Second, Count: 3}
}

// Listen waits until address can be listened on: its interface may come later than we do.
func Listen(ctx context.Context, address string, log *slog.Logger) (net.Listener, error) {
	lc := net.ListenConfig{KeepAliveConfig: keepAlive(), Control: freeBind}
	wait := 20 * time.Millisecond
	for said := false; ; {
		l, err := lc.Listen(ctx, "tcp", address)
		if err == nil {
			return l, nil
		}
		if !said {
			log.Warn("cannot listen for links yet", "address", address, "err", err)
			said = true
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait):
		}
		wait = min(2*wait, 2*time.Second)
	}
}

// freeBind lets us bind an address that the interface has not got yet, or not checked for
// duplicates yet.
func freeBind(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, 1)
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_FREEBIND, 1)
	})
}

func tune(c net.Conn) {
	t, ok := c.(*net.TCPConn)
	if !ok {
		return
	}
	_ = t.SetKeepAliveConfig(keepAlive())
	raw, err := t.SyscallConn()
	if err != nil {
		return
	}
	// Buffers are left to the kernel, which makes them as large as the connection needs.
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, userTimeout)
	})
}
