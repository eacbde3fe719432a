package sysfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
)

const (
	kernelGroup = 1       // the multicast group of the kernel's own messages
	messageSize = 8 << 10 // more than the kernel puts into one
)

// Subscribe returns the events of this machine's kernel. One goroutine reads them until ctx ends.
func Subscribe(ctx context.Context) (*Events, error) {
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, syscall.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return nil, fmt.Errorf("device events: %w", err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK, Groups: kernelGroup}); err != nil {
		_ = syscall.Close(fd)
		return nil, fmt.Errorf("device events: %w", err)
	}
	e := &Events{}
	e.follow(ctx, os.NewFile(uintptr(fd), "uevent"))
	return e, nil
}

// follow takes each message of f as an event until ctx ends, and then closes f.
func (e *Events) follow(ctx context.Context, f *os.File) {
	stop := context.AfterFunc(ctx, func() { _ = f.Close() })
	go func() {
		defer stop()
		e.read(f)
	}()
}

func (e *Events) read(f *os.File) {
	buf := make([]byte, messageSize)
	for {
		_, err := f.Read(buf)
		// ENOBUFS: messages were lost, which is one more reason to look again.
		if errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.EINTR) {
			err = nil
		}
		e.wake(err)
		if err != nil {
			return
		}
	}
}
