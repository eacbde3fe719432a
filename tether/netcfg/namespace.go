package netcfg

import (
	"fmt"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Namespace is a network namespace that only this process has: a thread lives in it, and what is
// run there uses its interfaces.
type Namespace struct {
	fd   int
	work chan func()
}

// NewNamespace makes a namespace; it lives as long as the process.
func NewNamespace() (*Namespace, error) {
	n := &Namespace{work: make(chan func())}
	ready := make(chan error)
	go n.run(ready)
	if err := <-ready; err != nil {
		return nil, fmt.Errorf("network namespace: %w", err)
	}
	return n, nil
}

func (n *Namespace) run(ready chan<- error) {
	runtime.LockOSThread() // for good: the thread is of no other use any more
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		ready <- err
		return
	}
	fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	n.fd = fd
	ready <- err
	for err == nil {
		(<-n.work)()
	}
}

// Do runs f in the namespace and waits for it.
func (n *Namespace) Do(f func() error) error {
	done := make(chan error, 1)
	n.work <- func() { done <- f() }
	return <-done
}

// Take moves an interface into the namespace and brings it up there.
func (n *Namespace) Take(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := netlink.LinkSetNsFd(link, n.fd); err != nil {
		return fmt.Errorf("%s: move to a namespace: %w", name, err)
	}
	return n.Do(func() error {
		if err := PrepareIPv6(); err != nil {
			return err
		}
		moved, err := netlink.LinkByName(name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return setUp(moved)
	})
}
