package linktest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/openvic/vic/sdk/guest"
)

// Process is one running program of a fake tether.
type Process struct {
	Spec   guest.Process
	Out    *Output
	stdin  *pipe
	cancel context.CancelFunc
	done   chan struct{}
	once   sync.Once
	mu     sync.Mutex
	exit   guest.Exit
	size   chan [2]uint32 // the last one that was set
}

func startProcess(spec guest.Process, out *Output) *Process {
	ctx, cancel := context.WithCancel(context.Background())
	p := &Process{Spec: spec, Out: out, stdin: newPipe(), cancel: cancel, done: make(chan struct{}), size: make(chan [2]uint32, 1)}
	p.exit.Started = time.Now()
	out.setClosed(false)
	if !spec.Stdin {
		p.stdin.close()
	}
	go func() {
		code, failure := p.run(ctx)
		p.end(code, failure)
	}()
	return p
}

func (p *Process) end(code int, failure string) {
	p.once.Do(func() {
		p.mu.Lock()
		p.exit.Code, p.exit.Error, p.exit.Finished = int32(code), failure, time.Now()
		p.mu.Unlock()
		p.cancel()
		p.stdin.close()
		p.Out.setClosed(true)
		close(p.done)
	})
}

func (p *Process) status() guest.Exit {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.exit
}

func (p *Process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// resize sets the size of the terminal.
func (p *Process) resize(width, height uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.size:
	default:
	}
	p.size <- [2]uint32{width, height}
}

// signal ends the program, but for a few signals that programs catch.
func (p *Process) signal(n int) {
	switch {
	case n == 28: // SIGWINCH
	case n == 10:
		p.Out.Write(1, []byte("usr1\n"))
	case n == 15 && len(p.Spec.Args) > 0 && p.Spec.Args[0] == "stubborn":
	default:
		p.end(128+n, "")
	}
}

// run interprets the few programs that tests need.
func (p *Process) run(ctx context.Context) (int, string) {
	args := p.Spec.Args
	if len(args) == 3 && args[0] == "sh" && args[1] == "-c" {
		args = strings.Fields(args[2])
	}
	if len(args) == 0 {
		return 0, ""
	}
	switch args[0] {
	case "echo":
		p.print(1, strings.Join(args[1:], " ")+"\n")
	case "err":
		p.print(2, strings.Join(args[1:], " ")+"\n")
	case "env":
		p.print(1, strings.Join(p.Spec.Env, "\n")+"\n")
	case "exit", "false":
		if len(args) > 1 {
			n, _ := strconv.Atoi(args[1])
			return n, ""
		}
		return 1, ""
	case "cat", "sh":
		return p.cat()
	case "size":
		return p.printSize(ctx)
	case "count":
		return p.count(ctx, args[1:])
	case "sleep", "stubborn":
		<-ctx.Done()
	case "true":
	default:
		return 127, fmt.Sprintf("exec: %q: executable file not found in $PATH", args[0])
	}
	return 0, ""
}

func (p *Process) print(stream int, text string) { p.Out.Write(stream, []byte(text)) }

func (p *Process) cat() (int, string) {
	r := bufio.NewReader(p.stdin)
	for {
		line, err := r.ReadString('\n')
		if line == "exit\n" {
			return 0, ""
		}
		if line != "" {
			p.print(1, line)
		}
		if err != nil {
			return 0, ""
		}
	}
}

func (p *Process) printSize(ctx context.Context) (int, string) {
	select {
	case s := <-p.size:
		p.print(1, fmt.Sprintf("%dx%d\n", s[0], s[1]))
	case <-ctx.Done():
	}
	return 0, ""
}

// count prints numbered lines: count N MILLISECONDS.
func (p *Process) count(ctx context.Context, args []string) (int, string) {
	n, _ := strconv.Atoi(args[0])
	ms, _ := strconv.Atoi(args[1])
	for i := range n {
		if ctx.Err() != nil {
			return 0, ""
		}
		p.print(1, fmt.Sprintf("line %d\n", i))
		select {
		case <-time.After(time.Duration(ms) * time.Millisecond):
		case <-ctx.Done():
		}
	}
	return 0, ""
}

// pipe is a byte queue with a position.
type pipe struct {
	mu     sync.Mutex
	cond   *sync.Cond
	buf    []byte
	pos    int64
	closed bool
}

func newPipe() *pipe {
	p := &pipe{}
	p.cond = sync.NewCond(&p.mu)
	return p
}

// write takes what lies at and after the position; false for a gap.
func (p *pipe) write(offset int64, data []byte, end bool) (int64, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if offset > p.pos {
		return p.pos, false
	}
	if skip := p.pos - offset; skip < int64(len(data)) {
		p.buf = append(p.buf, data[skip:]...)
		p.pos += int64(len(data)) - skip
	}
	p.closed = p.closed || end
	p.cond.Broadcast()
	return p.pos, true
}

func (p *pipe) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.cond.Broadcast()
}

func (p *pipe) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.buf) == 0 && !p.closed {
		p.cond.Wait()
	}
	if len(p.buf) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.buf)
	p.buf = p.buf[n:]
	return n, nil
}

var _ io.Reader = (*pipe)(nil)
