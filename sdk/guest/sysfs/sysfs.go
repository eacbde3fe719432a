// Package sysfs waits for what the kernel shows of its devices, and writes to the files by which it is
// told what to do with them. The tether and drivers that run in a VM of ours use it.
package sysfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
)

// Events wakes those who wait for a device. What the kernel says of a device is not looked at: a waiter
// looks for what it wants in /sys and /dev whenever anything has changed. The zero value is awake to
// Notify alone; Subscribe connects it with the kernel. Its methods may be called at the same time.
type Events struct {
	mu   sync.Mutex
	next chan struct{} // closed and replaced by each event; nil until somebody waits
	err  error         // why no event comes any more
}

// Notify has everybody who waits look again.
func (e *Events) Notify() { e.wake(nil) }

func (e *Events) wake(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.err = err
	if e.next != nil {
		close(e.next)
		e.next = nil
	}
}

// upcoming returns a channel that the next event closes, and why there will be none.
func (e *Events) upcoming() (<-chan struct{}, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.next == nil {
		e.next = make(chan struct{})
	}
	return e.next, e.err
}

// Wait returns when found does. It calls found at once and after each event, one call at a time; what
// says in the error what did not come. The error wraps the cause of ctx's end.
func (e *Events) Wait(ctx context.Context, what string, found func() bool) error {
	for {
		next, err := e.upcoming() // before the look, so that no event is missed
		if found() {
			return nil
		}
		if err == nil {
			select {
			case <-next:
				continue
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return fmt.Errorf("wait for %s: %w", what, err)
	}
}

// Write writes value to a file of /sys or /proc that may be about to come, and waits for it until ctx
// ends. The kernel makes a device's directory first, then its files one after another, and sends the
// event when all of them are there: whoever has seen one file cannot count on the next.
func (e *Events) Write(ctx context.Context, path, value string) error {
	var f *os.File
	var opened error
	if err := e.Wait(ctx, path, func() bool {
		f, opened = open(path)
		return !errors.Is(opened, fs.ErrNotExist)
	}); err != nil {
		return err
	}
	if opened != nil {
		return opened
	}
	return write(f, value)
}

// Write writes value to a file of /sys or /proc. fs.ErrNotExist if it is not there.
func Write(path, value string) error {
	f, err := open(path)
	if err != nil {
		return err
	}
	return write(f, value)
}

// open does not create: these file systems answer that with EACCES, as if the file were there and
// forbidden.
func open(path string) (*os.File, error) { return os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0) }

func write(f *os.File, value string) error {
	_, err := f.WriteString(value)
	return errors.Join(err, f.Close())
}
