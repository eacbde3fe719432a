package webhook

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/hub/seal"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/core/store/storetest"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/outbound"
	"github.com/openvic/vic/sdk/secret"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// got is a delivery as the target saw it.
type got struct {
	path   string
	header http.Header
	body   string
}

// rig is Hooks with a queue that runs, and a target that answers what it is told to.
type rig struct {
	*Hooks
	t      *testing.T
	queue  *jobs.Queue
	target *httptest.Server

	mu      sync.Mutex
	got     []got
	answers []int // of the next deliveries; then 200
}

// projects stands for the registry's table.
var projects = store.Schema{Name: "projects", Steps: []string{`CREATE TABLE project (id @id, name TEXT NOT NULL, used BIGINT NOT NULL, quota BIGINT NOT NULL);
	INSERT INTO project (name, used, quota) VALUES ('one', 0, 1000), ('two', 0, 1000)`}}

func each(t *testing.T, test func(r *rig)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, open func(...store.Schema) *store.Store) {
		r := &rig{t: t}
		r.target = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			b, _ := io.ReadAll(q.Body)
			r.mu.Lock()
			defer r.mu.Unlock()
			r.got = append(r.got, got{q.URL.Path, q.Header, string(b)})
			if len(r.answers) > 0 {
				w.WriteHeader(r.answers[0])
				r.answers = r.answers[1:]
			}
		}))
		t.Cleanup(r.target.Close)
		sealer, err := seal.Open(filepath.Join(t.TempDir(), "seal.key"))
		must(t, err)
		policy, err := outbound.New([]string{"127.0.0.1"}, nil)
		must(t, err)
		db := open(Schema(), jobs.Schema(), projects)
		log := slog.New(slog.DiscardHandler)
		r.Hooks = New(Options{DB: db, Sealer: sealer, Log: log, Queue: func() *jobs.Queue { return r.queue }, Outbound: policy})
		kind := r.Jobs()
		kind.Backoff = func(int) time.Duration { return time.Millisecond }
		r.queue = jobs.New(db, jobs.Options{Kinds: []jobs.Kind{kind}, Log: log})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { r.queue.Run(ctx); close(done) }()
		t.Cleanup(func() { cancel(); <-done })
		test(r)
	})
}

func text(s string) *secret.Text { x := secret.Text(s); return &x }

// create makes an enabled policy of project 1 for pushes.
func (r *rig) create(t Target) Policy {
	r.t.Helper()
	p := Policy{Project: 1, Name: fmt.Sprint("p", time.Now().UnixNano()), Enabled: true, Events: []string{Push}, Targets: []Target{t}, Creator: "me"}
	id, err := r.Create(r.t.Context(), p)
	must(r.t, err)
	p, err = r.Get(r.t.Context(), r.db, 1, id)
	must(r.t, err)
	return p
}

var pushed = Event{Type: Push, Project: 1, Time: time.Unix(1_800_000_000, 0), Operator: "alice", Data: Data{
	Resources:  []Resource{{Digest: "sha256:1", Tag: "v1", URL: "hub/one/app:v1"}},
	Repository: &Repository{Name: "app", Namespace: "one", FullName: "one/app", Type: "private"}}}

func (r *rig) happened(e Event) {
	r.t.Helper()
	must(r.t, r.db.Tx(r.t.Context(), func(tx *store.Tx) error { return r.Happened(tx, e) }))
}

// deliveries waits until all of a policy have ended, and returns them, the latest first.
func (r *rig) deliveries(p Policy) []jobs.Execution {
	r.t.Helper()
	list, _, err := r.queue.Executions(r.t.Context(), jobs.Filter{Kind: Kind, Subject: &p.ID}, 100, 0)
	must(r.t, err)
	for i, e := range list {
		list[i], err = r.queue.Wait(r.t.Context(), e.ID)
		must(r.t, err)
	}
	return list
}

// seen takes what came to the target.
func (r *rig) seen() []got {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.got
	r.got = nil
	return list
}

func TestDelivery(t *testing.T) {
	each(t, func(r *rig) {
		p := r.create(Target{Address: r.target.URL + "/hook?token=x", Authorization: text("Bearer abc"), Secret: text("whsec_" + base64.StdEncoding.EncodeToString([]byte("key")))})
		undone := errors.New("undone")
		if err := r.db.Tx(t.Context(), func(tx *store.Tx) error { return errors.Join(r.Happened(tx, pushed), undone) }); !errors.Is(err, undone) {
			r.t.Fatal(err)
		}
		other := pushed
		other.Type = Pull
		r.happened(other)
		other = pushed
		other.Project = 2
		r.happened(other)
		r.happened(pushed)
		list := r.deliveries(p)
		if len(list) != 1 || list[0].Status != jobs.Success || strings.Contains(string(list[0].Params), "abc") {
			r.t.Fatalf("%+v", list)
		}
		seen := r.seen()
		if len(seen) != 1 {
			r.t.Fatalf("%+v", seen)
		}
		x := seen[0]
		const want = `{"type":"PUSH_ARTIFACT","occur_at":1800000000,"operator":"alice","event_data":{"resources":[{"digest":"sha256:1","tag":"v1",` +
			`"resource_url":"hub/one/app:v1"}],"repository":{"name":"app","namespace":"one","repo_full_name":"one/app","repo_type":"private"}}}`
		id, at := x.header.Get("webhook-id"), x.header.Get("webhook-timestamp")
		if x.path != "/hook" || x.body != want || x.header.Get("Authorization") != "Bearer abc" || id == "" ||
			x.header.Get("webhook-signature") != sign("key", id, at, []byte(want)) {
			r.t.Errorf("%+v", x)
		}
		tasks, _, err := r.queue.Tasks(t.Context(), list[0].ID, 1, 0)
		must(t, err)
		log, err := r.queue.TaskLog(t.Context(), tasks[0].ID)
		must(t, err)
		if s := fmt.Sprint(log); !strings.Contains(s, "/hook") || strings.Contains(s, "token") || strings.Contains(s, "abc") {
			r.t.Error(s)
		}
		if last, err := r.Last(t.Context(), p.ID); err != nil || last[Push].IsZero() || !last[Pull].IsZero() {
			r.t.Errorf("%v %v", last, err)
		}
	})
}

func TestCloudEvents(t *testing.T) {
	each(t, func(r *rig) {
		p := r.create(Target{Address: r.target.URL, Format: FormatCloudEvents})
		r.happened(pushed)
		r.deliveries(p)
		x := r.seen()[0]
		var e map[string]any
		must(t, json.Unmarshal([]byte(x.body), &e))
		for k, want := range map[string]any{"specversion": "1.0", "type": "harbor.artifact.pushed", "source": fmt.Sprintf("/projects/1/webhook/policies/%d", p.ID),
			"time": "2027-01-15T08:00:00Z", "operator": "alice", "datacontenttype": "application/json", "id": x.header.Get("webhook-id")} {
			if e[k] != want {
				r.t.Errorf("%s: %v, want %v", k, e[k], want)
			}
		}
		if x.header.Get("Content-Type") != "application/cloudevents+json" || x.header.Get("webhook-signature") != "" || e["data"] == nil {
			r.t.Errorf("%+v", x)
		}
	})
}

// The signature is the one of the example of standardwebhooks.com's specification.
func TestSignature(t *testing.T) {
	got := sign("whsec_plJ3nmyCDGBKInavdOK15jsl", "msg_loFOjxBNrRLzqYUf", "1731705121", []byte(`{"event_type":"ping","data":{"success":true}}`))
	if got != "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=" {
		t.Error(got)
	}
}

func TestFailedDeliveries(t *testing.T) {
	each(t, func(r *rig) {
		for name, c := range map[string]struct {
			answers []int
			status  jobs.Status
			came    int
			message string
		}{
			"recovers":  {[]int{500, 429}, jobs.Success, 3, ""},
			"fails":     {[]int{500, 500, 500, 500, 500, 500, 500}, jobs.Error, 6, "answers 500"},
			"gone":      {[]int{410}, jobs.Error, 1, "wants no more"},
			"redirects": {[]int{302}, jobs.Error, 1, "redirect"},
		} {
			r.seen()
			r.mu.Lock()
			r.answers = c.answers
			r.mu.Unlock()
			p := r.create(Target{Address: r.target.URL})
			r.happened(pushed)
			list := r.deliveries(p)
			seen := r.seen()
			if len(list) != 1 || list[0].Status != c.status || len(seen) != c.came || !strings.Contains(list[0].Message, c.message) {
				r.t.Errorf("%s: %+v, came %d times", name, list, len(seen))
			}
			for _, x := range seen {
				if x.header.Get("webhook-id") != seen[0].header.Get("webhook-id") {
					r.t.Errorf("%s: another id in another attempt", name)
				}
			}
			must(t, r.Remove(t.Context(), 1, p.ID))
		}
	})
}

func TestTargetsThatAreNotAllowed(t *testing.T) {
	each(t, func(r *rig) {
		port := r.target.URL[strings.LastIndex(r.target.URL, ":"):]
		for _, address := range []string{"http://169.254.169.254/latest", "http://10.0.0.1", "http://[::1]" + port, "file:///etc/passwd", "http://a:b@example.com", ""} {
			_, err := r.Create(t.Context(), Policy{Project: 1, Name: "x", Events: []string{Push}, Targets: []Target{{Address: address}}})
			if !errors.Is(err, errdef.ErrInvalid) {
				r.t.Errorf("%s: %v", address, err)
			}
		}
		p := r.create(Target{Address: r.target.URL, Authorization: text("Bearer abc")})
		r.policy = (&outbound.Policy{}).PublicOnly() // as after another configuration
		r.happened(pushed)
		if list := r.deliveries(p); list[0].Status != jobs.Error || !strings.Contains(list[0].Message, "must not connect") || len(r.seen()) != 0 {
			r.t.Errorf("%+v", list)
		}
	})
}

func TestPolicies(t *testing.T) {
	each(t, func(r *rig) {
		good := func() Policy {
			return Policy{Project: 1, Name: "n", Enabled: true, Events: []string{Push, Push, Pull}, Targets: []Target{{Address: r.target.URL, Authorization: text("a"), Secret: text("s")}}}
		}
		for name, change := range map[string]func(*Policy){
			"no name": func(p *Policy) { p.Name = " " }, "no event": func(p *Policy) { p.Events = nil }, "unknown event": func(p *Policy) { p.Events = []string{"X"} },
			"no target": func(p *Policy) { p.Targets = nil }, "a format": func(p *Policy) { p.Targets[0].Format = "x" },
			"a header of two lines": func(p *Policy) { p.Targets[0].Authorization = text("a\r\nb") }, "a long secret": func(p *Policy) { p.Targets[0].Secret = text(strings.Repeat("x", 5000)) },
			"many targets": func(p *Policy) { p.Targets = make([]Target, maxTargets+1) }, "a long text": func(p *Policy) { p.Description = strings.Repeat("x", 2000) },
		} {
			p := good()
			change(&p)
			if _, err := r.Create(t.Context(), p); !errors.Is(err, errdef.ErrInvalid) {
				r.t.Errorf("%s: %v", name, err)
			}
		}
		id, err := r.Create(t.Context(), good())
		must(t, err)
		if _, err := r.Create(t.Context(), good()); !errors.Is(err, errdef.ErrExists) {
			r.t.Error(err)
		}
		var sealed string
		must(t, r.db.QueryRow(t.Context(), `SELECT targets FROM webhook_policy WHERE id = $1`, id).Scan(&sealed))
		if strings.Contains(sealed, `"a"`) || strings.Contains(sealed, `"s"`) {
			r.t.Error(sealed)
		}
		if _, err := r.Get(t.Context(), r.db, 2, id); !errors.Is(err, errdef.ErrNotFound) {
			r.t.Error(err)
		}
		// Secrets stay with their address, and only with it.
		p := good()
		p.ID, p.Targets = id, []Target{{Address: r.target.URL, Secret: text("")}, {Address: r.target.URL + "/other"}}
		must(t, r.Update(t.Context(), p))
		p, err = r.Get(t.Context(), r.db, 1, id)
		if err != nil || !p.Targets[0].HasAuthorization() || p.Targets[0].HasSecret() || p.Targets[1].HasAuthorization() || len(p.Events) != 2 {
			r.t.Errorf("%+v %v", p, err)
		}
		p.ID = 999
		if err := r.Update(t.Context(), p); !errors.Is(err, errdef.ErrNotFound) {
			r.t.Error(err)
		}
		for i := range maxPolicies - 1 {
			p := good()
			p.Name = fmt.Sprint(i)
			_, err := r.Create(t.Context(), p)
			must(t, err)
		}
		p = good()
		p.Name = "too many"
		if _, err := r.Create(t.Context(), p); !errors.Is(err, errdef.ErrExhausted) {
			r.t.Error(err)
		}
		must(t, r.db.Tx(t.Context(), func(tx *store.Tx) error { return r.Forget(tx, 1) }))
		if list, err := r.List(t.Context(), 1); err != nil || len(list) != 0 {
			r.t.Errorf("%d %v", len(list), err)
		}
	})
}

func TestQuotaIsToldOnceInAnHour(t *testing.T) {
	each(t, func(r *rig) {
		p := Policy{Project: 1, Name: "q", Enabled: true, Events: []string{QuotaExceed, QuotaWarning}, Targets: []Target{{Address: r.target.URL}}}
		id, err := r.Create(t.Context(), p)
		must(t, err)
		p.ID = id
		now := time.Now()
		r.now = func() time.Time { return now }
		tell := func(used int, exceeded bool) {
			must(t, r.db.Tx(t.Context(), func(tx *store.Tx) error {
				if _, err := tx.Exec(`UPDATE project SET used = $1 WHERE id = 1`, used); err != nil {
					return err
				}
				return r.Quota(tx, 1, "alice", exceeded)
			}))
		}
		expect := func(n int) {
			r.t.Helper()
			if list := r.deliveries(p); len(list) != n {
				r.t.Fatalf("%d deliveries, want %d", len(list), n)
			}
		}
		tell(840, false)
		expect(0)
		tell(850, false)
		tell(900, false)
		expect(1)
		tell(900, true)
		tell(900, true)
		expect(2)
		now = now.Add(2 * time.Hour)
		tell(990, false)
		expect(3)
		if s := fmt.Sprint(r.seen()); !strings.Contains(s, "quota usage reach 85%: resource storage used 850 of 1000") || !strings.Contains(s, "QUOTA_EXCEED") {
			r.t.Error(s)
		}
	})
}

func TestATargetThatIsAwayFillsNoDatabase(t *testing.T) {
	each(t, func(r *rig) {
		p := r.create(Target{Address: r.target.URL})
		r.Hooks.queue = func() *jobs.Queue { return jobs.New(r.db, jobs.Options{Log: r.log}) }
		must(t, r.db.Tx(t.Context(), func(tx *store.Tx) error {
			for range maxWaiting + 10 {
				_, err := tx.Exec(`INSERT INTO job_execution (kind, subject, alone, cause, status, message, params, tasks, created) VALUES ($1, $2, '', 'EVENT', 'Running', '', '{}', 1, 1)`, Kind, p.ID)
				if err != nil {
					return err
				}
			}
			return r.Happened(tx, pushed)
		}))
		var n int
		must(t, r.db.QueryRow(t.Context(), `SELECT COUNT(*) FROM job_task`).Scan(&n))
		if n != 0 {
			r.t.Errorf("%d more wait", n)
		}
	})
}
