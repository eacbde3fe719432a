package dockerapi_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/core/dockerapi"
)

var (
	update = flag.Bool("update", false, "write docs/docker-api.md and the tables of docs/docker.md")
	strict = flag.Bool("strict", false, "compare all of docs/docker-api.md, not its routes alone (make check-gen)")
)

const page = "../../docs/docker-api.md"

// call is a request that a client could mean; path variables are filled in.
type call struct{ query, body string }

// calls are the requests of routes that need more than their path.
func calls() map[string]call {
	return map[string]call{
		"HEAD /containers/{name:.*}/archive": {query: "path=/etc"},
		"GET /containers/{name:.*}/archive":  {query: "path=/etc"},
		"PUT /containers/{name:.*}/archive":  {query: "path=/", body: strings.Repeat("\x00", 1024)},
		"GET /containers/{name:.*}/logs":     {query: "stdout=1"},
		"GET /containers/{name:.*}/stats":    {query: "stream=0&one-shot=1"},
		"POST /containers/{name:.*}/attach":  {query: "logs=1&stdout=1"},
		"POST /containers/create":            {query: "name=new", body: `{"Image":"busybox","Cmd":["true"]}`},
		"POST /containers/{name:.*}/kill":    {query: "signal=USR1"},
		"POST /containers/{name:.*}/restart": {query: "t=1&signal=KILL"},
		"POST /containers/{name:.*}/stop":    {query: "t=1&signal=KILL"},
		"POST /containers/{name:.*}/resize":  {query: "h=10&w=10"},
		"POST /containers/{name:.*}/rename":  {query: "name=renamed"},
		"POST /containers/{name:.*}/update":  {body: `{"Memory":268435456}`},
		"POST /containers/{name:.*}/exec":    {body: `{"Cmd":["true"]}`},
		"POST /exec/{name:.*}/start":         {body: `{"Detach":true}`},
		"POST /exec/{name:.*}/resize":        {query: "h=10&w=10"},
		"POST /commit":                       {query: "container={name}&repo=new", body: `{}`},
		"GET /images/get":                    {query: "names=busybox"},
		"GET /images/search":                 {query: "term=x"},
		"POST /images/load":                  {body: strings.Repeat("\x00", 1024)},
		"POST /images/create":                {query: "fromImage=127.0.0.1:1/{name}&tag=latest"},
		"POST /images/{name:.*}/tag":         {query: "repo=new&tag=1"},
		"POST /networks/create":              {body: `{"Name":"new"}`},
		"POST /networks/{id:.*}/connect":     {body: `{"Container":"{name}"}`},
		"POST /networks/{id:.*}/disconnect":  {body: `{"Container":"{name}"}`},
		"POST /volumes/create":               {body: `{"Name":"new"}`},
		"GET /events":                        {query: "until=1"},
		"POST /auth":                         {body: `{"username":"u","password":"p","serveraddress":"127.0.0.1:1"}`},
		"POST /swarm/init":                   {body: `{}`},
		"POST /swarm/join":                   {body: `{}`},
		"POST /swarm/update":                 {query: "version=1", body: `{}`},
		"POST /swarm/unlock":                 {body: `{}`},
		"POST /services/create":              {body: `{}`},
		"POST /services/{id}/update":         {query: "version=1", body: `{}`},
		"GET /services/{id}/logs":            {query: "stdout=1"},
		"GET /tasks/{id}/logs":               {query: "stdout=1"},
		"POST /nodes/{id}/update":            {query: "version=1", body: `{}`},
		"POST /secrets/create":               {body: `{}`},
		"POST /secrets/{id}/update":          {query: "version=1", body: `{}`},
		"POST /configs/create":               {body: `{}`},
		"POST /configs/{id}/update":          {query: "version=1", body: `{}`},
	}
}

var variable = regexp.MustCompile(`\{[^}]*\}`)

// request fills in a route's path variables and its call.
func request(r dockerapi.Route, name string) (path, contentType, body string) {
	c := calls()[r.Method+" "+r.Path]
	if strings.HasPrefix(r.Path, "/distribution/") {
		name = "127.0.0.1:1/" + name // not the registry of the world
	}
	path = variable.ReplaceAllString(r.Path, name)
	if c.query != "" {
		path += "?" + strings.ReplaceAll(c.query, "{name}", name)
	}
	if strings.HasPrefix(c.body, "{") {
		contentType = "application/json"
	}
	return path, contentType, strings.ReplaceAll(c.body, "{name}", name)
}

// probe calls a route and returns why it is refused, or that it is not.
func (a *api) probe(r dockerapi.Route) (reason string, refused bool) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	name := "c1"
	switch {
	case strings.HasPrefix(r.Path, "/networks"):
		name = "bridge"
	case strings.HasPrefix(r.Path, "/images"), strings.HasPrefix(r.Path, "/distribution"):
		name = "busybox"
	case strings.Contains(r.Path, "/wait"):
		name = "stopped"
	case strings.HasPrefix(r.Path, "/containers/{name:.*}/logs"), r.Method == "DELETE":
		name = "stopped2"
	}
	path, typ, body := request(r, name)
	path = strings.ReplaceAll(path, "127.0.0.1:1", a.registry)
	body = strings.ReplaceAll(body, "127.0.0.1:1", a.registry)
	method := r.Method
	if method == http.MethodHead { // says nothing: ask as GET does
		method = http.MethodGet
	}
	got, err := a.do(ctx, method, path, typ, body)
	if err != nil {
		a.t.Fatalf("%s %s: %v", method, path, err)
	}
	if got.code != http.StatusNotImplemented && got.code != http.StatusServiceUnavailable {
		return "", false
	}
	var m struct{ Message string }
	if err := json.Unmarshal([]byte(got.body), &m); err != nil || m.Message == "" {
		a.t.Errorf("%s %s: %d without a message: %q", method, path, got.code, got.body)
	}
	return m.Message, true
}

// table makes the page's rows.
func (a *api) table() []string {
	a.t.Helper()
	routes, err := dockerapi.Routes(a.options)
	if err != nil {
		a.t.Fatal(err)
	}
	a.container("c1", true)
	a.container("stopped", false)
	a.container("stopped2", false)
	var rows []string
	for _, r := range routes {
		verdict, note := "works", r.Difference
		if note != "" {
			verdict = "differs"
		}
		if reason, refused := a.probe(r); refused {
			verdict, note = "refused", reason
		}
		rows = append(rows, fmt.Sprintf("| `%s %s` | %s | %s | %s | %s |", r.Method, regexp.MustCompile(`:[^}]*\}`).ReplaceAllString(r.Path, "}"),
			r.Command, r.Since, verdict, note))
	}
	a.noPanics()
	return rows
}

const intro = `<!-- Made by make gen from the routers and from what each route answers; do not edit. -->
# Routes of the Docker API

Every route of the Docker Engine API as Docker 28.5.2 has it (API 1.24 to 1.51), and what a virtual container host does with it:

- **works**: as dockerd does.
- **differs**: works, with the difference in the note.
- **refused**: answers 501, or 503 where dockerd does so outside a swarm, with the text in the note. Nothing is ignored silently.

[docker.md](docker.md) explains the options of docker run. "Since" is the version of the API that brought the route; 1.24 stands for 1.24 and older.

| route | used by | since | | note |
| --- | --- | --- | --- | --- |
`

// TestPageTellsEveryRoute keeps docs/docker-api.md in step with the routers and their answers.
func TestPageTellsEveryRoute(t *testing.T) {
	rows := serveAPI(t).table()
	if *update {
		if err := os.MkdirAll(filepath.Dir(page), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(page, []byte(intro+strings.Join(rows, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	written := strings.Split(strings.TrimSpace(strings.TrimPrefix(string(have), intro)), "\n")
	if !*strict {
		written, rows = routesOf(written), routesOf(rows)
	}
	for _, r := range rows {
		if !slices.Contains(written, r) {
			t.Errorf("docs/docker-api.md is out of date (make gen); it lacks\n%s", r)
		}
	}
	if len(written) != len(rows) || !strings.HasPrefix(string(have), intro) {
		t.Errorf("docs/docker-api.md is out of date (make gen): %d rows of %d routes", len(written), len(rows))
	}
}

func routesOf(rows []string) (routes []string) {
	for _, r := range rows {
		if f := strings.Split(r, "|"); len(f) > 1 {
			routes = append(routes, strings.TrimSpace(f[1]))
		}
	}
	return routes
}

// TestEveryRouteOfDockerIsServed reads Docker's own source: what its routers have and ours lack
// would answer "page not found" instead of a reason.
func TestEveryRouteOfDockerIsServed(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/docker/docker").Output()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "api/server/router/*/*.go"))
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files of Docker's routers, %v", len(files), err)
	}
	routes, err := dockerapi.Routes(serveAPI(t).options)
	if err != nil {
		t.Fatal(err)
	}
	served := map[string]bool{}
	for _, r := range routes {
		served[r.Method+" "+r.Path] = true
	}
	defined := regexp.MustCompile(`router\.New(\w+)Route\("([^"]+)"`)
	n := 0
	for _, f := range files {
		source, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range defined.FindAllSubmatch(source, -1) {
			n++
			key := strings.ToUpper(string(m[1])) + " " + string(m[2])
			if !served[key] {
				t.Errorf("%s of Docker's %s is not served", key, filepath.Base(f))
			}
			delete(served, key)
		}
	}
	if n < 100 {
		t.Errorf("only %d routes in Docker's source", n)
	}
	for key := range served {
		t.Errorf("%s is served, but is no route of Docker's", key)
	}
}
