package engine

import (
	"bytes"
	"errors"
	"time"
)

// lines cuts output into lines, filters and passes them on.
type lines struct {
	opts LogOptions
	fn   func(LogLine) error
	part [2]LogLine // begun, by stream
	any  bool       // something was passed on
}

func (l *lines) add(stderr bool, t time.Time, p []byte) error {
	if (stderr && !l.opts.Stderr) || (!stderr && !l.opts.Stdout) || (!l.opts.Since.IsZero() && t.Before(l.opts.Since)) {
		return nil
	}
	if !l.opts.Until.IsZero() && t.After(l.opts.Until) {
		return errEnough
	}
	part := &l.part[index(stderr)]
	for len(p) > 0 {
		n := bytes.IndexByte(p, '\n') + 1
		whole := n > 0
		if !whole {
			n = len(p)
		}
		if len(part.Data) == 0 {
			part.Stderr, part.Time = stderr, t
		}
		part.Data = append(part.Data, p[:n]...)
		p = p[n:]
		if whole || len(part.Data) >= maxLine {
			if err := l.emit(part); err != nil {
				return err
			}
		}
	}
	return nil
}

func index(stderr bool) int {
	if stderr {
		return 1
	}
	return 0
}

func (l *lines) emit(part *LogLine) error {
	line := *part
	*part = LogLine{}
	l.any = true
	return l.fn(line)
}

// flush passes on what has no line end.
func (l *lines) flush() error {
	for i := range l.part {
		if len(l.part[i].Data) > 0 {
			if err := l.emit(&l.part[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// tailer passes on the last n lines, or all if n is negative.
type tailer struct {
	n    int
	to   *lines
	cut  *lines
	ring []LogLine
}

func (t *tailer) add(stderr bool, at time.Time, p []byte) error {
	if t.n < 0 {
		return t.to.add(stderr, at, p)
	}
	if t.cut == nil {
		t.cut = &lines{opts: t.to.opts, fn: func(l LogLine) error {
			t.ring = append(t.ring, l)
			if len(t.ring) > 2*t.n+1024 {
				t.ring = append([]LogLine(nil), t.ring[len(t.ring)-t.n:]...)
			}
			return nil
		}}
	}
	err := t.cut.add(stderr, at, p)
	if errors.Is(err, errEnough) {
		return nil // the tail may end before the end
	}
	return err
}

func (t *tailer) flush() error {
	if t.cut == nil {
		return nil
	}
	if err := t.cut.flush(); err != nil {
		return err
	}
	for _, l := range t.ring[max(0, len(t.ring)-t.n):] {
		t.to.any = true
		if err := t.to.fn(l); err != nil {
			return err
		}
	}
	return nil
}
