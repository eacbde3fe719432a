package site

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/openvic/vic/core/metrics"
	"github.com/openvic/vic/core/plugin"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/platform"
)

const (
	platformTimeout = 10 * time.Second
	shownEvents     = 100
	shownLines      = 200
	mostLines       = 10_000
	expirySoon      = 30 * 24 * time.Hour
)

// certificate is one row of the table of certificates.
type certificate struct {
	Name    string
	Until   time.Time
	Problem string
}

type homeData struct {
	Waiting      string
	Began        time.Time
	Plugins      []plugin.Status
	Platform     platform.Report
	PlatformErr  string
	Certificates []certificate
	Containers   []count
}

type count struct {
	State string
	N     int
}

func (s *site) home(w http.ResponseWriter, r *http.Request) {
	d := homeData{Waiting: s.WaitingFor(), Began: s.began, Plugins: s.Plugins.List(), Certificates: s.certificates(), Containers: s.counts()}
	d.Platform, d.PlatformErr = s.platform(r.Context(), 0)
	s.show(w, r, http.StatusOK, "home", d)
}

// platform asks the platform, and tells people why it does not answer.
func (s *site) platform(ctx context.Context, events int) (platform.Report, string) {
	ctx, cancel := context.WithTimeout(ctx, platformTimeout)
	defer cancel()
	rep, err := s.Platform(ctx, events)
	switch {
	case errors.Is(err, errdef.ErrUnsupported):
		return rep, "the plugin has nothing to tell of its platform"
	case err != nil:
		return rep, err.Error()
	}
	return rep, ""
}

func (s *site) certificates() []certificate {
	var all []certificate
	for name, file := range s.Certificates {
		c := certificate{Name: name}
		var err error
		c.Until, err = metrics.Expiry(file)
		switch left := c.Until.Sub(s.Now()); {
		case err != nil:
			c.Problem = err.Error()
		case left <= 0:
			c.Problem = "has ended; vic-machine certificate renew"
		case left < expirySoon:
			c.Problem = "ends soon; vic-machine certificate renew"
		}
		all = append(all, c)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all
}

func (s *site) counts() []count {
	byState := map[string]int{}
	for _, c := range s.Containers() {
		byState[c.Status]++
	}
	var all []count
	for state, n := range byState {
		all = append(all, count{state, n})
	}
	sort.Slice(all, func(i, j int) bool { return all[i].State < all[j].State })
	return all
}

func (s *site) containers(w http.ResponseWriter, r *http.Request) {
	all := s.Containers()
	slices.SortFunc(all, func(a, b Container) int { return b.Created.Compare(a.Created) })
	s.show(w, r, http.StatusOK, "containers", all)
}

type eventsData struct {
	Events  []platform.Event
	Problem string
}

func (s *site) events(w http.ResponseWriter, r *http.Request) {
	rep, problem := s.platform(r.Context(), shownEvents)
	s.show(w, r, http.StatusOK, "events", eventsData{rep.Events, problem})
}

type logsData struct {
	Lines   []string
	Plugin  string
	Plugins []string
	Number  int
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
	d := logsData{}
	d.Number, d.Plugin = logQuery(r)
	for _, p := range s.Plugins.List() {
		d.Plugins = append(d.Plugins, p.Name)
	}
	var text strings.Builder
	_, _ = s.Logs.WriteLast(&text, mostLines)
	for line := range strings.Lines(text.String()) {
		if matches(strings.TrimSpace(line), d.Plugin) {
			d.Lines = append(d.Lines, strings.TrimSuffix(line, "\n"))
		}
	}
	d.Lines = d.Lines[max(0, len(d.Lines)-d.Number):]
	s.show(w, r, http.StatusOK, "logs", d)
}

// stream sends the log as it is written, until the client goes or its login ends.
func (s *site) stream(w http.ResponseWriter, r *http.Request) {
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		plain(w, http.StatusServiceUnavailable, "too many follow the log already\n")
		return
	}
	n, name := logQuery(r)
	last, next, stop := s.Logs.Follow(n)
	defer stop()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	flush := http.NewResponseController(w)
	send := func(text string) error {
		for line := range strings.Lines(text) {
			if !matches(strings.TrimSpace(line), name) {
				continue
			}
			if _, err := w.Write([]byte(line)); err != nil {
				return err
			}
		}
		return flush.Flush()
	}
	if send(string(last)) != nil {
		return
	}
	check := time.NewTicker(time.Minute)
	defer check.Stop()
	for {
		select {
		case b := <-next:
			if send(string(b)) != nil {
				return
			}
		case <-check.C:
			if _, _, ok := s.identity(r); !ok {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}

func (s *site) restart(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	s.Log.Warn("admin site: plugin restart was asked for", "plugin", name, "by", who(r).Name)
	ctx, cancel := context.WithTimeout(r.Context(), time.Minute)
	defer cancel()
	if _, err := s.Plugins.Restart(ctx, name); err != nil {
		status := http.StatusServiceUnavailable
		if errors.Is(err, errdef.ErrNotFound) {
			status = http.StatusNotFound
		}
		s.show(w, r, status, "problem", err.Error())
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
