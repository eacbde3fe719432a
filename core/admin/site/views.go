package site

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sort"
	"time"

	"github.com/openvic/vic/core/access"
	"github.com/openvic/vic/core/metrics"
	"github.com/openvic/vic/core/plugin"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/platform"
)

const (
	platformTimeout = 10 * time.Second
	shownEvents     = 100
	running         = "running" // the state
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

	Well, Running, Total int
	Fullest              *platform.Store // that is known; nil: none is
	First                *certificate    // to end
}

type count struct {
	State string
	N     int
}

func (s *site) home(w http.ResponseWriter, r *http.Request) {
	d := homeData{Waiting: s.WaitingFor(), Began: s.began, Plugins: s.Plugins.List(), Certificates: s.certificates(), Containers: s.counts()}
	d.Platform, d.PlatformErr = s.platform(r.Context(), 0)
	d.sum()
	s.show(w, r, http.StatusOK, "home", d)
}

// sum makes what the page begins with.
func (d *homeData) sum() {
	for _, p := range d.Plugins {
		if p.State == plugin.StateUp && p.Healthy {
			d.Well++
		}
	}
	for _, c := range d.Containers {
		d.Total += c.N
		if c.State == running {
			d.Running = c.N
		}
	}
	for i, st := range d.Platform.Stores {
		if st.Capacity > 0 && (d.Fullest == nil || percent(st.Capacity, st.Free) > percent(d.Fullest.Capacity, d.Fullest.Free)) {
			d.Fullest = &d.Platform.Stores[i]
		}
	}
	for i, c := range d.Certificates {
		if !c.Until.IsZero() && (d.First == nil || c.Until.Before(d.First.Until)) {
			d.First = &d.Certificates[i]
		}
	}
}

// platform asks the platform, and tells people why it does not answer.
func (s *site) platform(ctx context.Context, events int) (platform.Report, string) {
	ctx, cancel := context.WithTimeout(ctx, platformTimeout)
	defer cancel()
	rep, err := s.Platform(ctx, events)
	switch {
	case errors.Is(err, errdef.ErrUnsupported):
		return rep, "the plugin has nothing to tell of its platform"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(ctx.Err(), context.DeadlineExceeded):
		return rep, "the platform did not answer within " + platformTimeout.String() + "; load the page again"
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

func (s *site) restart(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	s.Log.Warn("admin site: plugin restart was asked for", "plugin", name, "caller", access.From(r.Context()).Name)
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
