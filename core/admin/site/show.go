package site

import (
	"bytes"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/openvic/vic/core/access"
)

// page is what every page is given.
type page struct {
	VCH, Version string
	Title, Path  string
	Caller       access.Caller
	Now          time.Time
	Data         any
}

// titles are the pages and what they are called.
func titles() map[string]string {
	return map[string]string{"login": "Log in", "home": "Health", "containers": "Containers", "events": "Events", "logs": "Logs", "problem": "Problem"}
}

func parse() (map[string]*template.Template, error) {
	all := map[string]*template.Template{}
	for name := range titles() {
		t, err := template.New("layout.html").Funcs(template.FuncMap{
			"bytes": size, "time": stamp, "short": short, "query": url.QueryEscape, "percent": percent,
			"day": day, "logline": logline,
		}).ParseFS(pages, "pages/layout.html", "pages/"+name+".html")
		if err != nil {
			return nil, fmt.Errorf("page %s: %w", name, err)
		}
		all[name] = t
	}
	return all, nil
}

// show writes a page; an error in its making is a page of its own, not half of one.
func (s *site) show(w http.ResponseWriter, r *http.Request, status int, name string, data any) {
	if b := s.render(w, r, name, data); b != nil {
		w.WriteHeader(status)
		_, _ = w.Write(b)
	}
}

// render makes a page; nil if it could not, which is answered then.
func (s *site) render(w http.ResponseWriter, r *http.Request, name string, data any) []byte {
	var b bytes.Buffer
	p := page{VCH: s.Name, Version: s.Version, Title: titles()[name], Path: r.URL.Path, Caller: access.From(r.Context()), Now: s.Now(), Data: data}
	if err := s.pages[name].Execute(&b, p); err != nil {
		s.Log.Error("admin site: a page cannot be made", "page", name, "err", err)
		plain(w, http.StatusInternalServerError, "the page cannot be made; the log says why\n")
		return nil
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	return b.Bytes()
}

// size is a number of bytes for people.
func size(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	f, i := float64(n)/unit, 0
	for f >= unit && i < 4 {
		f, i = f/unit, i+1
	}
	return fmt.Sprintf("%.1f %ciB", f, "KMGTP"[i])
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

func day(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("2006-01-02")
}

// logline is a line of the log as HTML; those that tell of problems have a colour.
func logline(line string) template.HTML {
	text := template.HTMLEscapeString(strings.TrimSuffix(line, "\n"))
	class := ""
	switch {
	case strings.Contains(line, " level=ERROR "):
		class = "problem"
	case strings.Contains(line, " level=WARN "):
		class = "warning"
	default:
		return template.HTML(text + "\n") //nolint:gosec // escaped above
	}
	return template.HTML(`<span class="` + class + `">` + text + "</span>\n") //nolint:gosec // escaped above
}

func short(id string) string { return id[:min(12, len(id))] }

// percent is how much of a capacity is used.
func percent(capacity, free int64) int64 {
	if capacity <= 0 {
		return 0
	}
	return 100 * (capacity - free) / capacity
}
