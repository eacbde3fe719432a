package service

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	vsession "github.com/vmware/govmomi/session"

	"github.com/openvic/vic/drivers/vsphere/machine/simtest"
)

func TestEveryRouteIsInTheDocumentAndTheReverse(t *testing.T) {
	doc := document(t)
	count := 0
	for _, item := range doc.Paths.Map() {
		count += len(item.Operations())
	}
	ids := map[string]bool{}
	for _, r := range routes() {
		item := doc.Paths.Value(r.path)
		if item == nil || item.Operations()[r.method] == nil {
			t.Errorf("%s %s is not in the document", r.method, r.path)
			continue
		}
		if ids[r.id] {
			t.Errorf("%s is there twice", r.id)
		}
		ids[r.id] = true
	}
	if count != len(ids) {
		t.Errorf("the document has %d operations, the router %d", count, len(ids))
	}
	a := newAPI(t, nil)
	a.hostile = true
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			p := strings.NewReplacer("{target}", "nowhere", "{datacenter}", "d", "{vch}", "vm-1", "{task}", "x").Replace(path)
			a.user = ""
			if r := a.do(method, p, nil); r.status == http.StatusMethodNotAllowed || r.status == http.StatusNotFound && !strings.HasPrefix(path, "/tasks/") {
				t.Errorf("%s %s has no route: %d", method, path, r.status)
			}
		}
	}
}

func TestHostileRequestsAreRefused(t *testing.T) {
	a := newAPI(t, func(c *Config) { c.AllowTargets = nil })
	a.hostile = true
	before := a.sim.Inventory()
	plain := func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }
	for _, c := range []struct {
		name, method, path string
		body               any
		status             int
		want               string
		change             func(*http.Request)
	}{
		{"no JSON", "POST", a.at("/vch"), "{", 400, "no JSON object", nil},
		{"not an object", "POST", a.at("/vch"), "[]", 400, "no JSON object", nil},
		{"null", "POST", a.at("/vch"), "null", 400, "not one JSON object", nil},
		{"two objects", "POST", a.at("/vch"), "{}{}", 400, "not one JSON object", nil},
		{"an unknown option", "POST", a.at("/vch"), newVCH(map[string]any{"bogus": 1}), 400, "bogus", nil},
		{"an option of the command line", "POST", a.at("/vch"), newVCH(map[string]any{"target": "x"}), 400, "target", nil},
		{"a file of the server", "POST", a.at("/vch"), newVCH(map[string]any{"appliance-iso": "/etc/passwd"}), 400, "appliance-iso", nil},
		{"the short name of an option with a file", "POST", a.at("/vch"), newVCH(map[string]any{"cert": "/etc/passwd"}), 400,
			"cert: it is no option", nil},
		{"a text for a number", "POST", a.at("/vch"), newVCH(map[string]any{"memory": "8192"}), 400, "memory", nil},
		{"a fraction", "POST", a.at("/vch"), newVCH(map[string]any{"memory": 1.5}), 400, "memory", nil},
		{"a list for a number", "POST", a.at("/vch"), newVCH(map[string]any{"memory": []int{1}}), 400, "memory", nil},
		{"an object for a text", "POST", a.at("/vch"), newVCH(map[string]any{"name": map[string]string{}}), 400, "name", nil},
		{"null for a text", "POST", a.at("/vch"), newVCH(map[string]any{"name": nil}), 400, "name", nil},
		{"a path as a folder", "POST", a.at("/vch"), newVCH(map[string]any{"cert-path": "/etc"}), 400, "cert-path", nil},
		{"a list as a folder", "POST", a.at("/vch"), newVCH(map[string]any{"cert-path": []string{"/etc"}}), 400, "cert-path", nil},
		{"a number as a folder", "POST", a.at("/vch"), newVCH(map[string]any{"cert-path": 7}), 400, "cert-path", nil},
		{"a way out of the folder", "POST", a.at("/vch"), newVCH(map[string]any{"cert-path": map[string]string{"../x": ""}}), 400, "cert-path", nil},
		{"a file by its name", "POST", a.at("/vch"), newVCH(map[string]any{"registry-ca": []string{"/etc/passwd"}}), 400, "registry-ca", nil},
		{"wrong options", "POST", a.at("/vch"), newVCH(map[string]any{"no-tls": true, "no-tlsverify": true}), 400, "exclude", nil},
		{"two answers to one", "GET", a.at("/vch?timeout=1s&timeout=2s"), nil, 400, "timeout", nil},
		{"a parameter that is none", "GET", a.at("/vch?forse=true"), nil, 400, "forse", nil},
		{"a switch that is none", "DELETE", a.at("/vch/vm-1?force=maybe"), nil, 400, "force", nil},
		{"too long", "GET", a.at("/vch?timeout=1000h"), nil, 400, "timeout", nil},
		{"another format", "GET", a.at("/vch/vm-1/config?format=yaml"), nil, 400, "format", nil},
		{"no such VCH", "GET", a.at("/vch/vm-99999"), nil, 404, "there is no VCH", nil},
		{"a wild id", "GET", a.at("/vch/..%2F..%2Fetc"), nil, 404, "there is no VCH", nil},
		{"no such VCH to change", "PATCH", a.at("/vch/vm-99999"), map[string]any{"memory": 1}, 404, "there is no VCH", nil},
		{"delete without a name", "DELETE", a.at("/vch"), nil, 400, "name", nil},
		{"a body for who takes none", "GET", a.at("/vch"), "{}", 400, "takes none", nil},
		{"not declared", "POST", a.at("/vch"), "{}", 415, "application/json", plain},
		{"a bad thumbprint", "GET", "/container/target/x/vch?thumbprint=zz", nil, 400, "thumbprint", nil},
		{"another thumbprint", "GET", strings.Replace(a.at("/vch"), a.sim.Target.Thumbprint, strings.Repeat("00:", 19)+"00", 1), nil, 400, "thumbprint", nil},
		{"no thumbprint", "GET", "/container/target/" + a.sim.Server.URL.Host + "/vch", nil, 400, a.sim.Target.Thumbprint, nil},
		{"a thumbprint in a header", "GET", "/container/target/" + a.sim.Server.URL.Host + "/vch", nil, 200, "vchs",
			func(r *http.Request) { r.Header.Set("X-Thumbprint", a.sim.Target.Thumbprint) }},
		{"a URL as target", "GET", "/container/target/http:%2F%2F127.0.0.1/vch", nil, 400, "not a host", nil},
		{"nobody there", "GET", "/container/target/127.0.0.1:1/vch", nil, 502, "127.0.0.1:1", nil},
		{"no such datacenter", "GET", a.at("/datacenter/DC9/vch"), nil, 404, "DC9", nil},
		{"no account", "GET", a.at("/vch"), nil, 401, "no vSphere account", func(r *http.Request) { r.Header.Del("Authorization") }},
		{"a wrong password", "GET", a.at("/vch"), nil, 401, "wrong user or password", func(r *http.Request) { r.SetBasicAuth(simtest.User, "no") }},
		{"a wrong ticket", "GET", a.at("/vch"), nil, 401, "ticket", func(r *http.Request) { r.Header.Set(headerTicket, "no") }},
		{"no such path", "GET", "/container/nothing", nil, 404, "nothing at", nil},
		{"no such method", "PUT", a.at("/vch"), nil, 405, "GET", nil},
		{"another site's page", "POST", a.at("/vch"), "{}", 403, "another site", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }},
		{"no such task", "GET", "/tasks/nosuch", nil, 404, "no such task", nil},
		{"too much", "POST", a.at("/vch"), `{"name":"` + strings.Repeat("x", maxBody) + `"}`, 413, "1 MiB", nil},
		{"a wrong network", "POST", a.at("/vch/plan"), newVCH(map[string]any{"bridge-network": "nosuch", "image-store": "nosuch"}), 422,
			`"check": "bridge network"`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			a.t = t
			var change []func(*http.Request)
			if c.change != nil {
				change = append(change, c.change)
			}
			r := a.do(c.method, c.path, c.body, change...)
			if r.status != c.status || !strings.Contains(string(r.body), c.want) {
				t.Errorf("status %d, want %d and %q in %s", r.status, c.status, c.want, r.body)
			}
			if r.status >= 400 && r.header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("Content-Type %q", r.header.Get("Content-Type"))
			}
			if strings.Contains(string(r.body), simtest.Password) {
				t.Error("the password is shown")
			}
		})
	}
	if after := a.sim.Inventory(); after != before {
		t.Errorf("left behind:\n%s", after)
	}
}

func TestFindingsOfATaskAreAListInItsError(t *testing.T) {
	a := newAPI(t, nil)
	r := a.task(a.do("POST", a.at("/vch"), newVCH(map[string]any{"bridge-network": "nosuch", "image-store": "nosuch"})))
	if r.State != Failed || r.Error.Status != http.StatusUnprocessableEntity || !strings.Contains(r.Error.Detail, "of the checks failed; nothing was made") {
		t.Fatalf("%+v", r.Error)
	}
	wrong := map[string]string{}
	for _, x := range r.Error.Checks {
		if x.Level == "error" {
			wrong[x.Check] = x.Remedy
		}
	}
	if len(wrong) < 2 || len(r.Error.Checks) < 10 || wrong["bridge network"] == "" {
		t.Errorf("%v", wrong)
	}
	if r := a.task(a.do("POST", a.at("/vch?timeout=400ms"), newVCH(nil))); r.State != Failed || r.Error.Type != problemPrefix+"timed-out" {
		t.Errorf("%+v", r.Error)
	}
}

func TestATaskBelongsToItsAccount(t *testing.T) {
	a := newAPI(t, nil)
	a.sim.Guest("vch1", "ready", "")
	var acc Accepted
	r := a.do("POST", a.at("/vch"), newVCH(nil))
	a.into(r, http.StatusAccepted, &acc)
	a.task(r)
	a.hostile = true
	// The simulator has one account; a task of another is made by hand.
	other := a.svc.tasks.get(acc.Task.ID)
	for _, c := range []struct {
		name   string
		owner  string
		change func(*http.Request)
		status int
	}{
		{"its owner", simtest.User, func(*http.Request) {}, 200},
		{"another account", "somebody@vsphere.local", func(r *http.Request) { r.SetBasicAuth(simtest.User, simtest.Password) }, 404},
		{"a wrong password", simtest.User, func(r *http.Request) { r.SetBasicAuth(simtest.User, "no") }, 401},
		{"nobody", simtest.User, func(r *http.Request) { r.Header.Del("Authorization") }, 401},
		{"the token", simtest.User, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+acc.Token) }, 200},
		{"another token", simtest.User, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+acc.Token+"x") }, 401},
		{"a ticket of the owner", simtest.User, func(r *http.Request) {
			ticket, err := vsession.NewManager(a.sim.Session.Client()).AcquireCloneTicket(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Del("Authorization")
			r.Header.Set(headerTicket, ticket)
		}, 200},
	} {
		other.mu.Lock()
		other.owner, other.seen = c.owner, nil
		other.mu.Unlock()
		if r := a.do("GET", acc.Task.URL, nil, c.change); r.status != c.status {
			t.Errorf("%s: %d, want %d: %s", c.name, r.status, c.status, r.body)
		}
	}
	other.owner = "somebody@vsphere.local"
	var tasks TaskList
	if a.into(a.do("GET", a.at("/tasks"), nil), http.StatusOK, &tasks); len(tasks.Tasks) != 0 {
		t.Errorf("the list shows another's: %+v", tasks)
	}
}

func TestATicketIsAnAccountButNotTheEndpoints(t *testing.T) {
	a := newAPI(t, nil)
	a.user = ""
	ticket := func(r *http.Request) {
		s, err := vsession.NewManager(a.sim.Session.Client()).AcquireCloneTicket(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(headerTicket, s)
	}
	var list VCHs
	a.into(a.do("GET", a.at("/vch"), nil, ticket), http.StatusOK, &list)
	if r := a.do("POST", a.at("/vch/plan"), newVCH(nil), ticket); r.status != http.StatusBadRequest || !strings.Contains(string(r.body), "ops-user") {
		t.Errorf("%d %s", r.status, r.body)
	}
	if !a.sim.Session.IsVC() {
		t.Error("the session that gave the ticket has ended")
	}
}

func TestGuessingIsSlowedDown(t *testing.T) {
	now := time.Now()
	a := newAPI(t, func(c *Config) { c.FailedLogins, c.now = 3, func() time.Time { return now } })
	a.password = "no"
	for range 3 {
		if r := a.do("GET", a.at("/vch"), nil); r.status != http.StatusUnauthorized || r.header.Get("WWW-Authenticate") == "" {
			t.Fatalf("%d", r.status)
		}
	}
	a.password = simtest.Password
	if r := a.do("GET", a.at("/vch"), nil); r.status != http.StatusTooManyRequests || r.header.Get("Retry-After") == "" {
		t.Errorf("%d %s", r.status, r.body)
	}
	now = now.Add(61 * time.Second)
	if r := a.do("GET", a.at("/vch"), nil); r.status != http.StatusOK {
		t.Errorf("a minute later: %d", r.status)
	}
	if !strings.Contains(a.log.String(), "login failed") {
		t.Error("failures are not logged")
	}
}

// Sixty guesses at once: no more than the limit are looked at.
func TestGuessesAtOnceDoNotSlipThrough(t *testing.T) {
	a := newAPI(t, func(c *Config) { c.FailedLogins = 5 })
	a.password = "no"
	var looked, refused atomic.Int32
	var wg sync.WaitGroup
	for range 60 {
		wg.Go(func() {
			switch r := a.do("GET", a.at("/vch"), nil); r.status {
			case http.StatusUnauthorized:
				looked.Add(1)
			case http.StatusTooManyRequests:
				refused.Add(1)
			default:
				t.Errorf("%d %s", r.status, r.body)
			}
		})
	}
	wg.Wait()
	if looked.Load() != 5 || refused.Load() != 55 {
		t.Errorf("of 60 guesses %d were looked at and %d refused", looked.Load(), refused.Load())
	}
}

func TestASlowBodyIsRefusedButNotSlowWork(t *testing.T) {
	a := newAPI(t, nil)
	a.svc.bodyTime = 50 * time.Millisecond
	in, out := io.Pipe()
	defer out.Close()
	req, err := http.NewRequestWithContext(t.Context(), "POST", a.url+a.at("/vch"), in)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(a.user, a.password)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusRequestTimeout {
		t.Errorf("a body that does not come: %s", res.Status)
	}
	// Work that takes longer than a body may: this plan's, on this machine.
	a.svc.bodyTime = time.Minute
	start := time.Now()
	a.do("POST", a.at("/vch/plan"), newVCH(nil))
	a.svc.bodyTime = time.Since(start) / 3
	var r answer
	for range 10 { // a machine that is held up may read even a short body late
		start = time.Now()
		if r = a.do("POST", a.at("/vch/plan"), newVCH(nil)); r.status == http.StatusOK && time.Since(start) > a.svc.bodyTime {
			return
		}
	}
	t.Errorf("work of %s while a body has %s: %d %s", time.Since(start), a.svc.bodyTime, r.status, r.body)
}

func TestRequestsAreBounded(t *testing.T) {
	a := newAPI(t, nil)
	for range maxAsking {
		a.svc.slots <- struct{}{}
	}
	if r := a.do("GET", a.at("/vch"), nil); r.status != http.StatusServiceUnavailable || r.header.Get("Retry-After") == "" {
		t.Errorf("one too many: %d %s", r.status, r.body)
	}
	<-a.svc.slots
	for range 2 {
		if r := a.do("GET", a.at("/vch"), nil); r.status != http.StatusOK {
			t.Errorf("when there is room: %d %s", r.status, r.body)
		}
	}
}

func TestOnlyAllowedTargetsAreAsked(t *testing.T) {
	a := newAPI(t, func(c *Config) { c.AllowTargets = []string{"vcenter.example.com"} })
	if r := a.do("GET", a.at("/vch"), nil); r.status != http.StatusForbidden || !strings.Contains(string(r.body), "--allow-target") {
		t.Errorf("%d %s", r.status, r.body)
	}
}

// A browser that knows a vSphere account sends it with whatever another site's page asks for.
func TestEveryRouteThatChangesRefusesAPageOfAnotherSite(t *testing.T) {
	s := New(t.Context(), Config{Log: slog.New(slog.DiscardHandler)})
	n := 0
	for _, rt := range routes() {
		if rt.method == http.MethodGet {
			continue // its answer cannot be read by the page
		}
		n++
		path := regexp.MustCompile(`\{[^}]*\}`).ReplaceAllString(rt.path, "x")
		for _, header := range []http.Header{
			{"Sec-Fetch-Site": {"cross-site"}, "Content-Type": {"text/plain"}},
			{"Origin": {"https://evil.example"}, "Content-Type": {"application/json"}},
		} {
			r := httptest.NewRequest(rt.method, "https://machine.example:1234"+path, strings.NewReader("{}"))
			r.Header = header
			r.SetBasicAuth("u", "p")
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "another site") {
				t.Errorf("%s %s: %d %s", rt.method, rt.path, w.Code, w.Body)
			}
		}
	}
	if n < 10 {
		t.Errorf("only %d routes change something", n)
	}
}
