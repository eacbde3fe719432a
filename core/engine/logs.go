package engine

import (
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/openvic/vic/core/link"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/guest/outlog"
	"github.com/openvic/vic/sdk/storage"
)

const (
	// maxLine is where a line without end is cut.
	maxLine = 64 << 10
	// maxRecent bounds the output of an ended container that is kept in memory, so that "docker logs"
	// right after the end need not wait for its disk.
	maxRecent = 256 << 10
	// logPatience is how long reading a log waits for a VM that boots or goes off.
	logPatience = 45 * time.Second
)

// LogOptions say which output is wanted.
type LogOptions struct {
	Stdout, Stderr bool
	Tail           int // lines; negative: all
	Since, Until   time.Time
	Follow         bool
}

// LogLine is one line of output, with its line end if it has one.
type LogLine struct {
	Stderr bool
	Time   time.Time
	Data   []byte
}

// recentOutput is all output of a run that has ended. It is never changed.
type recentOutput struct{ chunks []link.Chunk }

// errEnough ends the reading of a log.
var errEnough = errors.New("enough")

// Logs calls fn with what the container wrote: from the tether while the VM is on, from its disk
// when it is off.
func (e *Engine) Logs(ctx context.Context, ref string, o LogOptions, fn func(LogLine) error) error {
	c, err := e.registry.lookup(ref)
	if err != nil {
		return err
	}
	l := &lines{opts: o, fn: fn}
	err = e.outputs.read(ctx, c, o, l)
	if err == nil {
		err = l.flush()
	}
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// outputs is what containers write: it lies in a log on the container's own disk, which the tether reads while
// the VM is on, and the storage driver when it is off. Who reads through the tether is counted (run.readers),
// and the VM waits for them before it goes off; who reads from the disk is counted too (container.diskReaders),
// and a container of --rm waits for them. The outputs have no lock of their own: what they share is the
// container's, under its mu.
type outputs struct{ disks storage.Disks }

// read passes on what a container wrote.
func (p outputs) read(ctx context.Context, c *container, o LogOptions, l *lines) error {
	if r, done, ok := c.reader(); ok {
		err := p.live(ctx, r, o, l)
		done()
		if err == nil || l.any || ctx.Err() != nil || errors.Is(err, errEnough) || r.ctx.Err() == nil {
			return endOfRun(r, err)
		}
	}
	return p.offline(ctx, c, o, l)
}

// endOfRun takes the end of the VM for the end of the log.
func endOfRun(r *run, err error) error {
	if err != nil && r.ctx.Err() != nil {
		return nil
	}
	return err
}

// live reads the log through the tether.
func (p outputs) live(ctx context.Context, r *run, o LogOptions, l *lines) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(r.ctx, cancel)
	defer stop()
	if err := r.awaitLink(ctx, logPatience); err != nil {
		return fail(errdef.ErrUnavailable, "container %s: its VM does not answer, so its output cannot be read now", r.c.id)
	}
	req := link.OutputRequest{Follow: o.Follow, Since: o.Since}
	switch {
	case o.Tail > 0:
		req.TailLines = int64(o.Tail)
	case o.Tail == 0 && !o.Follow:
		return nil
	case o.Tail == 0:
		req.Offset = -1
	}
	return r.link.Output(ctx, req, func(c link.Chunk) error {
		r.delivered.Add(1)
		return l.add(c.Stream == link.Stderr, c.Time, c.Data)
	})
}

// offline reads the log of a VM that is off.
func (p outputs) offline(ctx context.Context, c *container, o LogOptions, l *lines) error {
	if o.Tail == 0 {
		return nil
	}
	wait, cancel := context.WithTimeout(ctx, logPatience)
	defer cancel()
	var recent *recentOutput
	var started bool
	err := c.await(wait, func() bool {
		recent = c.recent
		started = !c.state.Started.IsZero() || !c.def.LastRun.Started.IsZero()
		return recent != nil || c.run == nil
	})
	if err != nil {
		return c.stillOn()
	}
	lim := tailer{n: o.Tail, to: l}
	if recent != nil {
		for _, k := range recent.chunks {
			if err := lim.add(k.Stream == link.Stderr, k.Time, k.Data); err != nil {
				return err
			}
		}
		return lim.flush()
	}
	if !started {
		return nil
	}
	return p.exported(ctx, c, &lim)
}

// exported reads the log from the container's disk.
func (p outputs) exported(ctx context.Context, c *container, lim *tailer) error {
	stream, err := p.disks.Export(ctx, storage.ExportRequest{ID: c.id, Path: path.Join(guest.StateDir, "log")})
	if isNotFound(err) {
		return nil // nothing was written
	}
	if err != nil {
		return fmt.Errorf("log of container %s: %w", c.id, err)
	}
	defer stream.Close()
	for rec, err := range outlog.ReadTar(stream, outlog.Query{}) {
		if err != nil {
			return fmt.Errorf("log of container %s: %w", c.id, err)
		}
		if err := lim.add(rec.Stream == outlog.Stderr, rec.Time, rec.Data); err != nil {
			return err
		}
	}
	return lim.flush()
}

// from calls fn with the output from an offset on, of a container whose VM goes off or is off.
func (p outputs) from(ctx context.Context, c *container, offset int64, fn func(link.Chunk) error) error {
	wait, cancel := context.WithTimeout(ctx, logPatience)
	defer cancel()
	var recent *recentOutput
	if err := c.await(wait, func() bool {
		recent = c.recent
		return recent != nil || c.run == nil
	}); err != nil {
		return c.stillOn()
	}
	if recent != nil {
		for _, k := range recent.chunks {
			if k.Next <= offset {
				continue
			}
			if err := fn(k); err != nil {
				return err
			}
		}
		return nil
	}
	stream, err := p.disks.Export(ctx, storage.ExportRequest{ID: c.id, Path: path.Join(guest.StateDir, "log")})
	if err != nil {
		return fmt.Errorf("log of container %s: %w", c.id, err)
	}
	defer stream.Close()
	for rec, err := range outlog.ReadTar(stream, outlog.Query{Offset: offset}) {
		if err != nil {
			return fmt.Errorf("log of container %s: %w", c.id, err)
		}
		if err := fn(link.Chunk{Next: rec.Next(), Stream: link.Stream(rec.Stream), Time: rec.Time, Data: rec.Data}); err != nil {
			return err
		}
	}
	return nil
}

// keepRecent keeps the output of a short run in memory before its VM goes off.
func (p outputs) keepRecent(r *run) {
	c := r.c
	ctx, cancel := context.WithTimeout(r.ctx, killPatience)
	defer cancel()
	recent := &recentOutput{}
	size := 0
	err := r.link.Output(ctx, link.OutputRequest{}, func(k link.Chunk) error {
		if size += len(k.Data) + 64; size > maxRecent {
			return errEnough
		}
		recent.chunks = append(recent.chunks, k)
		return nil
	})
	if err == nil {
		c.update(func() { c.recent = recent })
	}
}
