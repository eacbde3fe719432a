package api

import (
	"compress/gzip"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openvic/vic/core/hub/authz"
	"github.com/openvic/vic/core/hub/fleet"
	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/hub/session"
	"github.com/openvic/vic/core/hub/vchs"
	"github.com/openvic/vic/sdk/errdef"
)

// What runs on the VCHs is live: a page takes one stream, which begins with all that there is and goes on with what
// changes.
func liveRoutes() []route {
	return []route{
		{method: "GET", path: "/live", id: "live", signed: true, run: (*api).live, gives: liveForm{},
			says: "See the VCHs and containers of all projects in which the caller may; with Accept: text/event-stream, a stream of them and of what changes"},
	}
}

// liveForm is all that there is at a moment.
type liveForm struct {
	VCHs       []liveVCH         `json:"vchs"`
	Containers []fleet.Container `json:"containers"`
}

// liveVCH is a VCH, with the projects in which the caller may see it.
type liveVCH struct {
	fleet.State
	Projects []string `json:"projects"`
}

// sight is what a caller may see: the names of the projects in which they may see containers, by number.
type sight map[int64]string

// sightOf finds the projects of the VCHs in which the caller may see containers.
func (a *api) sightOf(ctx context.Context, who authz.Subject) (sight, error) {
	states, _, _ := a.Fleet.Snapshot(func(vchs.VCH) bool { return true })
	out, asked := sight{}, map[int64]bool{}
	for _, s := range states {
		for _, id := range s.Projects() {
			if asked[id] {
				continue
			}
			asked[id] = true
			p, err := a.Registry.ProjectByID(ctx, a.DB, id)
			if errors.Is(err, errdef.ErrNotFound) {
				continue
			}
			if err != nil {
				return nil, err
			}
			answer, err := a.Authority.InProject(ctx, who, role.ContainerRead, p.Name)
			if err != nil {
				return nil, err
			}
			if answer == role.Allowed {
				out[id] = p.Name
			}
		}
	}
	return out, nil
}

func (s sight) of(projects []int64) []string {
	var names []string
	for _, id := range projects {
		if name, ok := s[id]; ok {
			names = append(names, name)
		}
	}
	return names
}

func (s sight) vch(v vchs.VCH) bool { return len(s.of(v.Projects)) > 0 }

func (s sight) same(t sight) bool {
	if len(s) != len(t) {
		return false
	}
	for id, name := range s {
		if t[id] != name {
			return false
		}
	}
	return true
}

func (a *api) live(c *call) error {
	seen, err := a.sightOf(c.r.Context(), c.who)
	if err != nil {
		return err
	}
	if !strings.Contains(c.r.Header.Get("Accept"), "text/event-stream") {
		states, list, _ := a.Fleet.Snapshot(seen.vch)
		out := liveForm{VCHs: []liveVCH{}, Containers: append([]fleet.Container{}, list...)}
		for _, s := range states {
			out.VCHs = append(out.VCHs, liveVCH{s, seen.of(s.Projects())})
		}
		return c.answer(http.StatusOK, out)
	}
	ctx, cancel := a.whileAllowed(c)
	defer cancel()
	s := newStream(c.w, c.r)
	defer s.close()
	err = a.stream(ctx, c, s, seen)
	if ctx.Err() != nil || errors.Is(err, errGone) {
		return nil // the client has gone, or may not see it any more: it comes again and is told
	}
	return err
}

// errGone is of a stream whose client does not read it any more.
var errGone = errors.New("the client has gone")

// Numbers of a stream.
const (
	liveBatch   = 500                    // containers of one event
	liveGather  = 100 * time.Millisecond // how long changes are gathered
	liveSilence = 20 * time.Second       // after which a line is sent so that proxies and clients see that the stream lives
	liveLook    = 5 * time.Second        // how often it is asked again what the caller may see
)

// instance tells the changes of this process from those of others: numbers mean nothing elsewhere.
var instance = rand.Text()[:8]

// series names what a caller is told as long as they may see the same.
func (s sight) series() string {
	sum := sha256.New()
	for _, id := range slices.Sorted(maps.Keys(s)) {
		fmt.Fprintln(sum, id, s[id])
	}
	return instance + hex.EncodeToString(sum.Sum(nil)[:8])
}

func (s sight) eventID(next uint64) string { return s.series() + "-" + strconv.FormatUint(next, 10) }

// resumed reads the number that a client has seen last; false if it is none of this process, or if they might see something else
// then: of that they were told too much or too little.
func resumed(r *http.Request, seen sight) (uint64, bool) {
	id, number, ok := strings.Cut(r.Header.Get("Last-Event-ID"), "-")
	n, err := strconv.ParseUint(number, 10, 64)
	return n, ok && err == nil && id == seen.series()
}

// stream tells all that there is, unless the client comes back and has seen it, and then what changes, until ctx ends.
func (a *api) stream(ctx context.Context, c *call, s *eventStream, seen sight) error {
	next, again := resumed(c.r, seen)
	if again {
		_, _, err := a.Fleet.Since(next)
		again = err == nil
	}
	if !again {
		var err error
		if next, err = a.tellAll(s, seen); err != nil {
			return err
		}
	}
	look, silence := time.NewTicker(liveLook), time.NewTicker(liveSilence)
	defer look.Stop()
	defer silence.Stop()
	for {
		changes, more, err := a.Fleet.Since(next)
		if errors.Is(err, errdef.ErrNotFound) { // the client was too slow
			if next, err = a.tellAll(s, seen); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if len(changes) > 0 {
			next += uint64(len(changes))
			if err := s.changes(changes, seen, next); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-more:
			select {
			case <-time.After(liveGather):
			case <-ctx.Done():
			}
		case <-silence.C:
			if err := s.comment(); err != nil {
				return err
			}
		case <-look.C:
			who, err := a.Authority.Still(ctx, c.who) // a robot's grants are of the moment at which it was found
			if errors.Is(err, errdef.ErrDenied) {
				return errGone
			}
			if err != nil {
				return err
			}
			now, err := a.sightOf(ctx, who)
			if err != nil {
				return err
			}
			if !now.same(seen) {
				seen = now
				if next, err = a.tellAll(s, seen); err != nil {
					return err
				}
			}
		}
	}
}

// tellAll sends all that there is, and returns the number of the first change after it.
func (a *api) tellAll(s *eventStream, seen sight) (next uint64, err error) {
	states, list, next := a.Fleet.Snapshot(seen.vch)
	all := []liveVCH{}
	for _, x := range states {
		all = append(all, liveVCH{x, seen.of(x.Projects())})
	}
	// From here on the client knows nothing, until "ready".
	if err := s.send("reset", "", all); err != nil {
		return 0, err
	}
	for some := range slices.Chunk(list, liveBatch) {
		if err := s.send("containers", "", some); err != nil {
			return 0, err
		}
	}
	return next, s.send("ready", seen.eventID(next), struct{}{})
}

// eventStream writes events to a browser, compressed if it takes that.
type eventStream struct {
	to    io.Writer
	zip   *gzip.Writer // nil: plain
	flush func() error
}

func newStream(w http.ResponseWriter, r *http.Request) *eventStream {
	s := &eventStream{to: w, flush: http.NewResponseController(w).Flush}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("X-Accel-Buffering", "no") // proxies pass it on at once
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		s.zip = gzip.NewWriter(w)
		s.to = s.zip
	}
	w.WriteHeader(http.StatusOK)
	return s
}

func (s *eventStream) close() {
	if s.zip != nil {
		_ = s.zip.Close() // the client may have gone
	}
}

// send writes one event; JSON has no line breaks.
func (s *eventStream) send(event, id string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if id != "" {
		id = "id: " + id + "\n"
	}
	return s.write(fmt.Appendf(nil, "%sevent: %s\ndata: %s\n\n", id, event, data))
}

func (s *eventStream) comment() error { return s.write([]byte(":\n\n")) }

func (s *eventStream) write(b []byte) error {
	_, err := s.to.Write(b)
	if err == nil && s.zip != nil {
		err = s.zip.Flush()
	}
	if err == nil {
		err = s.flush()
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	return nil
}

// goneForm names what is gone, or what a client may ask for again.
type goneForm struct {
	VCH int64  `json:"vch"`
	ID  string `json:"id,omitempty"`
}

// changes sends changes, of each thing the last alone. next is the number after them.
func (s *eventStream) changes(list []fleet.Change, seen sight, next uint64) error {
	type key struct {
		kind fleet.Kind
		vch  int64
		id   string
	}
	list = slices.DeleteFunc(list, func(c fleet.Change) bool { return len(seen.of(c.Projects)) == 0 })
	last := map[key]int{}
	keyOf := func(c fleet.Change) key {
		k := key{c.Kind, c.VCH, c.ID}
		if c.Kind == fleet.KindRemoved { // one that is made and removed at once is gone
			k.kind = fleet.KindContainer
		}
		if c.Kind == fleet.KindGone {
			k.kind = fleet.KindVCH
		}
		return k
	}
	for i, c := range list {
		last[keyOf(c)] = i
	}
	id := seen.eventID(next)
	var some []fleet.Container
	for i, c := range list {
		if last[keyOf(c)] != i {
			continue
		}
		var err error
		switch c.Kind {
		case fleet.KindVCH:
			err = s.send("vch", "", liveVCH{c.State, seen.of(c.Projects)})
		case fleet.KindContainer:
			// What was told of it before it went is of no use.
			if at, ok := last[key{fleet.KindVCH, c.VCH, ""}]; !ok || at < i || list[at].Kind != fleet.KindGone {
				some = append(some, c.Container)
			}
		default:
			err = s.send(string(c.Kind), "", goneForm{c.VCH, c.ID})
		}
		if err != nil {
			return err
		}
	}
	for batch := range slices.Chunk(some, liveBatch) {
		if err := s.send("containers", "", batch); err != nil {
			return err
		}
	}
	return s.send("ready", id, struct{}{})
}

// whileAllowed is the request's context, which ends, too, within seconds after the caller may not do this any more: their
// session has ended, their account, or their role.
func (a *api) whileAllowed(c *call) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(c.r.Context())
	go func() {
		defer cancel()
		ticks := time.NewTicker(liveLook)
		defer ticks.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticks.C:
			}
			if may, err := a.still(ctx, c); err != nil || !may {
				return
			}
		}
	}()
	return ctx, cancel
}

// still says whether the caller may still do what the request was let in for. It is no sign that they are there: the
// session's idle time goes on.
func (a *api) still(ctx context.Context, c *call) (bool, error) {
	s, err := a.Authority.Still(ctx, c.who)
	if err != nil {
		return false, err
	}
	if c.session != "" {
		list, err := a.Sessions.List(ctx, c.who.ID, c.who.Epoch)
		if err != nil || !slices.ContainsFunc(list, func(x session.Session) bool { return x.ID == c.session }) {
			return false, err
		}
	}
	if c.needs == 0 || c.project.ID == 0 {
		return true, nil
	}
	answer, err := a.Authority.InProject(ctx, s, c.needs, c.project.Name)
	return answer == role.Allowed, err
}
