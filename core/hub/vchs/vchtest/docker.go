package vchtest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/distribution/reference"
)

// Docker is a Docker API with containers that are but entries of a list. What it is asked to do happens at once, and is
// told to whom listens for events.
type Docker struct {
	mu         sync.Mutex // guards all below
	containers []*Container
	listeners  map[chan string]bool
	pulled     []string
	next       int
	hang       chan struct{} // if not nil, nothing is answered until it is closed
	first      func(http.ResponseWriter, *http.Request) bool
}

// Container is an entry.
type Container struct {
	ID, Name, Image, State, Status string
	Created                        int64
	Labels                         map[string]string
	Log                            []string // lines; those that begin with "!" go to standard error
	Create                         json.RawMessage
}

// ID is the ID of a container made of a number.
func ID(n int) string { return fmt.Sprintf("%012x%052x", n, n) }

// Add puts containers there, without an event.
func (d *Docker) Add(list ...*Container) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.containers = append(d.containers, list...)
	d.next += len(list)
}

// Set gives a container another state and status text, and tells of it as an action.
func (d *Docker) Set(id, state, status, action string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c := d.find(id); c != nil {
		c.State, c.Status = state, status
		d.tell("container", action, id)
	}
}

// Remove takes a container away.
func (d *Docker) Remove(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.containers = slices.DeleteFunc(d.containers, func(c *Container) bool { return c.ID == id })
	d.tell("container", "destroy", id)
}

// Get returns a container; nil: there is none.
func (d *Docker) Get(id string) *Container {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c := d.find(id); c != nil {
		out := *c
		return &out
	}
	return nil
}

// Count is how many containers are there.
func (d *Docker) Count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.containers)
}

// Pulled are the images that were pulled.
func (d *Docker) Pulled() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.pulled)
}

// Hang lets all questions wait until the function that it returns is called, as when the network is lost.
func (d *Docker) Hang() (release func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := make(chan struct{})
	d.hang = c
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.hang = nil
		close(c)
	}
}

// First has a function see each request first; if it returns true, it has answered.
func (d *Docker) First(f func(http.ResponseWriter, *http.Request) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.first = f
}

// Drop ends the streams of events.
func (d *Docker) Drop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for c := range d.listeners {
		close(c)
		delete(d.listeners, c)
	}
}

// find is for those who hold mu.
func (d *Docker) find(id string) *Container {
	for _, c := range d.containers {
		if c.ID == id || c.Name == id || len(id) >= 12 && strings.HasPrefix(c.ID, id) {
			return c
		}
	}
	return nil
}

// tell is for those who hold mu.
func (d *Docker) tell(kind, action, id string) {
	line := fmt.Sprintf(`{"Type":%q,"Action":%q,"Actor":{"ID":%q,"Attributes":{}},"time":%d}`+"\n", kind, action, id, time.Now().Unix())
	for c := range d.listeners {
		select {
		case c <- line:
		default: // it does not read; its stream ends
			close(c)
			delete(d.listeners, c)
		}
	}
}

// ServeHTTP implements http.Handler.
func (d *Docker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	hang, first := d.hang, d.first
	d.mu.Unlock()
	if first != nil && first(w, r) {
		return
	}
	if hang != nil {
		select {
		case <-hang:
		case <-r.Context().Done():
			return
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/_ping", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "OK") })
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, map[string]any{"Version": Version, "ApiVersion": "1.51"})
	})
	mux.HandleFunc("GET /info", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, map[string]any{"NCPU": 8, "MemTotal": 16 << 30, "ServerVersion": Version})
	})
	mux.HandleFunc("GET /events", d.events)
	mux.HandleFunc("GET /containers/json", d.list)
	mux.HandleFunc("POST /containers/create", d.create)
	mux.HandleFunc("POST /images/create", d.pull)
	mux.HandleFunc("GET /containers/{id}/{what}", d.show)
	mux.HandleFunc("POST /containers/{id}/{what}", d.do)
	mux.HandleFunc("DELETE /containers/{id}", d.remove)
	mux.HandleFunc("POST /containers/{id}/exec", d.exec)
	mux.HandleFunc("POST /exec/{id}/start", d.shell)
	mux.HandleFunc("POST /exec/{id}/resize", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		answer(w, 404, map[string]string{"message": "page not found: " + r.URL.Path})
	})
	mux.ServeHTTP(w, r)
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client has gone
}

func missing(w http.ResponseWriter, id string) {
	answer(w, 404, map[string]string{"message": "No such container: " + id})
}

func (d *Docker) events(w http.ResponseWriter, r *http.Request) {
	c := make(chan string, 4096)
	d.mu.Lock()
	if d.listeners == nil {
		d.listeners = map[chan string]bool{}
	}
	d.listeners[c] = true
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		delete(d.listeners, c)
		d.mu.Unlock()
	}()
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush() // httptest's can
	for {
		select {
		case line, ok := <-c:
			if !ok {
				return
			}
			_, _ = io.WriteString(w, line)
			_ = http.NewResponseController(w).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

// form is a container in Docker's list.
func (c *Container) form() map[string]any {
	return map[string]any{"Id": c.ID, "Names": []string{"/" + c.Name}, "Image": c.Image, "Command": "sh", "Created": c.Created, "State": c.State,
		"Status": c.Status, "Labels": c.Labels, "Ports": []any{map[string]any{"PrivatePort": 80, "Type": "tcp"}},
		"NetworkSettings": map[string]any{"Networks": map[string]any{"bridge": map[string]string{"IPAddress": "172.16.0.2"}}}}
}

func (d *Docker) list(w http.ResponseWriter, r *http.Request) {
	var filter struct{ ID []string }
	if s := r.URL.Query().Get("filters"); s != "" {
		if err := json.Unmarshal([]byte(s), &filter); err != nil {
			answer(w, 400, map[string]string{"message": err.Error()})
			return
		}
	}
	d.mu.Lock()
	out := []any{}
	for _, c := range d.containers {
		if len(filter.ID) == 0 || slices.Contains(filter.ID, c.ID) {
			out = append(out, c.form())
		}
	}
	d.mu.Unlock()
	answer(w, 200, out)
}

func (d *Docker) create(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	var q struct {
		Image  string
		Labels map[string]string
	}
	if err == nil {
		err = json.Unmarshal(text, &q)
	}
	if err != nil {
		answer(w, 400, map[string]string{"message": err.Error()})
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	ref, err := reference.ParseDockerRef(q.Image)
	if err != nil || !slices.Contains(d.pulled, ref.String()) {
		answer(w, 404, map[string]string{"message": "No such image: " + q.Image})
		return
	}
	name := r.URL.Query().Get("name")
	if name != "" && d.find(name) != nil {
		answer(w, 409, map[string]string{"message": "Conflict. The container name \"/" + name + "\" is already in use"})
		return
	}
	d.next++
	c := &Container{ID: ID(1_000_000 + d.next), Name: name, Image: q.Image, State: "created", Status: "Created", Created: time.Now().Unix(), Labels: q.Labels,
		Create: text}
	d.containers = append(d.containers, c)
	d.tell("container", "create", c.ID)
	answer(w, 201, map[string]any{"Id": c.ID, "Warnings": []string{}})
}

func (d *Docker) pull(w http.ResponseWriter, r *http.Request) {
	image := r.URL.Query().Get("fromImage")
	if tag := r.URL.Query().Get("tag"); strings.HasPrefix(tag, "sha256:") {
		image += "@" + tag
	} else if tag != "" {
		image += ":" + tag
	}
	if strings.Contains(image, "missing") {
		answer(w, 404, map[string]string{"message": "manifest for " + image + " not found"})
		return
	}
	d.mu.Lock()
	d.pulled = append(d.pulled, image)
	d.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, "{\"status\":\"Pulling from %s\"}\n{\"status\":\"Downloading\",\"id\":\"0123456789ab\",\"progressDetail\":{\"current\":5,\"total\":10}}\n"+
		"{\"status\":\"Status: Downloaded newer image for %s\"}\n", image, image)
}

func (d *Docker) show(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.find(r.PathValue("id"))
	switch {
	case c == nil:
		missing(w, r.PathValue("id"))
	case r.PathValue("what") == "json":
		answer(w, 200, map[string]any{"Id": c.ID, "Name": "/" + c.Name, "RestartCount": 2,
			"Config": map[string]any{"Image": c.Image, "Labels": c.Labels, "Tty": false, "Env": []string{"PORT=8080", "DB=db-orders"},
				"Cmd": []string{"serve", "--all"}},
			"State": map[string]any{"Status": c.State, "Running": c.State == "running"},
			"HostConfig": map[string]any{"Memory": 64 << 20, "NanoCpus": 2_000_000_000,
				"RestartPolicy": map[string]any{"Name": "on-failure", "MaximumRetryCount": 5}},
			"Mounts":          []any{map[string]any{"Type": "volume", "Name": "state", "Destination": "/var/lib/app", "RW": true}},
			"NetworkSettings": map[string]any{"Networks": map[string]any{"bridge": map[string]string{"IPAddress": "172.16.0.2"}}}})
	case r.PathValue("what") == "logs":
		w.Header().Set("Content-Type", "application/vnd.docker.multiplexed-stream")
		for i, line := range c.Log {
			stream := byte(1)
			if rest, ok := strings.CutPrefix(line, "!"); ok {
				stream, line = 2, rest
			}
			line = time.Unix(c.Created+int64(i), 0).UTC().Format(time.RFC3339Nano) + " " + line + "\n"
			_, _ = w.Write(append([]byte{stream, 0, 0, 0, 0, 0, byte(len(line) >> 8), byte(len(line))}, line...))
		}
	case r.PathValue("what") == "stats":
		now := time.Now()
		answer(w, 200, map[string]any{"read": now, "cpu_stats": map[string]any{"cpu_usage": map[string]any{"total_usage": now.UnixNano() / 2}},
			"memory_stats": map[string]any{"usage": 10 << 20, "limit": 64 << 20}})
	case r.PathValue("what") == "top":
		answer(w, 200, map[string]any{"Titles": []string{"PID", "CMD"}, "Processes": [][]string{{"1", "sh"}}})
	default:
		answer(w, 404, map[string]string{"message": "page not found"})
	}
}

func (d *Docker) do(w http.ResponseWriter, r *http.Request) {
	next := map[string][3]string{"start": {"running", "Up Less than a second", "start"}, "stop": {"exited", "Exited (0) 1 second ago", "die"},
		"restart": {"running", "Up Less than a second", "start"}, "kill": {"exited", "Exited (137) 1 second ago", "die"},
		"pause": {"paused", "Up 1 second (Paused)", "pause"}, "unpause": {"running", "Up 2 seconds", "unpause"}}
	d.mu.Lock()
	defer d.mu.Unlock()
	c, what := d.find(r.PathValue("id")), r.PathValue("what")
	to, known := next[what]
	switch {
	case c == nil:
		missing(w, r.PathValue("id"))
	case what == "rename":
		c.Name = r.URL.Query().Get("name")
		d.tell("container", "rename", c.ID)
		w.WriteHeader(http.StatusNoContent)
	case what == "update":
		answer(w, 200, map[string]any{"Warnings": nil})
	case !known:
		answer(w, 404, map[string]string{"message": "page not found"})
	case what == "kill" && c.State != "running":
		answer(w, 409, map[string]string{"message": "Container " + c.ID + " is not running"})
	default:
		c.State, c.Status = to[0], to[1]
		d.tell("container", to[2], c.ID)
		w.WriteHeader(http.StatusNoContent)
	}
}

func (d *Docker) remove(w http.ResponseWriter, r *http.Request) {
	c := d.Get(r.PathValue("id"))
	switch {
	case c == nil:
		missing(w, r.PathValue("id"))
	case c.State == "running" && r.URL.Query().Get("force") == "":
		answer(w, 409, map[string]string{"message": "cannot remove container: it is running: stop it or force the removal"})
	default:
		d.Remove(c.ID)
		w.WriteHeader(http.StatusNoContent)
	}
}

func (d *Docker) exec(w http.ResponseWriter, r *http.Request) {
	c := d.Get(r.PathValue("id"))
	switch {
	case c == nil:
		missing(w, r.PathValue("id"))
	case c.State != "running":
		answer(w, 409, map[string]string{"message": "container " + c.ID + " is not running"})
	default:
		answer(w, 201, map[string]string{"Id": ID(7)})
	}
}

// shell gives back what it reads, until it reads "exit".
func (d *Docker) shell(w http.ResponseWriter, _ *http.Request) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	fmt.Fprint(conn, "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n/ # ")
	for read := ""; ; {
		b := make([]byte, 1024)
		n, err := buffered.Read(b)
		if read += string(b[:n]); err != nil || strings.HasSuffix(strings.TrimSpace(read), "exit") {
			return
		}
		if _, err := conn.Write(b[:n]); err != nil {
			return
		}
	}
}
