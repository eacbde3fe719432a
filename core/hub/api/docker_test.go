package api

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/openvic/vic/core/hub/fleet"
	"github.com/openvic/vic/core/hub/vchs"
	"github.com/openvic/vic/core/hub/vchs/vchtest"
	"github.com/openvic/vic/core/store/storetest"
)

// liveRig is a rig with VCHs that are watched.
type liveRig struct{ *rig }

func newLiveRig(t *testing.T) *liveRig {
	t.Helper()
	r := &liveRig{newRig(t, storetest.URL(t, "sqlite"))}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { r.fleet.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return r
}

// vch makes one a resource of projects, and waits until its containers are seen. It returns its path below a project.
func (r *liveRig) vch(host *vchtest.Host, name string, projects ...string) (id int64, path string) {
	r.t.Helper()
	list, err := json.Marshal(projects)
	must(r.t, err)
	var made vchAnswer
	r.api("cloud-admin", "POST", "/vchs", fmt.Sprintf(`{"uid":"uid-%s","name":%q,"projects":%s}`, name, name, list), 201, &made)
	r.api("cloud-admin", "PUT", fmt.Sprintf("/vchs/%d", made.ID), fmt.Sprintf(`{"address":%q,"server_name":"vch.test","server_ca":%q,"certificate":%q}`,
		host.Address, host.ServerCA, host.Sign(r.t, made.Request)), 200, nil)
	r.until(name+" is up", func(states []fleet.State, _ []fleet.Container) bool {
		return slices.ContainsFunc(states, func(s fleet.State) bool { return s.ID == made.ID && s.Up })
	})
	return made.ID, fmt.Sprintf("/vchs/%d", made.ID)
}

// until waits for changes until the fleet is as wanted.
func (r *liveRig) until(what string, ok func([]fleet.State, []fleet.Container) bool) {
	r.t.Helper()
	late := time.After(time.Minute)
	for {
		states, list, next := r.fleet.Snapshot(func(vchs.VCH) bool { return true })
		if ok(states, list) {
			return
		}
		_, more, err := r.fleet.Since(next)
		must(r.t, err)
		select {
		case <-more:
		case <-late:
			r.t.Fatalf("not within a minute: %s: %+v %+v", what, states, list)
		}
	}
}

// events reads a stream of events of a user's; it ends with the test, or by the function that it returns.
func (r *liveRig) events(user, last string) (next func() (event, data, id string), end func()) {
	r.t.Helper()
	return r.eventsOf(user, password, last)
}

// eventsOf is events of somebody with another password.
func (r *liveRig) eventsOf(user, password, last string) (next func() (event, data, id string), end func()) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	r.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "GET", r.url+Prefix+"/live", nil)
	must(r.t, err)
	req.SetBasicAuth(user, password)
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Accept-Encoding", "gzip")
	req.Header.Set("Last-Event-ID", last)
	res, err := http.DefaultTransport.RoundTrip(req)
	must(r.t, err)
	r.t.Cleanup(func() { _ = res.Body.Close() })
	if res.StatusCode != 200 || res.Header.Get("Content-Encoding") != "gzip" {
		r.t.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	unzip, err := gzip.NewReader(res.Body)
	must(r.t, err)
	lines := bufio.NewScanner(unzip)
	lines.Buffer(nil, 1<<20)
	return func() (event, data, id string) {
		for lines.Scan() {
			key, value, _ := strings.Cut(lines.Text(), ": ")
			switch key {
			case "event":
				event = value
			case "data":
				data = value
			case "id":
				id = value
			case "":
				if event != "" {
					return event, data, id
				}
			}
		}
		return "end", "", ""
	}, cancel
}

// read takes events up to the next "ready", a line each, and returns its ID too.
func read(next func() (event, data, id string)) (all []string, last string) {
	for {
		event, data, id := next()
		if event == "ready" || event == "end" {
			return append(all, event), id
		}
		all = append(all, event+" "+data)
	}
}

func TestWhatRunsIsLive(t *testing.T) {
	r, host, other := newLiveRig(t), vchtest.Serve(t), vchtest.Serve(t)
	host.Docker.Add(&vchtest.Container{ID: vchtest.ID(1), Name: "web", State: "running", Status: "Up 1 second"})
	other.Docker.Add(&vchtest.Container{ID: vchtest.ID(2), Name: "hidden", State: "running"})
	id, _ := r.vch(host, "one", "private")
	r.vch(other, "two", "public") // whose members the developers of "private" are as well; a stranger sees neither

	var all liveForm
	if r.api("developer", "GET", "/live", "", 200, &all); len(all.VCHs) != 2 || len(all.Containers) != 2 || fmt.Sprint(all.VCHs[0].Projects) != "[private]" {
		t.Errorf("%+v", all)
	}
	for _, user := range []string{"none", "viewer"} { // a public project shows images to all, and containers to its developers alone
		if r.api(user, "GET", "/live", "", 200, &all); len(all.VCHs)+len(all.Containers) != 0 {
			t.Errorf("%s: %+v", user, all)
		}
	}
	r.api("", "GET", "/live", "", 401, nil)

	next, end := r.events("developer", "")
	got, last := read(next)
	if text := strings.Join(got, "\n"); !strings.HasPrefix(text, "reset [{") || !strings.Contains(text, `"name":"web"`) || !strings.Contains(text, `"name":"hidden"`) {
		t.Fatalf("the beginning: %s", text)
	}
	host.Docker.Set(vchtest.ID(1), "exited", "Exited (1) 1 second ago", "die")
	var seen string
	for !strings.Contains(seen, `"state":"exited"`) || !strings.Contains(seen, "vch {") {
		got, last = read(next)
		seen += strings.Join(got, "\n")
	}
	end()
	// Who comes back is told what it has missed, and no more.
	host.Docker.Remove(vchtest.ID(1))
	r.until("it is gone", func(_ []fleet.State, list []fleet.Container) bool { return len(list) == 1 })
	next, end = r.events("developer", last)
	if got, _ = read(next); !strings.HasPrefix(got[0], fmt.Sprintf(`removed {"vch":%d,"id":%q}`, id, vchtest.ID(1))) {
		t.Errorf("after a gap: %q", got)
	}
	end()
	// Who was with another process begins anew.
	next, end = r.events("developer", "other-5")
	if got, _ = read(next); !strings.HasPrefix(got[0], "reset [") {
		t.Errorf("after another process: %q", got)
	}
	// A VCH that is no resource of theirs any more is gone for them.
	r.api("cloud-admin", "POST", "/vchs", `{"uid":"uid-two","name":"two","projects":["default"]}`, 400, nil)
	r.api("cloud-admin", "POST", "/projects", `{"project_name":"away"}`, 201, nil)
	r.api("cloud-admin", "POST", "/vchs", `{"uid":"uid-two","name":"two","projects":["away"]}`, 201, nil)
	for seen = ""; !strings.Contains(seen, "vch-gone ") && !strings.Contains(seen, "reset ["); {
		got, _ = read(next)
		seen += strings.Join(got, "\n")
	}
	if strings.Contains(seen, "hidden") {
		t.Errorf("shown to who may not see it: %s", seen)
	}
	end()
	// The stream ends when the account does.
	next, _ = r.events("developer", "")
	read(next)
	var users []user
	r.api("cloud-admin", "GET", "/users?page_size=100", "", 200, &users)
	i := slices.IndexFunc(users, func(u user) bool { return u.Name == "developer" })
	r.api("cloud-admin", "DELETE", fmt.Sprintf("/users/%d", users[i].ID), "", 200, nil)
	for event := ""; event != "end"; {
		event, _, _ = next()
	}
}

func TestWhatIsDoneToContainers(t *testing.T) {
	r, host := newLiveRig(t), vchtest.Serve(t)
	host.Docker.Add(&vchtest.Container{ID: vchtest.ID(1), Name: "web", State: "exited", Log: []string{"one", "!two", strings.Repeat("x", 20000), "three"}})
	_, path := r.vch(host, "one", "private")
	at := "/projects/private" + path + "/containers/web"
	r.api("cloud-admin", "POST", "/projects", `{"project_name":"secret"}`, 201, nil)
	r.api("developer", "POST", at+"/start", "", 200, nil)
	if got := host.Docker.Get(vchtest.ID(1)).State; got != "running" {
		t.Errorf("started, it is %s", got)
	}
	// An image has the name of a project's in the hub by those alone who may push there, whether it is there or not.
	hub := strings.TrimPrefix(r.url, "http://")
	for repo, refused := range map[string]bool{hub + "/secret/app": true, hub + "/nowhere/app": true, "HUB.example.com/secret/app": true, hub + "/private/app": false,
		"hub.example.com:8443/private/app": false, "other.example.com/secret/app": false, "secret/app": false, "": false} {
		status, _, text := r.do("developer", "POST", Prefix+at+"/commit?repo="+repo, "", "")
		if (status == 403) != refused || refused && !strings.Contains(text, "give it another name") {
			t.Errorf("an image of the name %q: %d %s", repo, status, text)
		}
	}
	r.api("developer", "POST", at+"/rename?new_name=site", "", 200, nil)
	at = "/projects/private" + path + "/containers/site"
	var inspect struct{ ID, Name string }
	if r.api("developer", "GET", at, "", 200, &inspect); inspect.Name != "/site" {
		t.Errorf("%+v", inspect)
	}
	r.api("developer", "GET", at+"/stats?one-shot=1&stream=0", "", 200, nil)
	r.api("developer", "GET", "/projects/private"+path+"/info", "", 200, nil)
	r.api("developer", "POST", at+"/kill", "", 200, nil)
	r.api("developer", "POST", at+"/kill", "", 409, nil)
	r.api("developer", "POST", at+"/update", `{"Memory":1000}`, 200, nil)
	// Wrong names, others' projects, other VCHs, other paths.
	for path, want := range map[string]int{
		"/projects/private" + path + "/containers/nobody/start": 404,
		"/projects/private" + path + "/containers/..%2f/start":  400,
		"/projects/private" + path + "/containers/a%20b/start":  400,
		"/projects/public" + path + "/containers/site/start":    404,
		"/projects/private/vchs/999/containers/site/start":      404,
		"/projects/private/vchs/x/containers/site/start":        400,
		"/projects/private" + path + "/containers/prune":        405,
		"/projects/private" + path + "/swarm/init":              404,
	} {
		r.api("developer", "POST", path, "", want, nil)
	}
	r.api("viewer", "POST", at+"/start", "", 403, nil)
	r.api("developer", "DELETE", at, "", 200, nil)
	if host.Docker.Count() != 0 {
		t.Error("it is there after it was removed")
	}
}

func TestLogsOfContainers(t *testing.T) {
	r, host := newLiveRig(t), vchtest.Serve(t)
	long := strings.Repeat("x", 20000)
	host.Docker.Add(&vchtest.Container{ID: vchtest.ID(1), Name: "web", State: "exited", Created: 1000, Log: []string{"one", "!two <b>", long, "three"}})
	_, path := r.vch(host, "one", "private")
	at := "/projects/private" + path + "/containers/web/logs"
	_, header, text := r.do("developer", "GET", Prefix+at, "", "")
	var got []string
	for line := range strings.Lines(text) {
		var l logLine
		must(t, json.Unmarshal([]byte(line), &l))
		got = append(got, fmt.Sprint(l.Stream, l.Time, " ", len(l.Text), " ", l.Text[:min(8, len(l.Text))]))
	}
	want := []string{"11970-01-01T00:16:40Z 3 one", "21970-01-01T00:16:41Z 7 two <b>", "11970-01-01T00:16:42Z 16363 xxxxxxxx", "1 3637 xxxxxxxx",
		"11970-01-01T00:16:43Z 5 three"}
	if !slices.Equal(got, want) || header.Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("%q\n%v", got, header)
	}
	if _, _, text = r.do("developer", "GET", Prefix+at+"?contains=thr", "", ""); strings.Count(text, "\n") != 1 || !strings.Contains(text, "three") {
		t.Errorf("only one line has it: %.200q", text)
	}
	if status, _, _ := r.do("developer", "GET", Prefix+at+"?since=yesterday", "", ""); status != 400 {
		t.Errorf("since yesterday: %d", status)
	}
}

func TestAShellInABrowser(t *testing.T) {
	r, host := newLiveRig(t), vchtest.Serve(t)
	host.Docker.Add(&vchtest.Container{ID: vchtest.ID(1), Name: "web", State: "running"})
	_, path := r.vch(host, "one", "private")
	at := "/projects/private" + path + "/containers/web/shell"
	r.api("developer", "GET", at, "", 426, nil)
	r.api("developer", "GET", at+"?cols=0", "", 400, nil)
	dial := func(user, origin string) (*websocket.Conn, *http.Response, error) {
		h := http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))}}
		if origin != "" {
			h.Set("Origin", origin)
		}
		return websocket.Dial(t.Context(), r.url+Prefix+at+"?cols=100&rows=30", &websocket.DialOptions{HTTPHeader: h})
	}
	if _, res, err := dial("viewer", ""); err == nil || res.StatusCode != 403 {
		t.Errorf("a viewer: %v", err)
	}
	if _, res, err := dial("developer", "https://evil.example"); err == nil || res.StatusCode != 403 {
		t.Errorf("a page of another site: %v", err)
	}
	ws, _, err := dial("developer", r.url)
	must(t, err)
	defer func() { _ = ws.CloseNow() }()
	must(t, ws.Write(t.Context(), websocket.MessageText, []byte(`{"cols":120,"rows":40}`)))
	must(t, ws.Write(t.Context(), websocket.MessageText, []byte(`{"cols":-1`)))
	must(t, ws.Write(t.Context(), websocket.MessageBinary, []byte("echo\n")))
	var text string
	for !strings.Contains(text, "echo") {
		_, b, err := ws.Read(t.Context())
		must(t, err)
		text += string(b)
	}
	must(t, ws.Write(t.Context(), websocket.MessageBinary, []byte("exit\n")))
	for err = nil; err == nil; {
		_, _, err = ws.Read(t.Context())
	}
	if websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		t.Errorf("at the end: %v", err)
	}
}
