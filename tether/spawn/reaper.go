package spawn

import (
	"errors"
	"sync"

	"golang.org/x/sys/unix"
)

// Reaper waits for all children of this process: those that were started through it, and orphans
// that became ours because we are PID 1. One goroutine alone calls wait4(2): anybody else who did would take
// ends away from it, so that PID 1 runs nothing by os/exec. It sleeps on cond as long as there is no
// child, and in wait4, without mu, as long as there is one.
//
// Start may be called at any time and from several goroutines; they fork one after another, and a fork holds
// up the report of an end, never the other way round.
type Reaper struct {
	mu      sync.Mutex                   // guards waiters and started; held over a fork (see Start)
	cond    *sync.Cond                   // signalled when started grows
	waiters map[int]chan unix.WaitStatus // by process ID; each has room for its one message
	started uint64                       // children so far
	wait    func(ws *unix.WaitStatus) (int, error)
}

// NewReaper starts reaping; it goes on for the life of the process.
func NewReaper() *Reaper {
	r := &Reaper{waiters: map[int]chan unix.WaitStatus{}, wait: waitAny}
	r.cond = sync.NewCond(&r.mu)
	go r.run()
	return r
}

func waitAny(ws *unix.WaitStatus) (int, error) { return unix.Wait4(-1, ws, 0, nil) }

// run reaps until there are no children, then waits for the next start. A child that is started after wait4 has
// said that there is none has raised started, so that the loop does not sleep over it.
func (r *Reaper) run() {
	seen := uint64(0)
	for {
		r.mu.Lock()
		for r.started == seen {
			r.cond.Wait() // no child: none can end
		}
		seen = r.started
		r.mu.Unlock()
		for {
			var ws unix.WaitStatus
			pid, err := r.wait(&ws)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err != nil {
				break
			}
			r.ended(pid, ws)
		}
	}
}

// ended hands the end of a child to who waits for it; an orphan's end is for nobody.
func (r *Reaper) ended(pid int, ws unix.WaitStatus) {
	if !ws.Exited() && !ws.Signaled() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if c, ok := r.waiters[pid]; ok {
		c <- ws
		delete(r.waiters, pid)
	}
}

// Start calls start, which makes a child and returns its pid; how the child ended comes on the
// channel. A pid that comes with an error is reaped and forgotten.
func (r *Reaper) Start(start func() (int, error)) (int, <-chan unix.WaitStatus, error) {
	// Held over start: the child must not be reaped before its waiter is known.
	r.mu.Lock()
	defer r.mu.Unlock()
	pid, err := start()
	if pid > 0 {
		r.started++
		r.cond.Signal()
	}
	if err != nil {
		return 0, nil, err
	}
	c := make(chan unix.WaitStatus, 1)
	r.waiters[pid] = c
	return pid, c, nil
}

// ExitCode is Docker's exit code of an ended process: 128 + n after signal n.
func ExitCode(ws unix.WaitStatus) int32 {
	if ws.Signaled() {
		return 128 + int32(ws.Signal())
	}
	return int32(ws.ExitStatus())
}
