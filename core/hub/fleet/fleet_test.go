package fleet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openvic/vic/core/hub/seal"
	"github.com/openvic/vic/core/hub/vchs"
	"github.com/openvic/vic/core/hub/vchs/vchtest"
	"github.com/openvic/vic/core/store/storetest"
	"github.com/openvic/vic/sdk/errdef"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// world is a fleet over real registrations of VCHs that are tests' own.
type world struct {
	t     *testing.T
	vchs  *vchs.VCHs
	fleet *Fleet
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t}
	sealer, err := seal.Open(t.TempDir() + "/seal.key")
	must(t, err)
	w.vchs = vchs.New(storetest.Open(t, storetest.URL(t, "sqlite"), vchs.Schema()), sealer, nil)
	w.fleet = New(Options{VCHs: w.vchs, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), PingEvery: 500 * time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { w.fleet.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return w
}

// vch registers one of the project 1.
func (w *world) vch(name string, host *vchtest.Host) int64 {
	w.t.Helper()
	v, err := w.vchs.Register(w.t.Context(), vchs.Registration{UID: "uid-" + name, Name: name, Projects: []int64{1}})
	must(w.t, err)
	must(w.t, w.vchs.Connect(w.t.Context(), v.ID, vchs.Connection{Address: host.Address, ServerName: "vch.test", ServerCA: host.ServerCA,
		Certificate: host.Sign(w.t, v.Request)}))
	w.fleet.Look()
	return v.ID
}

func all(vchs.VCH) bool { return true }

// until waits for changes until the copy is as wanted.
func (w *world) until(what string, ok func(states []State, list []Container) bool) {
	w.t.Helper()
	late := time.After(time.Minute)
	for {
		states, list, next := w.fleet.Snapshot(all)
		if ok(states, list) {
			return
		}
		_, more, err := w.fleet.Since(next)
		must(w.t, err)
		select {
		case <-more:
		case <-late:
			w.t.Fatalf("not within a minute: %s: %+v %+v", what, states, list)
		}
	}
}

// find is the container of a name.
func find(list []Container, name string) Container {
	for _, c := range list {
		if c.Name == name {
			return c
		}
	}
	return Container{}
}

func TestTheCopyFollows(t *testing.T) {
	w, host := newWorld(t), vchtest.Serve(t)
	host.Docker.Add(&vchtest.Container{ID: vchtest.ID(1), Name: "web", Image: "nginx", State: "running", Status: "Up 5 minutes (healthy)", Created: 1000,
		Labels: map[string]string{"com.docker.compose.project": "shop"}},
		&vchtest.Container{ID: vchtest.ID(2), Name: "db", Image: "postgres", State: "exited", Status: "Exited (3) 2 hours ago"})
	id := w.vch("one", host)
	w.until("both are there", func(states []State, list []Container) bool {
		return len(states) == 1 && states[0].Up && states[0].Running == 1 && states[0].Containers == 2 && states[0].CPUs == 8 &&
			find(list, "web").Health == "healthy" && find(list, "web").Application == "shop" && find(list, "db").ExitCode == 3
	})
	if c := find(snapshot(w), "web"); time.Now().Unix()-c.Since < 290 || time.Now().Unix()-c.Since > 400 {
		t.Errorf("up since %d s, not five minutes", time.Now().Unix()-c.Since)
	}
	_, _, from := w.fleet.Snapshot(all)
	host.Docker.Set(vchtest.ID(1), "exited", "Exited (137) 1 second ago", "die")
	w.until("a container has died", func(states []State, list []Container) bool {
		return find(list, "web").State == "exited" && find(list, "web").ExitCode == 137 && states[0].Running == 0
	})
	host.Docker.Remove(vchtest.ID(2))
	w.until("a container is removed", func(states []State, list []Container) bool { return len(list) == 1 && states[0].Containers == 1 })
	changes, _, err := w.fleet.Since(from)
	must(t, err)
	var kinds []string
	for i, c := range changes {
		if c.Number != from+uint64(i) || c.VCH != id {
			t.Errorf("change %d: %+v", i, c)
		}
		kinds = append(kinds, string(c.Kind))
	}
	if got := strings.Join(kinds, " "); got != "container vch removed vch" {
		t.Errorf("changes: %s", got)
	}
	must(t, w.vchs.Remove(t.Context(), id))
	w.fleet.Look()
	w.until("the VCH is gone, with its containers", func(states []State, list []Container) bool { return len(states)+len(list) == 0 })
}

// snapshot are the containers.
func snapshot(w *world) []Container {
	_, list, _ := w.fleet.Snapshot(all)
	return list
}

// TestAVCHThatIsAway keeps what was known, says that it is old, and sees after the gap what had changed in it.
func TestAVCHThatIsAway(t *testing.T) {
	w, host := newWorld(t), vchtest.Serve(t)
	host.Docker.Add(&vchtest.Container{ID: vchtest.ID(1), Name: "web", State: "running"}, &vchtest.Container{ID: vchtest.ID(2), Name: "db", State: "running"})
	id := w.vch("one", host)
	w.until("both are there", func(_ []State, list []Container) bool { return len(list) == 2 })
	release := host.Docker.Hang() // the network is lost: connections stand, nothing answers
	w.until("it is away", func(states []State, list []Container) bool {
		return !states[0].Up && states[0].Away != "" && len(list) == 2
	})
	host.Docker.Set(vchtest.ID(1), "paused", "Up 1 second (Paused)", "pause")
	host.Docker.Remove(vchtest.ID(2))
	release()
	w.until("it is back, and so are the changes", func(states []State, list []Container) bool {
		return states[0].Up && len(list) == 1 && list[0].State == "paused"
	})
	// It moves: vic-machine connects it again at another address.
	other := vchtest.Serve(t)
	other.Docker.Add(&vchtest.Container{ID: vchtest.ID(3), Name: "new", State: "created"})
	host.Close()
	w.until("it is away for good", func(states []State, _ []Container) bool { return !states[0].Up })
	v, err := w.vchs.Get(t.Context(), id)
	must(t, err)
	must(t, w.vchs.Connect(t.Context(), id, vchs.Connection{Address: other.Address, ServerName: "vch.test", ServerCA: other.ServerCA,
		Certificate: other.Sign(t, v.Request)}))
	w.fleet.Look()
	w.until("it is found there", func(states []State, list []Container) bool {
		return states[0].Up && len(list) == 1 && list[0].Name == "new"
	})
}

// TestManyChangesAtOnce: what is older than the ring is told as such, and the copy is right all the same.
func TestManyChangesAtOnce(t *testing.T) {
	w, host := newWorld(t), vchtest.Serve(t)
	const many = 3000
	for i := range many {
		host.Docker.Add(&vchtest.Container{ID: vchtest.ID(i + 1), Name: fmt.Sprint("c", i), State: "created"})
	}
	w.vch("one", host)
	w.until("all are there", func(_ []State, list []Container) bool { return len(list) == many })
	for _, state := range []string{"running", "exited", "running"} {
		for i := range many {
			host.Docker.Set(vchtest.ID(i+1), state, "", "start")
		}
		w.until("all are "+state, func(states []State, list []Container) bool {
			n := 0
			for _, c := range list {
				if c.State == state {
					n++
				}
			}
			return n == many && states[0].Running == many*count(Container{State: state})
		})
	}
	if _, _, err := w.fleet.Since(0); !errors.Is(err, errdef.ErrNotFound) {
		t.Errorf("the first change of more than %d: %v", ringSize, err)
	}
	if _, _, err := w.fleet.Since(1 << 60); !errors.Is(err, errdef.ErrNotFound) {
		t.Errorf("a change that is to come: %v", err)
	}
}

func TestStatusTexts(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	for text, want := range map[string]string{
		"Up 5 minutes":                        "999700 0 ",
		"Up Less than a second":               "1000000 0 ",
		"Up About an hour (unhealthy)":        "996400 0 unhealthy",
		"Up 3 seconds (health: starting)":     "999997 0 starting",
		"Up 2 weeks (Paused)":                 "-209600 0 ",
		"Exited (137) About a minute ago":     "999940 137 ",
		"Restarting (1) 4 seconds ago":        "999996 1 ",
		"Created":                             "0 0 ",
		"":                                    "0 0 ",
		"Exited (99999) 1 second ago":         "999999 0 ",
		"Up 99999999999999999999999999 years": "0 0 ",
	} {
		since, exit, health := status(text, now)
		if got := fmt.Sprint(since, " ", exit, " ", health); got != want {
			t.Errorf("%q: %q, not %q", text, got, want)
		}
	}
}

// TestHostileLists: a VCH tells what it likes.
func TestHostileLists(t *testing.T) {
	long := strings.Repeat("é", 1000)
	l := listed{ID: vchtest.ID(1), Names: []string{"/a/b", "/" + long}, Image: long + "\xff", State: "running", Labels: map[string]string{}}
	for i := range 1000 {
		l.Labels[fmt.Sprint(i)] = long
		l.Ports = append(l.Ports, struct {
			IP          string
			PrivatePort uint16
			PublicPort  uint16
			Type        string
		}{IP: long})
	}
	c, ok := l.container(time.Now())
	if !ok || len(c.Name) != maxText || len(c.Image) > maxText || len(c.Ports) != maxPorts || len(c.Labels) != maxLabels {
		t.Errorf("%v: %d bytes of name, %d of image, %d ports, %d labels", ok, len(c.Name), len(c.Image), len(c.Ports), len(c.Labels))
	}
	for _, bad := range []listed{{ID: "x", State: "running"}, {ID: vchtest.ID(1), State: "<script>"}, {}} {
		if c, ok := bad.container(time.Now()); ok {
			t.Errorf("taken: %+v", c)
		}
	}
}

// never is a Dialer of a VCH that cannot be reached.
type never struct{}

func (never) TLS(vchs.VCH) (*tls.Config, error) {
	return nil, fmt.Errorf("nobody has said where: %w", errdef.ErrConflict)
}
func (never) List(context.Context, int64, int64, int) ([]vchs.VCH, bool, error) {
	return []vchs.VCH{{ID: 1, Name: "one"}}, false, nil
}

func TestAVCHThatWasNeverConnected(t *testing.T) {
	f := New(Options{VCHs: never{}, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go f.Run(ctx)
	w := &world{t: t, fleet: f}
	w.until("it says why", func(states []State, _ []Container) bool {
		return len(states) == 1 && states[0].Away == "nobody has said where"
	})
}

func FuzzStatus(f *testing.F) {
	f.Add("Up 5 minutes (healthy)")
	f.Add("Exited (137) About an hour ago")
	f.Fuzz(func(_ *testing.T, s string) { status(s, time.Unix(0, 0)) })
}
