package endpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

const kernelEvents = 1 // the multicast group of the kernel's own messages

// listen reports block devices that the kernel adds, until ctx ends. Several events may become one.
func listen(ctx context.Context) (<-chan struct{}, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return nil, fmt.Errorf("listen for devices: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: kernelEvents}); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("listen for devices: %w", err)
	}
	f := os.NewFile(uintptr(fd), "uevents")
	out := make(chan struct{}, 1)
	context.AfterFunc(ctx, func() { _ = f.Close() })
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := f.Read(buf)
			if err != nil && !errors.Is(err, unix.ENOBUFS) {
				return
			}
			// An overrun means that events were lost: look again.
			if err == nil && (!bytes.HasPrefix(buf[:n], []byte("add@")) || !bytes.Contains(buf[:n], []byte("/block/"))) {
				continue
			}
			select {
			case out <- struct{}{}:
			default:
			}
		}
	}()
	return out, nil
}
