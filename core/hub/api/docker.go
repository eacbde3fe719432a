package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/distribution/reference"

	"github.com/openvic/vic/core/hub/fleet"
	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/sdk/errdef"
)

// dockerRoute is a request of the Docker API that members of a project may send to its VCHs through the hub. Bodies and
// answers are Docker's own (Engine API v1.51); the hub passes on nothing else of a request, and of an answer its body
// alone. What makes containers is not here: package provision decides about it.
type dockerRoute struct {
	method, path string // below /projects/{project}/vchs/{vch}
	id, says     string
	to           string   // the path at the VCH, with the same names in braces; "": path
	query        []string // parameters that are passed on
	does         string   // what the audit log calls it
	body         bool
	check        func(*api, *call) error // what is asked before it is passed on; it puts back what it reads of the body
	media        string                  // of the answer; "": there is none that anybody needs
	large        bool
}

const (
	tarMedia  = "application/x-tar"
	jsonMedia = "application/json"
)

var dockerTable = []dockerRoute{
	{method: "GET", path: "/info", id: "infoVCH", says: "Get what the VCH says of itself", media: jsonMedia},
	{method: "GET", path: "/df", id: "dfVCH", says: "Get what uses room on the VCH", to: "/system/df", media: jsonMedia},
	{method: "GET", path: "/images", id: "listVCHImages", says: "List the VCH's images", to: "/images/json", query: []string{"filters"}, media: jsonMedia},
	{method: "GET", path: "/networks", id: "listNetworks", says: "List the VCH's networks", query: []string{"filters"}, media: jsonMedia},
	{method: "POST", path: "/networks", id: "createNetwork", says: "Create a network", to: "/networks/create",
		body: true, does: "create", media: jsonMedia},
	{method: "GET", path: "/networks/{name}", id: "getNetwork", says: "Get a network", media: jsonMedia},
	{method: "DELETE", path: "/networks/{name}", id: "deleteNetwork", says: "Remove a network", does: "delete"},
	{method: "POST", path: "/networks/{name}/connect", id: "connectNetwork", says: "Connect a container to a network", body: true, does: "connect"},
	{method: "POST", path: "/networks/{name}/disconnect", id: "disconnectNetwork", says: "Disconnect a container from a network",
		body: true, does: "disconnect"},
	{method: "GET", path: "/volumes", id: "listVolumes", says: "List the VCH's volumes", query: []string{"filters"}, media: jsonMedia},
	{method: "POST", path: "/volumes", id: "createVolume", says: "Create a volume", to: "/volumes/create", body: true, does: "create", media: jsonMedia},
	{method: "GET", path: "/volumes/{name}", id: "getVolume", says: "Get a volume", media: jsonMedia},
	{method: "DELETE", path: "/volumes/{name}", id: "deleteVolume", says: "Remove a volume", does: "delete"},

	{method: "GET", path: "/containers/{name}", id: "getContainer", says: "Get a container", to: "/containers/{name}/json",
		query: []string{"size"}, media: jsonMedia},
	{method: "DELETE", path: "/containers/{name}", id: "deleteContainer", says: "Remove a container", query: []string{"v", "force"}, does: "delete"},
	{method: "GET", path: "/containers/{name}/top", id: "topContainer", says: "List the processes of a container",
		query: []string{"ps_args"}, media: jsonMedia},
	{method: "GET", path: "/containers/{name}/changes", id: "changesContainer", says: "List what a container has changed of its image", media: jsonMedia},
	{method: "GET", path: "/containers/{name}/stats", id: "statsContainer", says: "Get what a container uses, each second, or once",
		query: []string{"stream", "one-shot"}, media: jsonMedia},
	{method: "GET", path: "/containers/{name}/archive", id: "getArchive", says: "Get files of a container as a tar archive",
		query: []string{"path"}, media: tarMedia},
	{method: "PUT", path: "/containers/{name}/archive", id: "putArchive", says: "Put the files of a tar archive into a container",
		query: []string{"path", "noOverwriteDirNonDir", "copyUIDGID"}, large: true, does: "copy"},
	{method: "POST", path: "/containers/{name}/start", id: "startContainer", says: "Start a container", does: "start"},
	{method: "POST", path: "/containers/{name}/stop", id: "stopContainer", says: "Stop a container", query: []string{"t", "signal"}, does: "stop"},
	{method: "POST", path: "/containers/{name}/restart", id: "restartContainer", says: "Restart a container",
		query: []string{"t", "signal"}, does: "restart"},
	{method: "POST", path: "/containers/{name}/kill", id: "killContainer", says: "Send a signal to a container", query: []string{"signal"}, does: "kill"},
	{method: "POST", path: "/containers/{name}/pause", id: "pauseContainer", says: "Pause a container", does: "pause"},
	{method: "POST", path: "/containers/{name}/unpause", id: "unpauseContainer", says: "Go on with a paused container", does: "unpause"},
	{method: "POST", path: "/containers/{name}/rename", id: "renameContainer", says: "Rename a container", query: []string{"new_name"}, does: "rename"},
	{method: "POST", path: "/containers/{name}/update", id: "updateContainer", says: "Change the limits and the restart policy of a container",
		check: (*api).mayResize, body: true, does: "update", media: jsonMedia},
	{method: "POST", path: "/containers/{name}/commit", id: "commitContainer", says: "Make an image of a container", to: "/commit",
		check: (*api).mayCommit, query: []string{"repo", "tag", "comment", "author", "pause"}, does: "commit", media: jsonMedia},
}

// inVCH is where the routes of the Docker API are.
const inVCH = "/projects/{project}/vchs/{vch}"

// dockerBody is a body of Docker's.
type dockerBody map[string]any

func dockerRoutes() []route {
	var all []route
	for _, d := range dockerTable {
		rt := route{method: d.method, path: inVCH + d.path, id: d.id, says: d.says, needs: role.ContainerRead, query: d.query, does: d.does, large: d.large,
			status: http.StatusOK, media: d.media, run: func(a *api, c *call) error { return a.forward(c, d) }}
		if d.method != http.MethodGet {
			rt.needs = role.ContainerWrite
		}
		if d.body {
			rt.takes = dockerBody{}
		}
		all = append(all, rt)
	}
	return all
}

// dockerName is how containers, networks and volumes are named, by Docker's rule, or by their IDs.
var dockerName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$`)

// conn is the client of the VCH that the path names, which is a resource of the project that it names.
func (a *api) conn(c *call) (*fleet.Conn, error) {
	n, err := c.number("vch")
	if err != nil {
		return nil, err
	}
	state, err := a.Fleet.VCH(n)
	if err != nil && !errors.Is(err, errdef.ErrNotFound) {
		return nil, err
	}
	if err != nil || !slices.Contains(state.Projects(), c.project.ID) {
		return nil, notFound("the project %s has no VCH %d", c.project.Name, n)
	}
	return a.Fleet.Conn(n)
}

// dockerPath is where a request goes at the VCH.
func (c *call) dockerPath(d dockerRoute) (string, error) {
	to, name := d.to, c.r.PathValue("name")
	if to == "" {
		to = d.path
	}
	if strings.Contains(d.path, "{name}") && !dockerName.MatchString(name) {
		return "", badRequest("%.100q is no name or ID: want letters, digits and _.-", name)
	}
	given, out := c.r.URL.Query(), url.Values{}
	for _, k := range d.query {
		if v := given.Get(k); v != "" {
			out.Set(k, v)
		}
	}
	if to == "/commit" {
		out.Set("container", name)
	}
	if out.Has("new_name") {
		out = url.Values{"name": out["new_name"]}
	}
	to = strings.Replace(to, "{name}", name, 1)
	if len(out) > 0 {
		to += "?" + out.Encode()
	}
	return to, nil
}

// forward passes a request on to a VCH, and its answer back.
func (a *api) forward(c *call, d dockerRoute) error {
	to, err := c.dockerPath(d)
	if err != nil {
		return err
	}
	conn, err := a.conn(c)
	if err != nil {
		return err
	}
	if d.check != nil {
		if err := d.check(a, c); err != nil {
			return err
		}
	}
	allowed, cancel := a.whileAllowed(c)
	defer cancel()
	ctx, end := allowed, func() {}
	if d.method != http.MethodGet && !d.large {
		// What was begun is ended, though the browser goes away: docker's client would wait for it too.
		ctx, end = context.WithCancel(context.WithoutCancel(c.r.Context()))
	}
	defer end()
	var body io.Reader
	if d.body || d.large {
		body = c.r.Body
	}
	req, err := http.NewRequestWithContext(ctx, d.method, conn.URL(to), body)
	if err != nil {
		return err
	}
	if d.body {
		req.Header.Set("Content-Type", "application/json")
		req.ContentLength = c.r.ContentLength
	}
	if d.large {
		if c.r.Header.Get("Content-Type") != tarMedia {
			return &Error{Status: http.StatusUnsupportedMediaType, Code: "UNSUPPORTED", Message: "send a tar archive, with Content-Type: " + tarMedia}
		}
		req.Header.Set("Content-Type", tarMedia)
	}
	res, err := conn.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	defer context.AfterFunc(allowed, end)() // it has been done: what the VCH says of it, without an end perhaps, is for who is there
	if res.StatusCode >= http.StatusBadRequest {
		return vchError(fleet.Refusal(res))
	}
	if d.media == "" {
		_, _ = io.CopyN(io.Discard, res.Body, 64<<10) // so that the connection can be used again
		return c.empty(http.StatusOK)
	}
	return c.pass(res, d.media)
}

// mayResize refuses another size of a container where the project's allowance has a limit: what is held of it is what the
// container was made with.
func (a *api) mayResize(c *call) error {
	var body map[string]json.RawMessage
	if err := c.body(&body); err != nil {
		return err
	}
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	c.r.Body, c.r.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	allowed, err := a.Provisions.Allowance(c.r.Context(), c.project.ID)
	if err != nil || allowed.Most.CPUs < 0 && allowed.Most.Memory < 0 {
		return err
	}
	for k := range body {
		if !strings.EqualFold(k, "RestartPolicy") {
			return &Error{Status: http.StatusForbidden, Code: "DENIED", Message: k + ": the project's allowance has a limit, so that a container keeps its size: " +
				"make another one, or ask a cloud administrator for more"}
		}
	}
	return nil
}

// mayCommit refuses an image that has a name of the hub's where the caller may not push: everybody else on the VCH would take it for
// the one of the hub, which its rules have looked at.
func (a *api) mayCommit(c *call) error {
	name := c.r.URL.Query().Get("repo")
	if name == "" {
		return nil
	}
	ref, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return badRequest("repo: %.100q is no name of an image: %v", name, err)
	}
	host := withoutPort(reference.Domain(ref))
	if !strings.EqualFold(host, withoutPort(c.r.Host)) && !slices.ContainsFunc(a.Hosts, func(h string) bool { return strings.EqualFold(host, withoutPort(h)) }) {
		return nil
	}
	project, _, _ := strings.Cut(reference.Path(ref), "/")
	answer, err := a.Authority.InProject(c.r.Context(), c.who, role.ArtifactPush, project)
	if err == nil && answer != role.Allowed {
		err = &Error{Status: http.StatusForbidden, Code: "DENIED", Message: "repo: an image with a name of the hub's needs " + role.ArtifactPush.String() +
			" in that project: give it another name"}
	}
	return err
}

// withoutPort is a host as it stands before the name of a repository, without its port.
func withoutPort(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return host
}

// vchError is what a client is told of a VCH's refusal. The VCH's own faults are not the hub's.
func vchError(err error) error {
	var r *fleet.Refused
	if !errors.As(err, &r) {
		return err
	}
	e := &Error{Status: r.Status, Code: "BAD_REQUEST", Message: r.Error()}
	switch {
	case r.Status == http.StatusNotFound:
		e.Code = "NOT_FOUND"
	case r.Status == http.StatusConflict:
		e.Code = "CONFLICT"
	case r.Status == http.StatusUnauthorized || r.Status == http.StatusForbidden:
		e.Status, e.Code, e.Message = http.StatusBadGateway, "BAD_GATEWAY", "the VCH refuses the hub: "+e.Message
	case r.Status >= http.StatusInternalServerError:
		e.Status, e.Code = http.StatusBadGateway, "BAD_GATEWAY"
	}
	return e
}

// pass answers with the body of a VCH's answer. A VCH is not believed to be no attacker of browsers: what it sends has the
// media type that the hub says, and is shown by nobody as a page.
func (c *call) pass(res *http.Response, media string) error {
	h := c.w.Header()
	if media != jsonMedia {
		h.Set("Content-Disposition", "attachment")
	}
	h.Set("Content-Type", media)
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	if stat := res.Header.Get("X-Docker-Container-Path-Stat"); stat != "" && len(stat) < 4096 {
		h.Set("X-Docker-Container-Path-Stat", stat)
	}
	c.w.WriteHeader(http.StatusOK)
	return copyNow(c.w, res.Body)
}

// copyNow passes on what comes as it comes. An error means that one side has gone: the answer has begun, nobody can be
// told any more.
func copyNow(w http.ResponseWriter, from io.Reader) error {
	flush := http.NewResponseController(w)
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		if n > 0 {
			if _, err := w.Write(b[:n]); err != nil {
				return nil
			}
			_ = flush.Flush() // a writer that cannot writes at once
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			panic(http.ErrAbortHandler) // so that the client does not take a part for the whole
		}
	}
}
