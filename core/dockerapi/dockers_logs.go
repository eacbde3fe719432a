package dockerapi

import (
	"context"
	"io"
	"log/slog"

	"github.com/containerd/log"
	"github.com/sirupsen/logrus"
	"google.golang.org/grpc/grpclog"
)

// AdoptLogs sends what Docker's packages and those they use log without a context to l, and silences
// gRPC, whose log speaks of every connection. Call it once, before anything else.
func AdoptLogs(l *slog.Logger) {
	std := logrus.StandardLogger()
	std.SetOutput(io.Discard)
	std.ReplaceHooks(logrus.LevelHooks{})
	std.AddHook(bridge{l})
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard))
}

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
