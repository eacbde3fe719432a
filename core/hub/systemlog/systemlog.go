// Package systemlog keeps the latest lines of the hub's own log, which has those of its plugins too, in memory: administrators
// search them without a shell on the machine. The log itself goes where it went before.
package systemlog

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/openvic/vic/core/bundle"
)

// Bounds, in bytes: of all that is kept, and of one line's message and fields, which are cut.
const (
	DefaultSize = 4 << 20
	maxMessage  = 4 << 10
	maxFields   = 8 << 10
	overhead    = 128 // of a line beside its texts
)

// Line is one line of the log.
type Line struct {
	// ID is larger for a later line; it is its time in microseconds since 1970, or a few more where several have the same.
	ID    int64
	Time  time.Time
	Level slog.Level
	// Plugin is the name of the plugin that it is from or about; empty: of the hub itself.
	Plugin  string
	Message string
	Fields  string // as slog writes them: key=value key="a value"
}

func (l Line) size() int { return len(l.Message) + len(l.Fields) + len(l.Plugin) + overhead }

// Log keeps lines. It may be used by several goroutines.
type Log struct {
	limit int
	clean bundle.Cleaner

	mu    sync.Mutex // guards what follows
	lines []Line     // the oldest first
	bytes int        // of lines
	last  int64      // the highest ID
	text  bytes.Buffer
}

// New makes a Log that keeps lines of up to limit bytes in all.
func New(limit int) *Log { return &Log{limit: limit, clean: bundle.NewCleaner()} }

// Handler keeps each line from level Info on, and those that next wants; next gets what it wants.
func (l *Log) Handler(next slog.Handler) slog.Handler {
	return &handler{log: l, next: next, text: slog.NewTextHandler(&l.text, &slog.HandlerOptions{Level: slog.LevelDebug})}
}

// handler writes a line's fields with text, whose writer is log.text, and so only with log.mu held.
type handler struct {
	log        *Log
	next, text slog.Handler
	plugin     string
	grouped    bool
}

var _ slog.Handler = (*handler)(nil)

// Enabled implements slog.Handler.
func (h *handler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo || h.next.Enabled(ctx, level)
}

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.next = h.next.WithAttrs(attrs)
	var rest []slog.Attr
	for _, a := range attrs {
		if name, ok := c.pluginOf(a); ok {
			c.plugin = name
			continue
		}
		rest = append(rest, a)
	}
	c.text = h.text.WithAttrs(rest)
	return &c
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	c := *h
	c.next, c.text, c.grouped = h.next.WithGroup(name), h.text.WithGroup(name), true
	return &c
}

func (h *handler) pluginOf(a slog.Attr) (string, bool) {
	if h.grouped || a.Key != "plugin" || a.Value.Kind() != slog.KindString {
		return "", false
	}
	return a.Value.String(), true
}

// Handle implements slog.Handler.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	line := Line{Time: r.Time, Level: r.Level, Plugin: h.plugin, Message: r.Message}
	// Neither time nor message: what the text handler writes is the level and the fields.
	bare := slog.NewRecord(time.Time{}, r.Level, "", 0)
	r.Attrs(func(a slog.Attr) bool {
		if name, ok := h.pluginOf(a); ok {
			line.Plugin = name
		} else {
			bare.AddAttrs(a)
		}
		return true
	})
	h.log.keep(line, func() error { return h.text.Handle(ctx, bare) })
	if !h.next.Enabled(ctx, r.Level) {
		return nil
	}
	return h.next.Handle(ctx, r)
}

// keep adds a line whose fields write puts into l.text.
func (l *Log) keep(x Line, write func() error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Reset()
	if write() == nil {
		_, x.Fields, _ = strings.Cut(strings.TrimRight(l.text.String(), "\n"), ` msg=""`)
	}
	if l.text.Cap() > 2*maxFields {
		l.text = bytes.Buffer{}
	}
	x.Message, x.Fields = l.tidy(x.Message, maxMessage), l.tidy(strings.TrimPrefix(x.Fields, " "), maxFields)
	l.last = max(l.last+1, x.Time.UnixMicro())
	x.ID = l.last
	l.lines, l.bytes = append(l.lines, x), l.bytes+x.size()
	drop := 0
	for ; l.bytes > l.limit && drop < len(l.lines)-1; drop++ {
		l.bytes -= l.lines[drop].size()
		l.lines[drop] = Line{}
	}
	l.lines = l.lines[drop:] // append moves them to a new array when this one ends
}

// tidy cuts a text and takes secrets out of it.
func (l *Log) tidy(s string, most int) string {
	if len(s) > most {
		s = s[:most] + "..."
	}
	return strings.ToValidUTF8(l.clean.Clean(s), "?")
}

// Query says which lines; the zero values say nothing.
type Query struct {
	Level  *slog.Level // this one and what is worse
	Plugin string      // its name; "hub": the lines of the hub itself
	Text   string      // a part of message or fields, whatever the case
	From   time.Time
	To     time.Time
	After  int64 // an ID
}

// Hub is how a Query names the lines that are of no plugin.
const Hub = "hub"

// Search returns the lines of a page, the latest first, and how many there are in all.
func (l *Log) Search(q Query, limit, offset int) (page []Line, total int) {
	q.Text = strings.ToLower(q.Text)
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := len(l.lines) - 1; i >= 0; i-- {
		if !q.matches(l.lines[i]) {
			continue
		}
		if total++; total > offset && len(page) < limit {
			page = append(page, l.lines[i])
		}
	}
	return page, total
}

func (q Query) matches(x Line) bool {
	switch {
	case x.ID <= q.After,
		q.Level != nil && x.Level < *q.Level,
		q.Plugin == Hub && x.Plugin != "",
		q.Plugin != "" && q.Plugin != Hub && x.Plugin != q.Plugin,
		!q.From.IsZero() && x.Time.Before(q.From),
		!q.To.IsZero() && x.Time.After(q.To):
		return false
	}
	return q.Text == "" || strings.Contains(strings.ToLower(x.Message), q.Text) || strings.Contains(strings.ToLower(x.Fields), q.Text)
}

// Write writes all lines, the oldest first, a line each.
func (l *Log) Write(w io.Writer) error {
	l.mu.Lock()
	lines := append([]Line(nil), l.lines...)
	l.mu.Unlock()
	for _, x := range lines {
		plugin := ""
		if x.Plugin != "" {
			plugin = fmt.Sprintf(" plugin=%q", x.Plugin)
		}
		if _, err := fmt.Fprintf(w, "time=%s level=%s msg=%q%s %s\n", x.Time.UTC().Format(time.RFC3339Nano), x.Level, x.Message, plugin, x.Fields); err != nil {
			return err
		}
	}
	return nil
}
