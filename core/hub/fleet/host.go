package fleet

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/openvic/vic/core/hub/vchs"
	"github.com/openvic/vic/sdk/errdef"
)

// host is a VCH that is watched. Its goroutine is run; what it knows is guarded by fleet.mu.
type host struct {
	fleet *Fleet
	vch   vchs.VCH
	stop  context.CancelFunc
	conn  *Conn // for others; nil until somebody asks

	containers map[string]Container
	running    int
	said       State  // Version, CPUs and Memory
	away       string // why it does not answer; empty: it does
	since      time.Time
}

// Times of a watch.
const (
	maxPause    = 15 * time.Second
	listTime    = 2 * time.Minute
	gather      = 50 * time.Millisecond // how long events are gathered before what they name is asked for
	relistEvery = 10 * time.Minute
)

// run watches until ctx ends. Pauses between attempts grow, so that a VCH that is away costs little.
func (h *host) run(ctx context.Context) {
	defer h.leave()
	var pause time.Duration
	for ctx.Err() == nil {
		answered, err := h.watch(ctx)
		if ctx.Err() != nil {
			return
		}
		if answered {
			pause = 0
		}
		h.gone(ctx, err)
		pause = min(max(2*pause, time.Second), maxPause)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// leave ends what is left of a watch.
func (h *host) leave() {
	h.stop()
	h.fleet.mu.Lock()
	defer h.fleet.mu.Unlock()
	if h.conn != nil {
		h.conn.Close()
	}
}

// gone marks the VCH as away. What was known of it stays.
func (h *host) gone(ctx context.Context, err error) {
	h.fleet.mu.Lock()
	defer h.fleet.mu.Unlock()
	text := reason(err)
	if h.away == text || ctx.Err() != nil { // after that, another host tells of the VCH
		return
	}
	if h.away == "" {
		h.since = time.Now()
		h.fleet.o.Log.Info("a VCH does not answer", "vch", h.String(), "err", err)
	}
	h.away = text
	h.tell(Change{Kind: KindVCH, State: h.state()})
}

// reason is an error as people read it: without the words of its class at the end.
func reason(err error) string {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		err = errEnded
	}
	text := err.Error()
	for _, class := range []error{errdef.ErrConflict, errdef.ErrUnavailable} {
		text = strings.TrimSuffix(strings.ReplaceAll(text, ": "+class.Error()+": ", ": "), ": "+class.Error())
	}
	return cut(text)
}

// watch reads events until the VCH does not answer any more. answered says that it has.
func (h *host) watch(ctx context.Context) (answered bool, err error) {
	h.fleet.mu.Lock()
	vch := h.vch
	h.fleet.mu.Unlock()
	conn, err := Dial(h.fleet.o.VCHs, vch)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// Events first: whatever changes while the list is read is told.
	events, err := conn.open(ctx, "/events")
	if err != nil {
		return false, err
	}
	defer events.Close()
	if err := h.relist(ctx, conn); err != nil {
		return false, err
	}
	told := make(chan event, 256)
	go func() { cancel(readEvents(ctx, events, told)) }()
	return true, h.follow(ctx, conn, told)
}

// follow asks for what events name, and whether the VCH is there while there are none.
func (h *host) follow(ctx context.Context, conn *Conn, told <-chan event) error {
	ping, relist := time.NewTicker(h.fleet.o.PingEvery), time.NewTicker(relistEvery)
	defer ping.Stop()
	defer relist.Stop()
	named := map[string]bool{}
	var soon <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case e := <-told:
			if h.things(e) {
				continue
			}
			if named[e.container()] = true; soon == nil {
				soon = time.After(gather)
			}
		case <-soon:
			soon = nil
			if err := h.refresh(ctx, conn, named); err != nil {
				return err
			}
			clear(named)
		case <-ping.C:
			if err := conn.get(ctx, h.fleet.o.PingEvery, "/_ping", nil); err != nil {
				return err
			}
		case <-relist.C:
			if err := h.relist(ctx, conn); err != nil {
				return err
			}
		}
	}
}

// relist reads everything. What is not there any more goes.
func (h *host) relist(ctx context.Context, conn *Conn) error {
	var info struct {
		NCPU          int
		MemTotal      int64
		ServerVersion string
	}
	if err := conn.get(ctx, listTime, "/info", &info); err != nil {
		return err
	}
	var list containers
	if err := conn.get(ctx, listTime, "/containers/json?all=1", &list); err != nil {
		return err
	}
	f := h.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	if ctx.Err() != nil {
		return context.Cause(ctx) // another host has taken over
	}
	h.said = State{Version: cut(info.ServerVersion), CPUs: info.NCPU, Memory: info.MemTotal}
	there := h.take(list, false)
	for id := range h.containers {
		if !there[id] {
			h.remove(id)
		}
	}
	if h.away != "" {
		h.away, h.since = "", time.Now()
	}
	h.tell(Change{Kind: KindVCH, State: h.state()})
	return nil
}

// maxNamed is how many containers one question names: they stand in its address.
const maxNamed = 50

// refresh asks about the containers that events named.
func (h *host) refresh(ctx context.Context, conn *Conn, named map[string]bool) error {
	ids := make([]string, 0, len(named))
	for id := range named {
		ids = append(ids, id)
	}
	for some := range slices.Chunk(ids, maxNamed) {
		filter, err := json.Marshal(map[string][]string{"id": some})
		if err != nil {
			return err
		}
		var list containers
		if err := conn.get(ctx, listTime, "/containers/json?all=1&filters="+url.QueryEscape(string(filter)), &list); err != nil {
			return err
		}
		h.fleet.mu.Lock()
		if ctx.Err() != nil {
			h.fleet.mu.Unlock()
			return context.Cause(ctx)
		}
		count, running := len(h.containers), h.running
		there := h.take(list, true)
		for _, id := range some {
			if !there[id] { // it may have come and gone since it was looked last: whoever made it wants to know
				h.remove(id)
			}
		}
		if len(h.containers) != count || h.running != running {
			h.tell(Change{Kind: KindVCH, State: h.state()})
		}
		h.fleet.mu.Unlock()
	}
	return nil
}

// take keeps what a list tells, and says which were in it. recent says that something has just happened to them, so that
// Since is exact. The caller holds fleet.mu.
func (h *host) take(list containers, recent bool) map[string]bool {
	there := map[string]bool{}
	for _, c := range list {
		c.VCH = h.vch.ID
		old, known := h.containers[c.ID]
		if !known && len(h.containers) >= maxContainers {
			continue
		}
		there[c.ID] = true
		if known && c.same(old) && (!recent || c.Since == old.Since) {
			continue
		}
		h.running += count(c) - count(old)
		h.containers[c.ID] = c
		h.tell(Change{Kind: KindContainer, ID: c.ID, Container: c})
	}
	return there
}

// remove forgets a container. The caller holds fleet.mu.
func (h *host) remove(id string) {
	h.running -= count(h.containers[id])
	delete(h.containers, id)
	h.tell(Change{Kind: KindRemoved, ID: id})
}

// tell adds a change of this VCH. The caller holds fleet.mu.
func (h *host) tell(c Change) {
	c.VCH, c.Projects = h.vch.ID, h.vch.Projects
	h.fleet.tell(c)
}

// count is 1 for a container whose process runs.
func count(c Container) int {
	if c.State == "running" || c.State == "paused" || c.State == "restarting" {
		return 1
	}
	return 0
}

// event is one of Docker's, as far as it is used here.
type event struct {
	Type, Action string
	Actor        struct {
		ID         string
		Attributes map[string]string
	}
}

// container is the one that an event is about; "" if there is none.
func (e event) container() string {
	id := e.Actor.ID
	if e.Type == "network" {
		id = e.Actor.Attributes["container"]
	}
	if !containerID.MatchString(id) {
		return ""
	}
	return id
}

// quiet are the actions of containers that no list shows.
var quiet = []string{"attach", "detach", "exec_create", "exec_start", "exec_die", "exec_detach", "resize", "top", "export", "copy", "commit",
	"archive-path", "extract-to-dir"}

// things tells of an event that is about no container, or about nothing that lists show; false: it is about a container.
func (h *host) things(e event) bool {
	action, _, _ := strings.Cut(e.Action, ":")
	if e.Type == "container" && slices.Contains(quiet, action) {
		return true
	}
	if e.Type == "network" || e.Type == "volume" || e.Type == "image" {
		h.fleet.mu.Lock()
		h.tell(Change{Kind: KindThings, ID: e.Type})
		h.fleet.mu.Unlock()
	}
	return e.container() == ""
}

// maxEvent bounds one event, in bytes.
const maxEvent = 256 << 10

var errEnded = errors.New("it has ended the connection")

// readEvents reads until the stream ends, which is an error.
func readEvents(ctx context.Context, from interface{ Read([]byte) (int, error) }, to chan<- event) error {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, maxEvent)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("its events cannot be read: %w", err)
		}
		select {
		case to <- e:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return errEnded
}

// Refused is an answer of a VCH that is no success.
type Refused struct {
	Status  int
	Message string // Docker's, at most some KB
}

// Error implements error.
func (r *Refused) Error() string {
	if r.Message != "" {
		return r.Message
	}
	return http.StatusText(r.Status)
}
