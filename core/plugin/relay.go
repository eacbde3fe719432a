package plugin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"slices"
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
	if rec, ok := parseRecord(line); ok && r.record(rec) {
		return
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
func (r *relay) record(rec record) bool {
	msg, ok := rec.take("msg", "@message")
	if !ok {
		return false
	}
	name, _ := rec.take("level", "@level")
	var level slog.Level
	if err := level.UnmarshalText([]byte(name)); err != nil {
		level = slog.LevelInfo
	}
	_, _ = rec.take("time", "@timestamp")
	if level >= slog.LevelError {
		r.last = msg
		if e, ok := rec.text("err"); ok {
			r.last += ": " + e
		}
	}
	r.log.LogAttrs(context.Background(), level, msg, rec...)
	return true
}

// record holds the members of a JSON object in their order, numbers as they were written.
type record []slog.Attr

// parseRecord reads a line that is one JSON object and nothing else.
func parseRecord(line string) (record, bool) {
	if line[0] != '{' {
		return nil, false
	}
	d := json.NewDecoder(strings.NewReader(line))
	d.UseNumber()
	if _, err := d.Token(); err != nil {
		return nil, false
	}
	var rec record
	for d.More() {
		key, err := d.Token()
		var value any
		if err == nil {
			err = d.Decode(&value)
		}
		if err != nil {
			return nil, false
		}
		rec = append(rec, slog.Any(key.(string), value))
	}
	if _, err := d.Token(); err != nil {
		return nil, false
	}
	_, err := d.Token()
	return rec, errors.Is(err, io.EOF)
}

// text is the first value of a key, if it is text.
func (r record) text(key string) (string, bool) {
	for _, a := range r {
		if a.Key == key && a.Value.Kind() == slog.KindString {
			return a.Value.String(), true
		}
	}
	return "", false
}

// take removes the first of the keys that holds text.
func (r *record) take(keys ...string) (string, bool) {
	for _, k := range keys {
		if s, ok := r.text(k); ok {
			*r = slices.DeleteFunc(*r, func(a slog.Attr) bool { return a.Key == k })
			return s, true
		}
	}
	return "", false
}
