package image

import (
	"context"
	"io"
	"log/slog"

	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/log"
	"github.com/sirupsen/logrus"
)

// scope is what every call into containerd's and Docker's packages needs in its context: the
// namespace, and a logger that ends in ours instead of on stderr.
type scope struct{ log *log.Entry }

func newScope(l *slog.Logger) scope {
	r := logrus.New()
	r.SetOutput(io.Discard)
	r.SetLevel(logrus.InfoLevel)
	if l.Enabled(context.Background(), slog.LevelDebug) {
		r.SetLevel(logrus.DebugLevel)
	}
	r.AddHook(bridge{l})
	return scope{logrus.NewEntry(r)}
}

func (s scope) in(ctx context.Context) context.Context {
	return log.WithLogger(namespaces.WithNamespace(ctx, namespace), s.log)
}

// bridge hands what those packages log to slog. Their information is our debugging.
type bridge struct{ to *slog.Logger }

func (bridge) Levels() []logrus.Level { return logrus.AllLevels }

func (b bridge) Fire(e *logrus.Entry) error {
	level := slog.LevelDebug
	switch e.Level {
	case logrus.WarnLevel:
		level = slog.LevelWarn
	case logrus.ErrorLevel, logrus.FatalLevel, logrus.PanicLevel:
		level = slog.LevelError
	}
	ctx := e.Context
	if ctx == nil {
		ctx = context.Background()
	}
	if !b.to.Enabled(ctx, level) {
		return nil
	}
	attrs := make([]slog.Attr, 0, len(e.Data))
	for k, v := range e.Data {
		if k == logrus.ErrorKey {
			k = "err"
		}
		attrs = append(attrs, slog.Any(k, v))
	}
	b.to.LogAttrs(ctx, level, e.Message, attrs...)
	return nil
}
