package dockerapi_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
)

// TestStatusesAreDockers compares the usual mistakes with what dockerd 28.5.2 answers, read from its
// source: the status and the beginning of the text.
func TestStatusesAreDockers(t *testing.T) {
	a := serveAPI(t)
	running := a.container("running", true).ID
	stopped := a.container("stopped", false).ID
	const js = "application/json"
	for _, tc := range []struct {
		method, path, typ, body string
		code                    int
		text                    string
	}{
		{"GET", "/nosuch", "", "", 404, "page not found"},
		{"PATCH", "/info", "", "", 404, "page not found"},
		{"GET", "/v1.99/info", "", "", 400, "client version 1.99 is too new. Maximum supported API version is 1.51"},
		{"GET", "/containers/nosuch/json", "", "", 404, "No such container: nosuch"},
		{"POST", "/containers/nosuch/start", "", "", 404, "No such container: nosuch"},
		{"POST", "/containers/running/start", "", "", 304, ""},
		{"POST", "/containers/stopped/stop", "", "", 304, ""},
		{"POST", "/containers/stopped/kill", "", "", 409, "cannot kill container: stopped: container " + stopped + " is not running"},
		{"POST", "/containers/running/kill?signal=NOSUCH", "", "", 400, "cannot kill container: running: invalid signal: NOSUCH"},
		{"POST", "/containers/stopped/resize?h=1&w=1", "", "", 409, "container " + stopped + " is not running"},
		{"POST", "/containers/running/resize?h=x&w=1", "", "", 400, ""},
		{"POST", "/containers/stopped/rename?name=running", "", "", 409,
			`Error when allocating new name: Conflict. The container name "/running" is already in use by container "` + running + `"`},
		{"POST", "/containers/stopped/rename?name=stopped", "", "", 400, "Renaming a container with the same name as its current name"},
		{"POST", "/containers/stopped/rename", "", "", 400, "Neither old nor new names may be empty"},
		{"POST", "/containers/stopped/wait?condition=nosuch", "", "", 400, `invalid condition: "nosuch"`},
		{"GET", "/containers/stopped/logs", "", "", 400, "Bad parameters: you must choose at least one stream"},
		{"DELETE", "/containers/running", "", "", 409, `cannot remove container "running": container is running: stop the container before removing or force remove`},
		{"GET", "/containers/json?filters=%7B%22nosuch%22%3A%5B%22x%22%5D%7D", "", "", 400, "invalid filter 'nosuch'"},
		{"GET", "/containers/json?filters=x", "", "", 400, ""},
		{"POST", "/containers/create", js, "", 400, "invalid JSON: got EOF while reading request body"},
		{"POST", "/containers/create", "text/plain", "{}", 400, "unsupported Content-Type header (text/plain): must be 'application/json'"},
		{"POST", "/containers/create", js, "{}{}", 400, "unexpected content after JSON"},
		{"POST", "/containers/create?name=a%2Fb", js, `{"Image":"busybox"}`, 400, "Invalid container name (a/b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"},
		{"POST", "/containers/create?name=running", js, `{"Image":"busybox"}`, 409,
			`Conflict. The container name "/running" is already in use by container "` + running + `"`},
		{"POST", "/containers/create", js, `{"Image":"nosuch"}`, 404, "No such image: nosuch"},
		{"POST", "/containers/running/exec", js, `{}`, 400, "No exec command specified"},
		{"POST", "/containers/stopped/exec", js, `{"Cmd":["x"]}`, 409, "container " + stopped + " is not running"},
		{"GET", "/exec/nosuch/json", "", "", 404, "No such exec instance: nosuch"},
		{"POST", "/exec/nosuch/start", js, "{}", 404, "No such exec instance: nosuch"},
		{"GET", "/images/nosuch/json", "", "", 404, "No such image: nosuch"},
		{"GET", "/networks/nosuch", "", "", 404, "network nosuch not found"},
		{"GET", "/volumes/nosuch", "", "", 404, "get nosuch: no such volume"},
		{"GET", "/swarm", "", "", 503, "This node is not a swarm manager."},
		{"POST", "/auth", js, "null", 400, ""},
	} {
		got, err := a.do(context.Background(), tc.method, tc.path, tc.typ, tc.body)
		if err != nil {
			t.Errorf("%s %s: %v", tc.method, tc.path, err)
			continue
		}
		var m struct{ Message string }
		_ = json.Unmarshal([]byte(got.body), &m)
		if got.code != tc.code || !strings.HasPrefix(m.Message, tc.text) {
			t.Errorf("%s %s: %d %q, dockerd: %d %q", tc.method, tc.path, got.code, m.Message, tc.code, tc.text)
		}
	}
	a.noPanics()
}
