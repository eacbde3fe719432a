package kernel

import (
	"context"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Events wakes those who wait for a device. What the kernel says of a device is not looked at:
// a waiter looks for what it wants in /sys and /dev whenever anything has changed.
type Events struct {
	mu   sync.Mutex
	next chan struct{}
	err  error
}

// NewEvents subscribes to the kernel's device events; they are read until ctx ends.
func NewEvents(ctx context.Context) (*Events, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return nil, fmt.Errorf("device events: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("device events: %w", err)
	}
	e := &Events{next: make(chan struct{})}
	f := os.NewFile(uintptr(fd), "uevent")
	stop := context.AfterFunc(ctx, func() { f.Close() })
	go func() {
		defer stop()
		e.read(f)
	}()
	return e, nil
}

func (e *Events) read(f *os.File) {
	buf := make([]byte, 8<<10)
	c, err := f.SyscallConn()
	for err == nil {
		var rerr error
		err = c.Read(func(fd uintptr) bool {
			_, rerr = unix.Read(int(fd), buf)
			return rerr != unix.EAGAIN
		})
		// ENOBUFS: events were lost, which is one more reason to look again.
		if rerr != nil && rerr != unix.ENOBUFS && rerr != unix.EINTR {
			err = rerr
		}
		e.wake(err)
	}
}

func (e *Events) wake(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.err = err
	close(e.next)
	e.next = make(chan struct{})
}

// Wait returns when found does. found is called at once and after each device event.
func (e *Events) Wait(ctx context.Context, what string, found func() bool) error {
	for {
		e.mu.Lock()
		next, err := e.next, e.err
		e.mu.Unlock()
		if found() {
			return nil
		}
		if err != nil {
			return fmt.Errorf("wait for %s: %w", what, err)
		}
		select {
		case <-next:
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, context.Cause(ctx))
		}
	}
}
