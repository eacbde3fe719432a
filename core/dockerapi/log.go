package dockerapi

import (
	"context"
	"io"
	"log/slog"

	"github.com/containerd/log"
	"github.com/sirupsen/logrus"
)

// WithLog returns a context in which Docker's packages log to l: give it to the HTTP server as its
// base context. What they tell as information is our debugging.
func WithLog(ctx context.Context, l *slog.Logger) context.Context {
	r := logrus.New()
	r.SetOutput(io.Discard)
	r.SetLevel(logrus.InfoLevel)
	r.AddHook(bridge{l})
	return log.WithLogger(ctx, logrus.NewEntry(r))
}

type bridge struct{ to *slog.Logger }

func (bridge) Levels() []logrus.Level { return logrus.AllLevels }

func (b bridge) Fire(e *logrus.Entry) error {
	level := slog.LevelDebug
	if e.Level <= logrus.WarnLevel {
		level = slog.LevelWarn
	}
	attrs := []slog.Attr{slog.String("detail", e.Message)}
	for k, v := range e.Data {
		if k == logrus.ErrorKey {
			k = "err"
		}
		attrs = append(attrs, slog.Any(k, v))
	}
	b.to.LogAttrs(context.Background(), level, "docker API", attrs...)
	return nil
}
