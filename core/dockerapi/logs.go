package dockerapi

import (
	"context"
	"strconv"

	"github.com/docker/docker/api/types/backend"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/daemon/logger"

	"github.com/openvic/vic/core/engine"
)

// ContainerLogs streams what a container wrote.
func (b *containers) ContainerLogs(ctx context.Context, name string, o *container.LogsOptions) (<-chan *backend.LogMessage, bool, error) {
	c, err := b.opts.Engine.Get(name)
	if err != nil {
		return nil, false, wrap(err)
	}
	if b.definition(&c).HostConfig.LogConfig.Type == noLogDriver {
		return nil, false, logger.ErrReadLogsNotSupported{}
	}
	lo, err := logQuery(o)
	if err != nil {
		return nil, false, err
	}
	var attrs []backend.LogAttr
	if o.Details {
		attrs = b.detailsOf(&c)
	}
	out := make(chan *backend.LogMessage, 64)
	go func() {
		defer close(out)
		err := b.opts.Engine.Logs(ctx, c.ID, lo, func(l engine.LogLine) error {
			return send(ctx, out, &backend.LogMessage{Line: l.Data, Source: sourceOf(l), Timestamp: l.Time, Attrs: attrs})
		})
		if err != nil && ctx.Err() == nil {
			_ = send(ctx, out, &backend.LogMessage{Err: err})
		}
	}()
	return out, c.Process.TTY, nil
}

func send(ctx context.Context, out chan<- *backend.LogMessage, m *backend.LogMessage) error {
	select {
	case out <- m:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func sourceOf(l engine.LogLine) string {
	if l.Stderr {
		return "stderr"
	}
	return "stdout"
}

func logQuery(o *container.LogsOptions) (engine.LogOptions, error) {
	q := engine.LogOptions{Stdout: o.ShowStdout, Stderr: o.ShowStderr, Follow: o.Follow, Tail: -1}
	if n, err := strconv.Atoi(o.Tail); err == nil && n >= 0 {
		q.Tail = n
	}
	var err error
	if q.Since, err = parseTime(o.Since); err != nil {
		return q, invalid("invalid value for \"since\": %v", err)
	}
	if q.Until, err = parseTime(o.Until); err != nil {
		return q, invalid("invalid value for \"until\": %v", err)
	}
	return q, nil
}
