package site

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	shownLines = 200
	mostLines  = 10_000
)

type logsData struct {
	Lines   []string
	Plugin  string
	Plugins []string
	Number  int
	Follow  bool // lines come after these
}

// logQuery reads how many lines, and of which plugin.
func logQuery(r *http.Request) (n int, name string) {
	n, err := strconv.Atoi(r.URL.Query().Get("lines"))
	if err != nil || n < 1 {
		n = shownLines
	}
	return min(n, mostLines), r.URL.Query().Get("plugin")
}

// matches says that a line is a plugin's, or that all are wanted. The log is slog's text.
func matches(line, name string) bool {
	return name == "" || strings.Contains(line+" ", " plugin="+name+" ") || strings.Contains(line, " plugin="+strconv.Quote(name))
}

func (s *site) logs(w http.ResponseWriter, r *http.Request) {
	d := logsData{Follow: r.URL.Query().Get("follow") != ""}
	d.Number, d.Plugin = logQuery(r)
	for _, p := range s.Plugins.List() {
		d.Plugins = append(d.Plugins, p.Name)
	}
	if d.Follow {
		s.live(w, r, d)
		return
	}
	var text strings.Builder
	_, _ = s.Logs.WriteLast(&text, mostLines)
	for line := range strings.Lines(text.String()) {
		if matches(strings.TrimSpace(line), d.Plugin) {
			d.Lines = append(d.Lines, line)
		}
	}
	d.Lines = d.Lines[max(0, len(d.Lines)-d.Number):]
	s.show(w, r, http.StatusOK, "logs", d)
}

// live sends the page of the log, and its lines as they are written: no script is needed for that.
func (s *site) live(w http.ResponseWriter, r *http.Request, d logsData) {
	head := s.render(w, r, "logs", d)
	if head == nil {
		return
	}
	const end = "</pre>" // there is one on the page
	head, rest, _ := bytes.Cut(head, []byte(end))
	if s.follow(w, r, head, func(line string) string { return string(logline(line)) }) {
		_, _ = w.Write(append([]byte(end), rest...)) // for a client that is there still
	}
}

// stream sends the log as it is written, as text.
func (s *site) stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	s.follow(w, r, nil, func(line string) string { return line })
}

// follow sends head, the last lines, and then others as they are written, until the client goes or its
// login ends. It says whether head was sent.
func (s *site) follow(w http.ResponseWriter, r *http.Request, head []byte, form func(line string) string) bool {
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		plain(w, http.StatusServiceUnavailable, "too many follow the log already\n")
		return false
	}
	if _, err := w.Write(head); err != nil {
		return false
	}
	n, name := logQuery(r)
	last, next, stop := s.Logs.Follow(n)
	defer stop()
	flush := http.NewResponseController(w)
	send := func(text string) error {
		for line := range strings.Lines(text) {
			if !matches(strings.TrimSpace(line), name) {
				continue
			}
			if _, err := io.WriteString(w, form(line)); err != nil {
				return err
			}
		}
		return flush.Flush()
	}
	if send(string(last)) != nil {
		return true
	}
	check := time.NewTicker(time.Minute)
	defer check.Stop()
	for {
		select {
		case b := <-next:
			if send(string(b)) != nil {
				return true
			}
		case <-check.C:
			if !s.identity(r).Known() {
				return true
			}
		case <-r.Context().Done():
			return true
		}
	}
}
