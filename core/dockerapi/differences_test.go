package dockerapi_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/openvic/vic/core/engine/enginetest"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/network"
)

const topicsPage = "../../docs/docker.md"

// difference is a row of docs/docker.md: a thing of Docker's, how it is here, and a check that it is so.
type difference struct {
	what, how string
	check     func(*client)
}

// tables are the page's, by the name in their markers.
func tables() map[string][]difference {
	return map[string][]difference{
		"volumes":  volumeDifferences(),
		"networks": networkDifferences(),
		"life":     lifeDifferences(),
	}
}

// TestPageTellsEveryDifference checks what docs/docker.md says in its tables, and keeps the page in step
// with it: what an option is answered with, and what rows say whose checks hold.
func TestPageTellsEveryDifference(t *testing.T) {
	blocks := map[string][]string{"options": optionRows(t)}
	for name, rows := range tables() {
		for _, d := range rows {
			t.Run(name+"/"+d.what, func(t *testing.T) { d.check(newClient(t)) })
			blocks[name] = append(blocks[name], fmt.Sprintf("| %s | %s |", d.what, d.how))
		}
	}
	have, err := os.ReadFile(topicsPage)
	if err != nil {
		t.Fatal(err)
	}
	want := have
	for name, rows := range blocks {
		if want, err = replaceBlock(want, name, rows); err != nil {
			t.Fatal(err)
		}
	}
	if *update {
		if err := os.WriteFile(topicsPage, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(have, want) {
		t.Errorf("docs/docker.md is out of date (make gen)")
	}
}

// replaceBlock puts rows between a table's markers.
func replaceBlock(page []byte, name string, rows []string) ([]byte, error) {
	begin, end := "<!-- made by make gen: "+name+" -->\n", "<!-- end of "+name+" -->"
	head, rest, ok := strings.Cut(string(page), begin)
	_, tail, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return nil, fmt.Errorf("docs/docker.md has no table %q between markers", name)
	}
	titles := "| | here |\n| --- | --- |\n"
	if name == "options" {
		titles = "| option | | what is answered |\n| --- | --- | --- |\n"
	}
	return []byte(head + begin + "\n" + titles + strings.Join(rows, "\n") + "\n\n" + end + tail), nil
}

// client asks an API of its own, over a platform with a container network "lan" (10.5.0.0/24).
type client struct {
	*testing.T
	api *api
}

func newClient(t *testing.T) *client {
	t.Helper()
	w := enginetest.New(t)
	w.Network = network.NewFake(
		network.Network{ID: "bridge", Name: "bridge", Driver: network.DriverBridge, Given: true,
			Subnet: netip.MustParsePrefix("172.16.0.0/16"), Gateway: netip.MustParseAddr("172.16.0.1")},
		network.Network{ID: "lan", Name: "lan", Driver: network.DriverExternal, Given: true,
			Subnet: netip.MustParsePrefix("10.5.0.0/24"), Gateway: netip.MustParseAddr("10.5.0.1")})
	return &client{t, serveWorld(t, w)}
}

// answered is what came back of a call: its status and its JSON, of an error the message.
type answered struct {
	code    int
	Message string
	body    map[string]any
}

// call makes one call; body is JSON, or nothing.
func (c *client) call(method, path, body string) (got answered) {
	c.Helper()
	r, err := http.NewRequestWithContext(c.Context(), method, c.api.url+path, strings.NewReader(body))
	if err != nil {
		c.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		c.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	got.code = resp.StatusCode
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		c.Fatalf("%s %s: %v", method, path, err)
	}
	var list []any
	if err := errors.Join(json.Unmarshal(b, &got), json.Unmarshal(b, &got.body)); err != nil && json.Unmarshal(b, &list) != nil && len(b) > 0 {
		got.Message = string(b)
	}
	return got
}

// works makes a call that must succeed.
func (c *client) works(method, path, body string) answered {
	c.Helper()
	got := c.call(method, path, body)
	if got.code >= 400 {
		c.Fatalf("%s %s: %d %s", method, path, got.code, got.Message)
	}
	return got
}

// refused makes a call that must fail, with a text.
func (c *client) refused(code int, text, method, path, body string) {
	c.Helper()
	if got := c.call(method, path, body); got.code != code || !strings.Contains(got.Message, text) {
		c.Errorf("%s %s: %d %s; want %d and %q", method, path, got.code, got.Message, code, text)
	}
}

// createBody is a request for a container, with what of a HostConfig is given.
func createBody(host string) string {
	return `{"Image":"busybox","Cmd":["sleep"],"HostConfig":{` + host + `}}`
}

// create makes a container and returns its ID.
func (c *client) create(name, host string) string {
	c.Helper()
	id, _ := c.works(http.MethodPost, "/containers/create?name="+name, createBody(host)).body["Id"].(string)
	return id
}

func (c *client) start(name string) {
	c.Helper()
	c.works(http.MethodPost, "/containers/"+name+"/start", "")
}

// shown is a value of an inspected thing, by its path: "State.Pid".
func (c *client) shown(path, of string) string {
	c.Helper()
	var v any = c.works(http.MethodGet, of, "").body
	for _, key := range strings.Split(path, ".") {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

func (c *client) shows(want, path, of string) {
	c.Helper()
	if got := c.shown(path, of); got != want {
		c.Errorf("%s of %s: %q, want %q", path, of, got, want)
	}
}

// guest is the configuration that a container's guest finds.
func (c *client) guest(id string) (g guest.Config) {
	c.Helper()
	req, ok := c.api.world.Compute.Request(id)
	if !ok {
		c.Fatalf("no VM %s", id)
	}
	if err := json.Unmarshal([]byte(req.Guest[guest.KeyConfig]), &g); err != nil {
		c.Fatal(err)
	}
	return g
}
