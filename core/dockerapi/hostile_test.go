package dockerapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openvic/vic/core/dockerapi"
)

// patience is how long a hostile request may take; a hang is found by it.
const patience = 15 * time.Second

// hostileIDs are names that nothing has, as they stand in a path.
func hostileIDs() []string {
	return []string{"nosuch", strings.Repeat("0", 64), strings.Repeat("f", 12), "..%2f..%2fetc", "%00", "%ff%fe", "%E2%98%A3", "a%20b", "-rf", "a:b@sha256:c",
		strings.Repeat("x", 20000), "%7b%22a%22%7d", "a%0d%0aX-Evil:%201", "sha256:" + strings.Repeat("z", 64)}
}

type content struct{ typ, body string }

// hostileBodies are bodies that no client means.
func hostileBodies() []content {
	const js = "application/json"
	return []content{{js, ""}, {js, "{"}, {js, "null"}, {js, "[]"}, {js, `"x"`}, {js, "{}"}, {js, "{}{}"}, {js, `{"nosuch":1}`}, {js, "\xff\xfe"},
		{js, "{}trailing"},
		{js, strings.Repeat(`{"a":`, 20000)}, {js, strings.Repeat("[", 20000)}, {"text/plain", "{}"}, {"", "{}"}, {"application/x-tar", "not a tar"},
		{"multipart/form-data", "--"}, {"application/x-www-form-urlencoded", "a=%zz"}, {"application/json; charset=nosuch", "{}"},
		{js, `{"Image":1,"Cmd":{},"Name":[],"Container":{},"HostConfig":"x"}`},
		{js, `{"Image":"busybox","HostConfig":null,"NetworkingConfig":{"EndpointsConfig":{"bridge":null}}}`},
		{js, `{"Image":"busybox","Cmd":[""],"Entrypoint":[""],"HostConfig":{"Memory":-1,"NanoCPUs":9223372036854775807,"RestartPolicy":{"Name":"x","MaximumRetryCount":-5}}}`},
		{js, `{"Image":"busybox","Cmd":["true"],"HostConfig":{"Memory":9223372036854775807}}`},
		{js, `{"Image":"busybox","Healthcheck":{"Test":[]},"ExposedPorts":{"x/y":{}},"HostConfig":{"PortBindings":{"99999/tcp":[{"HostPort":"-1"}],"":null},"Binds":[":","","a:b:c:d"],"Mounts":[{}],"Tmpfs":{"":""},"Ulimits":[null],"Devices":[{}],"ExtraHosts":[":",""],"Dns":["x"],"Links":[":"],"LogConfig":{"Config":{"max-size":"-1"}}}}`},
		{js, `{"Image":"busybox","NetworkingConfig":{"EndpointsConfig":{"bridge":{"IPAMConfig":{"IPv4Address":"::1","IPv6Address":"x"},"Links":[""],"Aliases":[""],"MacAddress":"zz"}}}}`},
		{js, `{"Name":"n","Driver":"nosuch","IPAM":{"Config":[{"Subnet":"x"}]}}`},
		{js, `{"Name":"../x","Driver":"nosuch","DriverOpts":{"Capacity":"-1"},"Labels":{"":""}}`},
		{js, `{"Cmd":[],"Env":["=","x"],"DetachKeys":"nosuch","ConsoleSize":[0,0]}`}, {js, `{"Detach":true,"Tty":true,"ConsoleSize":[4294967295,1]}`}}
}

// hostileQueries are all parameters that the routes know, with values that make no sense.
func hostileQueries() []string {
	names := []string{"t", "timeout", "signal", "h", "w", "filters", "limit", "size", "since", "until", "tail", "stdout", "stderr", "stdin", "stream", "logs",
		"follow", "timestamps", "details", "detachKeys", "path", "name", "tag", "repo", "force", "v", "link", "all", "digests", "fromImage", "fromSrc", "condition",
		"platform", "ps_args", "one-shot", "version", "noprune", "type", "verbose", "manifests", "container", "pause", "changes", "author", "comment", "names",
		"term", "scope", "noOverwriteDirNonDir", "copyUIDGID", "checkpoint", "checkpoint-dir", "quiet", "shared-size", "identity"}
	values := []string{"", "-1", "abc", "99999999999999999999", "{", `{"nosuch":{"a":true}}`,
		`{"label":["a","=",""],"until":["x"],"status":["nosuch"],"id":["["],"health":["x"],"before":["x"],"exited":["x"]}`, "\x00", "2020-13-99T00:00:00Z",
		"../..", "1"}
	var out []string
	for _, v := range values {
		q := url.Values{}
		for _, n := range names {
			q.Set(n, v)
		}
		out = append(out, q.Encode())
	}
	// One wrong parameter at a time: the first one hides the others.
	for _, n := range names {
		out = append(out, url.Values{n: {"abc"}}.Encode(), url.Values{n: {"{"}}.Encode(), url.Values{n: {"-1"}}.Encode())
	}
	return append(out, "a=%zz;b", strings.Repeat("a=b&", 5000))
}

func swarm(r dockerapi.Route) bool {
	for _, p := range []string{"/swarm", "/services", "/nodes", "/tasks", "/secrets", "/configs", "/plugins", "/debug"} {
		if strings.HasPrefix(r.Path, p) {
			return true
		}
	}
	return false
}

// check judges an answer to a hostile request.
func (a *api) check(what string, head bool, got answer, err error) {
	a.t.Helper()
	switch {
	case err != nil:
		a.t.Errorf("%s: %v", what, err)
	case got.code >= 500 && got.code != http.StatusNotImplemented && got.code != http.StatusServiceUnavailable:
		a.t.Errorf("%s: %d %s", what, got.code, got.body)
	case strings.HasPrefix(got.typ, "application/vnd.docker.") && got.body != "":
		// Docker's answer to attach and exec start, whose clients have taken the connection over.
	case got.code >= 400 && !head:
		var m struct{ Message string }
		if err := json.Unmarshal([]byte(got.body), &m); err != nil || m.Message == "" || !strings.HasPrefix(got.typ, "application/json") {
			a.t.Errorf("%s: %d, no message of Docker's: %s %q", what, got.code, got.typ, got.body)
		}
	}
}

func (a *api) hostile(r dockerapi.Route, path, typ, body string) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	got, err := a.do(ctx, r.Method, path, typ, body)
	a.check(fmt.Sprintf("%s %.150s (%s %.100q)", r.Method, path, typ, body), r.Method == http.MethodHead, got, err)
}

// eachRoute runs f for every route, some at a time.
func (a *api) eachRoute(f func(r dockerapi.Route)) {
	a.t.Helper()
	routes, err := dockerapi.Routes(a.options)
	if err != nil {
		a.t.Fatal(err)
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, 4)
	for _, r := range routes {
		slots <- struct{}{}
		wg.Go(func() { defer func() { <-slots }(); f(r) })
	}
	wg.Wait()
	a.noPanics()
}

func TestHostileIDs(t *testing.T) {
	a := serveAPI(t)
	a.eachRoute(func(r dockerapi.Route) {
		for _, id := range hostileIDs() {
			path, typ, body := request(r, id)
			a.hostile(r, path, typ, body)
			a.hostile(r, "/v1.44"+path, typ, body)
		}
	})
}

func TestHostileBodies(t *testing.T) {
	a := serveAPI(t)
	a.container("c1", true)
	a.eachRoute(func(r dockerapi.Route) {
		for i, b := range hostileBodies() {
			path, _, _ := request(r, "nosuch")
			a.hostile(r, path, b.typ, b.body)
			path, _, _ = request(r, "c1")
			if r.Method == http.MethodDelete || strings.HasSuffix(path, "/wait") || strings.Contains(path, "/attach") {
				continue
			}
			a.hostile(r, strings.ReplaceAll(path, "name=new", fmt.Sprint("name=new", i)), b.typ, b.body)
		}
	})
}

func TestHostileQueries(t *testing.T) {
	a := serveAPI(t)
	a.container("c1", true)
	a.container("c2", false)
	a.eachRoute(func(r dockerapi.Route) {
		for i, q := range hostileQueries() {
			if i > 20 && r.Difference == "" && swarm(r) {
				break // they all answer the same before they look
			}
			for _, name := range []string{"nosuch", "c1", "c2"} {
				if name != "nosuch" && (r.Method == http.MethodDelete || strings.HasSuffix(r.Path, "/wait") || strings.HasSuffix(r.Path, "/attach")) ||
					r.Path == "/events" {
					continue // it would wait for what does not come, or take the others' container away
				}
				path, typ, body := request(r, name)
				path, own, _ := strings.Cut(path, "?")
				a.hostile(r, path+"?"+q+"&"+own, typ, body) // the first value counts
			}
		}
	})
}

// TestCanceledContextEndsEveryRoute calls handlers whose client has gone before they begin.
func TestCanceledContextEndsEveryRoute(t *testing.T) {
	a := serveAPI(t)
	a.container("c1", true)
	a.eachRoute(func(r dockerapi.Route) {
		path, typ, body := request(r, "c1")
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		req := httptest.NewRequestWithContext(ctx, r.Method, path, strings.NewReader(body))
		req.Header.Set("Content-Type", typ)
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer func() {
				if p := recover(); p != nil && p != http.ErrAbortHandler {
					panic(p)
				}
			}()
			a.handler.ServeHTTP(hijacked(t), req)
		}()
		select {
		case <-done:
		case <-time.After(patience):
			t.Errorf("%s %s hangs", r.Method, path)
		}
	})
}

// recorder can be taken over, as the server's own writer can.
type recorder struct {
	*httptest.ResponseRecorder
	conn net.Conn
}

func hijacked(t *testing.T) *recorder {
	ours, theirs := net.Pipe()
	t.Cleanup(func() { ours.Close() })
	theirs.Close()
	return &recorder{httptest.NewRecorder(), ours}
}

// Hijack implements http.Hijacker.
func (r *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return r.conn, bufio.NewReadWriter(bufio.NewReader(r.conn), bufio.NewWriter(r.conn)), nil
}

// streams are the queries that make a route's answer one without an end.
func streams() map[string]string {
	return map[string]string{
		"GET /containers/{name:.*}/logs":    "stdout=1&follow=1",
		"GET /containers/{name:.*}/stats":   "stream=1",
		"POST /containers/{name:.*}/attach": "stream=1&stdin=1&stdout=1",
		"GET /events":                       "",
	}
}

// TestClientsThatHangUp leaves every route in the middle of the request's body, and in the middle of
// the answer. Nothing may be left of them: the server must come to rest.
func TestClientsThatHangUp(t *testing.T) {
	a := serveAPI(t)
	a.container("c1", true)
	var open sync.WaitGroup
	next := a.handler
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		open.Add(1)
		defer open.Done()
		next.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	addr := strings.TrimPrefix(srv.URL, "http://")
	a.eachRoute(func(r dockerapi.Route) {
		path, typ, body := request(r, "c1")
		if q, ok := streams()[r.Method+" "+r.Path]; ok {
			path, _, _ = strings.Cut(path, "?")
			path += "?" + q
		}
		if strings.HasSuffix(path, "/rename") {
			return // the others need the name
		}
		head := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\n", r.Method, path, typ)
		a.hangUp(addr, head+fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body)+100, body), false)
		a.hangUp(addr, head+"Transfer-Encoding: chunked\r\n\r\n5\r\n{\"a\"", false)
		a.hangUp(addr, head+fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body), true)
	})
	done := make(chan struct{})
	go func() { open.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(2 * patience):
		t.Error("handlers go on long after their clients have gone")
	}
	a.noPanics()
}

// hangUp sends bytes and leaves; with read it waits for the answer's first byte, if one comes soon.
func (a *api) hangUp(addr, text string, read bool) {
	a.t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		a.t.Error(err)
		return
	}
	defer c.Close()
	if _, err := io.WriteString(c, text); err != nil {
		a.t.Error(err)
		return
	}
	if read {
		_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		_, _ = c.Read(make([]byte, 1))
	}
}
