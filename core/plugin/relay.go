package plugin

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
)

// maxLine bounds a line of a plugin's output; the rest of a longer one is dropped.
const maxLine = 64 << 10

// relay takes what a plugin writes to stderr or stdout and hands it to the host's log. A line that is
// a JSON record of slog or hclog keeps its level, message and values; any other is logged as it is.
// Nothing that a plugin writes can harm the host.
type relay struct {
	log *slog.Logger

	mu   sync.Mutex
	line []byte
	last string // the last line that says why a process ends
}

// Write never fails: the plugin must not be held up.
func (r *relay) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for rest := p; len(rest) > 0; {
		part, after, ended := bytes.Cut(rest, []byte{'\n'})
		if room := maxLine - len(r.line); len(part) > room {
			part = part[:room]
		}
		r.line = append(r.line, part...)
		if ended {
			r.emit(strings.TrimRight(string(r.line), "\r"))
			r.line = r.line[:0]
		}
		rest = after
	}
	return len(p), nil
}

// words returns the last line of the plugin that may say why it ended.
func (r *relay) words() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

func (r *relay) emit(line string) {
	if strings.TrimSpace(line) == "" {
		return
	}
	var record map[string]any
	if line[0] == '{' && json.Unmarshal([]byte(line), &record) == nil {
		if r.record(record) {
			return
		}
	}
	level := slog.LevelInfo
	if strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "fatal error:") {
		level, r.last = slog.LevelError, line
	} else if !strings.HasPrefix(r.last, "panic:") && !strings.HasPrefix(r.last, "fatal error:") {
		r.last = line
	}
	r.log.Log(context.Background(), level, "plugin wrote", "line", line)
}

// record logs a structured line; false if it is none.
func (r *relay) record(rec map[string]any) bool {
	msg, ok := take(rec, "msg", "@message")
	if !ok {
		return false
	}
	name, _ := take(rec, "level", "@level")
	var level slog.Level
	if err := level.UnmarshalText([]byte(name)); err != nil {
		level = slog.LevelInfo
	}
	delete(rec, "time")
	delete(rec, "@timestamp")
	attrs := make([]any, 0, 2*len(rec))
	for k, v := range rec {
		attrs = append(attrs, slog.Any(k, v))
	}
	if level >= slog.LevelError {
		r.last = msg
		if e, ok := rec["err"].(string); ok {
			r.last += ": " + e
		}
	}
	r.log.Log(context.Background(), level, msg, attrs...)
	return true
}

// take removes the first of the keys that holds text.
func take(rec map[string]any, keys ...string) (string, bool) {
	for _, k := range keys {
		if s, ok := rec[k].(string); ok {
			delete(rec, k)
			return s, true
		}
	}
	return "", false
}
