package store

import "sync"

// turns lets many share one action, where what matters to each is that it began after they asked: a flush of a log, which holds
// all that was committed before, or a look at a number that only grows. One runs at a time, and one serves all who came while
// the one before ran.
type turns struct {
	do func() error // never runs twice at once

	mu   sync.Mutex
	next *turn // for those who wait for one that has not begun; nil: nobody
	busy bool
}

type turn struct {
	done chan struct{} // closed when err is final
	err  error
}

// wait returns when the action ran that began after the call, or when it failed.
func (t *turns) wait() error {
	t.mu.Lock()
	if !t.busy {
		t.busy = true
		t.mu.Unlock()
		err := t.do()
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.busy = t.next != nil; t.busy {
			go t.run()
		}
		return err
	}
	if t.next == nil {
		t.next = &turn{done: make(chan struct{})}
	}
	one := t.next
	t.mu.Unlock()
	<-one.done
	return one.err
}

// soon has the action run without waiting for it, and returns what waits.
func (t *turns) soon() (wait func() error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.next == nil {
		t.next = &turn{done: make(chan struct{})}
	}
	if !t.busy {
		t.busy = true
		go t.run()
	}
	one := t.next
	return func() error {
		<-one.done
		return one.err
	}
}

// run serves those who wait until there is nobody.
func (t *turns) run() {
	for {
		t.mu.Lock()
		one := t.next
		t.next = nil
		t.busy = one != nil
		t.mu.Unlock()
		if one == nil {
			return
		}
		one.err = t.do()
		close(one.done)
	}
}
