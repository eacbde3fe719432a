package sysfs

import (
	"context"
	"os"
	"syscall"
	"testing"
)

// pair stands for the kernel's socket: what is written to the second is an event for the first.
func pair(t *testing.T) (reader, kernel *os.File) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	reader, kernel = os.NewFile(uintptr(fds[0]), "reader"), os.NewFile(uintptr(fds[1]), "kernel")
	t.Cleanup(func() { reader.Close(); kernel.Close() })
	return reader, kernel
}

func TestEachMessageOfTheKernelIsALook(t *testing.T) {
	reader, kernel := pair(t)
	var e Events
	e.follow(t.Context(), reader)
	looks := make(chan int)
	done := make(chan error, 1)
	go func() {
		n := 0
		done <- e.Wait(t.Context(), "the third look", func() bool { n++; looks <- n; return n == 3 })
	}()
	for want := 1; want <= 3; want++ {
		if got := <-looks; got != want {
			t.Fatalf("look %d, not %d", got, want)
		}
		if want < 3 {
			if _, err := kernel.WriteString("add@/devices/x"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestWaitingEndsWithTheEvents(t *testing.T) {
	reader, _ := pair(t)
	ctx, cancel := context.WithCancel(t.Context())
	var e Events
	e.follow(ctx, reader)
	cancel()
	if err := e.Wait(t.Context(), "it", func() bool { return false }); err == nil {
		t.Fatal("no error")
	}
}

func TestThisKernelsEventsCanBeSubscribedTo(t *testing.T) {
	e, err := Subscribe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Wait(t.Context(), "it", func() bool { return true }); err != nil {
		t.Fatal(err)
	}
}
