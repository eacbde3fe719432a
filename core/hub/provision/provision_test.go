package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openvic/vic/core/hub/fleet"
	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/hub/seal"
	"github.com/openvic/vic/core/hub/vchs"
	"github.com/openvic/vic/core/hub/vchs/vchtest"
	"github.com/openvic/vic/core/store"
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

// project is the one of all tests.
const project = 5

// world is the provisions of a project with VCHs of the tests' own.
type world struct {
	t     *testing.T
	url   string
	db    *store.Store
	vchs  *vchs.VCHs
	fleet *fleet.Fleet
	queue *jobs.Queue
	p     *Provisions
	stop  func()
}

func newWorld(t *testing.T, kind string) *world {
	t.Helper()
	w := &world{t: t, url: storetest.URL(t, kind)}
	w.db = storetest.Open(t, w.url, vchs.Schema(), jobs.Schema(), Schema())
	sealer, err := seal.Open(t.TempDir() + "/seal.key")
	must(t, err)
	w.vchs = vchs.New(w.db, sealer, nil)
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	w.fleet = fleet.New(fleet.Options{VCHs: w.vchs, Log: log})
	w.p = New(Options{DB: w.db, Sealer: sealer, Fleet: w.fleet, VCHs: w.vchs, Queue: func() *jobs.Queue { return w.queue }, Log: log,
		Token: func(context.Context, string, string) (string, error) { return "opens", nil }})
	w.queue = jobs.New(w.db, jobs.Options{Kinds: []jobs.Kind{w.p.Jobs()}, Log: log, Lease: 2 * time.Second, Grace: time.Second})
	w.start()
	t.Cleanup(func() { w.stop() })
	return w
}

// start runs what a hub runs, until stop.
func (w *world) start() {
	ctx, cancel := context.WithCancel(w.t.Context())
	var running sync.WaitGroup
	running.Go(func() { w.fleet.Run(ctx) })
	running.Go(func() { w.queue.Run(ctx) })
	running.Go(func() { w.p.Run(ctx) })
	w.stop = func() { cancel(); running.Wait() }
}

// vch makes one a resource of the project, and waits until it is seen.
func (w *world) vch(name string) (*vchtest.Host, int64) {
	w.t.Helper()
	host := vchtest.Serve(w.t)
	v, err := w.vchs.Register(w.t.Context(), vchs.Registration{UID: "uid-" + name, Name: name, Projects: []int64{project}})
	must(w.t, err)
	must(w.t, w.vchs.Connect(w.t.Context(), v.ID, vchs.Connection{Address: host.Address, ServerName: "vch.test", ServerCA: host.ServerCA,
		Certificate: host.Sign(w.t, v.Request)}))
	w.fleet.Look()
	w.until(name+" is up", func() bool { s, err := w.fleet.VCH(v.ID); return err == nil && s.Up })
	return host, v.ID
}

// until waits for changes of the fleet, or for a moment, until something is as wanted.
func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	late := time.After(2 * time.Minute)
	for {
		_, _, next := w.fleet.Snapshot(of(project))
		if ok() {
			return
		}
		_, more, err := w.fleet.Since(next)
		must(w.t, err)
		select {
		case <-more:
		case <-time.After(20 * time.Millisecond): // the database tells nobody
		case <-late:
			w.t.Fatalf("not within two minutes: %s", what)
		}
	}
}

// request is one for a container of an image.
func request(body string) Request {
	return Request{Project: project, ProjectName: "shop", Principal: "d/dev", RequestedBy: "dev@d", Body: json.RawMessage(body), Start: true}
}

// is waits until a provision has a status.
func (w *world) is(id int64, want Status) Provision {
	w.t.Helper()
	var x Provision
	w.until(fmt.Sprintf("request %d is %s", id, want), func() bool {
		var err error
		x, err = w.p.Get(w.t.Context(), project, id)
		must(w.t, err)
		if x.Status == Failed && want != Failed {
			w.t.Fatalf("it has failed: %s", x.Message)
		}
		return x.Status == want
	})
	return x
}

func TestAContainerIsMade(t *testing.T) {
	storetest.Each(t, func(t *testing.T, _ func(...store.Schema) *store.Store) {
		w := newWorld(t, t.Name()[strings.LastIndex(t.Name(), "/")+1:])
		if _, err := w.p.Create(t.Context(), request(`{"Image":"nginx"}`)); !errors.Is(err, errdef.ErrUnavailable) {
			t.Errorf("without a VCH: %v", err)
		}
		host, vch := w.vch("one")
		must(t, w.p.SetAllowance(t.Context(), project, Size{2, 4e9, 1 << 30}))
		r := request(`{"Image":"nginx:1","Env":["SECRET=hush"],"Labels":{"a":"b"},"HostConfig":{"Memory":536870912,"RestartPolicy":{"Name":"always"}}}`)
		r.Name = "web"
		made, err := w.p.Create(t.Context(), r)
		must(t, err)
		done := w.is(made.ID, Done)
		c := host.Docker.Get("web")
		if c == nil || c.ID != done.Container || c.State != "running" || done.VCH != vch || fmt.Sprint(host.Docker.Pulled()) != "[docker.io/library/nginx:1]" {
			t.Fatalf("%+v of %+v, pulled %q", c, done, host.Docker.Pulled())
		}
		var body struct {
			Env        []string
			Labels     map[string]string
			HostConfig struct {
				Memory, NanoCpus int64
				RestartPolicy    struct{ Name string }
			}
		}
		must(t, json.Unmarshal(c.Create, &body))
		if body.Env[0] != "SECRET=hush" || body.Labels["a"] != "b" || body.Labels[LabelProject] != "shop" || body.HostConfig.Memory != 1<<29 ||
			body.HostConfig.NanoCpus != 1e9 || body.HostConfig.RestartPolicy.Name != "always" {
			t.Errorf("what the VCH was told: %s", c.Create)
		}
		if len(done.sealed) != 0 {
			t.Error("the body is kept after it was used")
		}
		// What it holds is given back when it is removed.
		if a, err := w.p.Allowance(t.Context(), project); err != nil || a.Used != (Size{1, 1e9, 1 << 29}) {
			t.Errorf("%+v %v", a, err)
		}
		host.Docker.Remove(c.ID)
		w.is(made.ID, Removed)
		if a, err := w.p.Allowance(t.Context(), project); err != nil || a.Used != (Size{}) {
			t.Errorf("after it was removed: %+v %v", a, err)
		}
	})
}

// A VCH that tells of the container of another one changes nothing of what that one holds.
func TestAnotherVCHsWordOfAContainer(t *testing.T) {
	w := newWorld(t, "sqlite")
	host, vch := w.vch("one")
	liar, other := w.vch("two")
	create := func() Provision {
		r := request(`{"Image":"nginx"}`)
		r.Wish.VCH = vch
		made, err := w.p.Create(t.Context(), r)
		must(t, err)
		return w.is(made.ID, Done)
	}
	first, second := create(), create()
	shown := func() bool {
		_, list, _ := w.fleet.Snapshot(of(project))
		return slices.ContainsFunc(list, func(c fleet.Container) bool { return c.VCH == other && c.ID == first.Container })
	}
	liar.Docker.Add(&vchtest.Container{ID: first.Container, Name: "web", State: "running"})
	liar.Docker.Set(first.Container, "running", "Up 1 second", "start")
	w.until("the other VCH tells of it", shown)
	liar.Docker.Remove(first.Container)
	w.until("the other VCH tells that it is gone", func() bool { return !shown() })
	host.Docker.Remove(second.Container) // changes are looked at in their order
	w.is(second.ID, Removed)
	if x, err := w.p.Get(t.Context(), project, first.ID); err != nil || x.Status != Done {
		t.Errorf("%+v %v", x, err)
	}
}

func TestWhatCannotBeMade(t *testing.T) {
	w := newWorld(t, "sqlite")
	host, _ := w.vch("one")
	host.Docker.Add(&vchtest.Container{ID: vchtest.ID(1), Name: "taken", State: "running"})
	for _, bad := range []string{``, `[]`, `{}`, `{"Image":""}`, `{"Image":"x","HostConfig":{"Memory":-1}}`, `{"Image":"x","image":"y"}`,
		`{"Image":"x","HostConfig":{"Memory":1,"memory":2}}`, `{"Image":"x","HostConfig":{},"hostconfig":{"Privileged":true}}`,
		`{"Image":"x","HostConfig":{},"HoſtConfig":{"Privileged":true}}`,
		`{"Image":"` + strings.Repeat("x", 600) + `"}`} {
		if _, err := w.p.Create(t.Context(), request(bad)); !errors.Is(err, errdef.ErrInvalid) {
			t.Errorf("%.60s: %v", bad, err)
		}
	}
	for what, r := range map[string]Request{
		"a container named taken is there already": {Name: "taken", Body: json.RawMessage(`{"Image":"nginx"}`)},
		"manifest for docker.io/library/missing":   {Body: json.RawMessage(`{"Image":"missing"}`)},
	} {
		q := request(string(r.Body))
		q.Name = r.Name
		made, err := w.p.Create(t.Context(), q)
		must(t, err)
		if x := w.is(made.ID, Failed); !strings.Contains(x.Message, what) {
			t.Errorf("%q, not %q", x.Message, what)
		}
	}
	if a, err := w.p.Allowance(t.Context(), project); err != nil || a.Used != (Size{}) {
		t.Errorf("what failed holds: %+v %v", a, err)
	}
}

// TestManyAtOnce: what is given never exceeds what there is.
func TestManyAtOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, _ func(...store.Schema) *store.Store) {
		w := newWorld(t, t.Name()[strings.LastIndex(t.Name(), "/")+1:])
		host, _ := w.vch("one")
		const most = 7
		must(t, w.p.SetAllowance(t.Context(), project, Size{most, Unlimited, Unlimited}))
		var all sync.WaitGroup
		var mu sync.Mutex
		var made []int64
		for range 50 {
			all.Go(func() {
				x, err := w.p.Create(t.Context(), request(`{"Image":"nginx"}`))
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					made = append(made, x.ID)
				case !errors.Is(err, errdef.ErrExhausted) || !strings.Contains(err.Error(), "7 of 7 are used"):
					t.Error(err)
				}
			})
		}
		all.Wait()
		if len(made) != most {
			t.Errorf("%d of %d", len(made), most)
		}
		for _, id := range made {
			w.is(id, Done)
		}
		if n := host.Docker.Count(); n != most {
			t.Errorf("%d containers", n)
		}
	})
}

func TestApprovals(t *testing.T) {
	storetest.Each(t, func(t *testing.T, _ func(...store.Schema) *store.Store) {
		w := newWorld(t, t.Name()[strings.LastIndex(t.Name(), "/")+1:])
		host, _ := w.vch("one")
		_, err := w.p.AddRule(t.Context(), Rule{Name: "large", MemoryOver: 1 << 30})
		must(t, err)
		_, err = w.p.AddRule(t.Context(), Rule{Project: project, Name: "public", Publishes: true, Everybody: true})
		must(t, err)
		const large = `{"Image":"nginx","HostConfig":{"Memory":2147483648}}`
		preview, err := w.p.Preview(t.Context(), request(large))
		if err != nil || preview.Reason != "rule large" || preview.Plan.Chosen == 0 {
			t.Errorf("%+v %v", preview, err)
		}
		make := func(body string, decides bool) Provision {
			t.Helper()
			r := request(body)
			r.Decides = decides
			x, err := w.p.Create(t.Context(), r)
			must(t, err)
			return x
		}
		if x := make(large, true); x.Status != Pending {
			t.Errorf("of who decides: %+v", x)
		}
		if x := make(`{"Image":"nginx","HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":"80"}]}}}`, true); x.Status != Waiting || x.Reason != "rule public" {
			t.Errorf("a rule for everybody: %+v", x)
		}
		x := make(large, false)
		boss := Decision{Approve: true, Principal: "d/boss", By: "boss@d", Comment: "fine"}
		if _, err := w.p.Decide(t.Context(), project, x.ID, Decision{Approve: true, Principal: "d/dev"}); !errors.Is(err, errdef.ErrDenied) {
			t.Errorf("their own: %v", err)
		}
		if _, err := w.p.Decide(t.Context(), project+1, x.ID, boss); !errors.Is(err, errdef.ErrNotFound) {
			t.Errorf("in another project: %v", err)
		}
		// Beyond the allowance it needs one who may; it waits on meanwhile.
		must(t, w.p.SetAllowance(t.Context(), project, Size{Unlimited, Unlimited, 1 << 30}))
		if _, err := w.p.Decide(t.Context(), project, x.ID, boss); !errors.Is(err, errdef.ErrExhausted) {
			t.Errorf("beyond the allowance: %v", err)
		}
		boss.Beyond = true
		// Of many who approve at once, one does.
		var all sync.WaitGroup
		var mu sync.Mutex
		approved := 0
		for range 10 {
			all.Go(func() {
				_, err := w.p.Decide(t.Context(), project, x.ID, boss)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					approved++
				} else if !errors.Is(err, errdef.ErrConflict) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if done := w.is(x.ID, Done); approved != 1 || done.DecidedBy != "boss@d" || done.Comment != "fine" || host.Docker.Get(done.Name) == nil {
			t.Errorf("%d approvals: %+v", approved, done)
		}
		refused, cancelled := make(large, false), make(large, false)
		boss.Approve = false
		if y, err := w.p.Decide(t.Context(), project, refused.ID, boss); err != nil || y.Status != Refused {
			t.Errorf("%+v %v", y, err)
		}
		must(t, w.p.Cancel(t.Context(), project, cancelled.ID, "d/dev"))
		if err := w.p.Cancel(t.Context(), project, refused.ID, "d/dev"); !errors.Is(err, errdef.ErrConflict) {
			t.Errorf("what was refused is cancelled: %v", err)
		}
		// Nobody decides.
		old := make(large, false)
		w.p.o.Now = func() time.Time { return time.Now().Add(patience + time.Hour) }
		must(t, w.p.sweep(t.Context()))
		if y := w.is(old.ID, Expired); len(y.sealed) != 0 {
			t.Error("the body of an expired request is kept")
		}
	})
}

// TestAHubEndsInTheMiddle: another attempt finds the container of the one before, and makes no second.
func TestAHubEndsInTheMiddle(t *testing.T) {
	w := newWorld(t, "sqlite")
	host, _ := w.vch("one")
	w.stop()
	x, err := w.p.Create(t.Context(), request(`{"Image":"nginx"}`))
	must(t, err)
	// What an attempt had done before its hub was killed.
	host.Docker.Add(&vchtest.Container{ID: vchtest.ID(77), Name: x.Name, State: "created", Labels: map[string]string{LabelProvision: fmt.Sprint(x.ID)}})
	w.start()
	if done := w.is(x.ID, Done); done.Container != vchtest.ID(77) || host.Docker.Count() != 1 || host.Docker.Get(x.Name).State != "running" {
		t.Errorf("%+v of %d containers", done, host.Docker.Count())
	}
}

func TestPlacement(t *testing.T) {
	w := newWorld(t, "sqlite")
	one, a := w.vch("one")
	two, b := w.vch("two")
	for i := range 3 {
		one.Docker.Add(&vchtest.Container{ID: vchtest.ID(i + 1), Name: fmt.Sprint("c", i), State: "created", Labels: map[string]string{"com.docker.compose.project": "shop"}})
		one.Docker.Set(vchtest.ID(i+1), "running", "Up 1 second", "start")
	}
	w.until("they are seen", func() bool { s, err := w.fleet.VCH(a); return err == nil && s.Running == 3 })
	for text, c := range map[string]struct {
		wish Wish
		size Size
		want int64
		why  string
	}{
		"the emptiest":      {Wish{}, Size{1, 1e9, 1 << 28}, b, "0 containers run there"},
		"the fullest":       {Wish{Strategy: Pack}, Size{1, 1e9, 1 << 28}, a, "3 containers run there"},
		"near an app":       {Wish{Near: "shop"}, Size{1, 1e9, 1 << 28}, a, "3 of shop are there"},
		"apart from an app": {Wish{Apart: "shop", Strategy: Pack}, Size{1, 1e9, 1 << 28}, b, "0 containers"},
		"one alone":         {Wish{VCH: a}, Size{1, 1e9, 1 << 28}, a, "3 containers"},
		"too much memory":   {Wish{}, Size{1, 1e9, 1 << 40}, 0, "it lacks memory"},
		"too many CPUs":     {Wish{}, Size{1, 9e9, 1 << 28}, 0, "it has 8 CPUs"},
	} {
		plan, err := w.p.place(t.Context(), project, c.size, c.wish)
		if err != nil || plan.Chosen != c.want || !strings.Contains(plan.Choices[0].Why, c.why) {
			t.Errorf("%s: %+v %v", text, plan, err)
		}
	}
	two.Close()
	w.until("one is away", func() bool { s, err := w.fleet.VCH(b); return err == nil && !s.Up })
	if plan, err := w.p.place(t.Context(), project, Size{1, 1e9, 1}, Wish{}); err != nil || plan.Chosen != a || !strings.Contains(plan.Choices[1].Why, "does not answer") {
		t.Errorf("%+v %v", plan, err)
	}
	for _, bad := range []Wish{{VCH: 99}, {Strategy: "best"}} {
		if _, err := w.p.place(t.Context(), project, Size{}, bad); !errors.Is(err, errdef.ErrInvalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func FuzzBody(f *testing.F) {
	f.Add([]byte(`{"Image":"nginx","HostConfig":{"Memory":1}}`))
	f.Add([]byte(`{"Image":"nginx","image":"other"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		b, err := readBody(text)
		if err != nil {
			return
		}
		out, err := b.sealable(1, Request{})
		if err != nil {
			t.Fatal(err)
		}
		again, err := readBody(out)
		if err != nil || again.size() != b.size() || again.Image != b.Image || again.publishes() != b.publishes() || again.HostConfig.Privileged != b.HostConfig.Privileged {
			t.Fatalf("%s became %s: %v", text, out, err)
		}
	})
}
