package replication

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// within polls what has no event to wait for, generously.
func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	const most = 30 * time.Minute
	end := time.Now().Add(most)
	for tick := time.NewTicker(100 * time.Millisecond); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %s", what, most)
		}
	}
}

// programs builds the hub and its plugins.
func programs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, from := range map[string]string{"vic-hub": "bin/vic-hub", "vic-auth-local": "plugins/auth-local", "vic-replicate-oci": "plugins/replicate-oci"} {
		if out, err := exec.Command("go", "build", "-o", filepath.Join(dir, name), "../../"+from).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", from, err, out)
		}
	}
	return dir
}

// client sends requests of the administrator, whatever the certificate: it is of this test's own processes.
var client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // see above

// process is a hub in a process of its own, which can be killed, and the door in front of it, whose address stays and which counts
// the bytes that come in.
type process struct {
	t        *testing.T
	bin, dir string
	cmd      *exec.Cmd
	target   atomic.Pointer[url.URL]
	door     *httptest.Server
	received atomic.Int64
	password string
}

func newProcess(t *testing.T, bin string) *process {
	t.Helper()
	dir, err := os.MkdirTemp("", "hub") // sockets of plugins have short names
	must(t, err)
	p := &process{t: t, bin: bin, dir: dir}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	must(t, os.MkdirAll(filepath.Join(dir, "plugins.d"), 0o700))
	for name, config := range map[string]string{"vic-auth-local": fmt.Sprintf("file = %q\n", filepath.Join(dir, "users.json")), "vic-replicate-oci": "chunk_mib = 4\n"} {
		short := name[strings.LastIndex(name, "-")+1:]
		binary, err := os.ReadFile(filepath.Join(bin, name))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, short+".toml"), []byte(config), 0o600))
		must(t, os.WriteFile(filepath.Join(dir, "plugins.d", short+".toml"), fmt.Appendf(nil, "name = %q\npath = %q\nsha256 = '%x'\nconfig = %q\n",
			short, filepath.Join(bin, name), sha256.Sum256(binary), filepath.Join(dir, short+".toml")), 0o600))
	}
	must(t, os.WriteFile(filepath.Join(dir, "hub.toml"), fmt.Appendf(nil, "listen = 'tcp://127.0.0.1:0'\ndata = %q\n[plugins]\ndir = %q\n"+
		"[roles]\nauth = ['local']\nreplicate = ['oci']\n[outbound]\nallow = ['127.0.0.0/8']\n", filepath.Join(dir, "data"), filepath.Join(dir, "plugins.d")), 0o600))
	p.door = httptest.NewTLSServer(p.counting(&httputil.ReverseProxy{Transport: client.Transport, ErrorLog: nil,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(p.target.Load())
			r.Out.Host = r.In.Host
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { panic(http.ErrAbortHandler) }}))
	t.Cleanup(p.door.Close)
	p.start()
	t.Cleanup(p.kill)
	within(t, "the hub has its first administrator", func() bool {
		text, err := os.ReadFile(filepath.Join(dir, "first-password"))
		p.password = strings.TrimSpace(string(text))
		return err == nil && p.try(http.MethodGet, "/api/v2.0/registries", "", nil) == http.StatusOK
	})
	return p
}

// counting counts what comes in as content of blobs.
func (p *process) counting(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/blobs/uploads/") {
			r.Body = &counted{r.Body, &p.received}
		}
		next.ServeHTTP(w, r)
	})
}

type counted struct {
	io.ReadCloser
	n *atomic.Int64
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.ReadCloser.Read(b)
	c.n.Add(int64(n))
	return n, err
}

// start runs the hub, which tells its address in its log.
func (p *process) start() {
	p.t.Helper()
	p.cmd = exec.Command(filepath.Join(p.bin, "vic-hub"), "serve", "--config", filepath.Join(p.dir, "hub.toml"))
	stderr, err := p.cmd.StderrPipe()
	must(p.t, err)
	must(p.t, p.cmd.Start())
	address := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(stderr)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if _, rest, ok := strings.Cut(lines.Text(), "127.0.0.1:"); ok && strings.Contains(lines.Text(), "hub listens") {
				address <- "127.0.0.1:" + strings.FieldsFunc(rest, func(r rune) bool { return r < '0' || r > '9' })[0]
			}
		}
		close(address)
	}()
	at, ok := <-address
	if !ok {
		p.t.Fatal("the hub ends at once")
	}
	p.target.Store(&url.URL{Scheme: "https", Host: at})
	within(p.t, "the hub is ready", func() bool { return p.try(http.MethodGet, "/readyz", "", nil) == http.StatusOK })
}

// kill is kill -9; its plugins end with it.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// try asks the hub, through the door, and returns the status; 0: no answer.
func (p *process) try(method, path, body string, v any, header ...string) int {
	res := p.ask(method, path, body, header...)
	if res == nil {
		return 0
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return 0
	}
	if v != nil && json.Unmarshal(b, v) != nil {
		return 0
	}
	return res.StatusCode
}

func (p *process) ask(method, path, body string, header ...string) *http.Response {
	p.t.Helper()
	r, err := http.NewRequest(method, p.door.URL+path, bytes.NewReader([]byte(body)))
	must(p.t, err)
	r.SetBasicAuth("admin@local", p.password)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := client.Do(r)
	if err != nil {
		return nil
	}
	return res
}

// want asks and wants a status.
func (p *process) want(code int, method, path, body string, v any, header ...string) {
	p.t.Helper()
	if got := p.try(method, path, body, v, header...); got != code {
		p.t.Fatalf("%s %s: %d, want %d", method, path, got, code)
	}
}

// knows registers a registry at a door.
func (p *process) knows(name, kind string, door *httptest.Server, user, password string) (id int64) {
	p.t.Helper()
	b, err := json.Marshal(map[string]any{"name": name, "type": kind, "url": door.URL,
		"ca_certificate": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: door.Certificate().Raw})),
		"credential":     map[string]string{"access_key": user, "access_secret": password}})
	must(p.t, err)
	p.want(http.StatusCreated, http.MethodPost, "/api/v2.0/registries", string(b), nil)
	var all []struct {
		ID   int64
		Name string
	}
	p.want(http.StatusOK, http.MethodGet, "/api/v2.0/registries?page_size=100", "", &all)
	for _, x := range all {
		if x.Name == name {
			return x.ID
		}
	}
	p.t.Fatalf("registry %s is not there", name)
	return 0
}

// artifact is an image that was pushed, with a referrer.
type artifact struct {
	repo, tag, digest string
	size              int64 // bytes of all blobs
}

// push pushes an image with a layer of so many bytes, and what refers to it.
func (p *process) push(repo, tag string, size int) artifact {
	p.t.Helper()
	const media = "application/vnd.oci.image.manifest.v1+json"
	a := artifact{repo: repo, tag: tag}
	blob := func(b []byte) string {
		d := fmt.Sprintf("sha256:%x", sha256.Sum256(b))
		p.want(http.StatusCreated, http.MethodPost, "/v2/"+repo+"/blobs/uploads/?digest="+d, string(b), nil, "Content-Type", "application/octet-stream")
		a.size += int64(len(b))
		return fmt.Sprintf(`"digest":%q,"size":%d`, d, len(b))
	}
	put := func(ref, more string, size int) (string, int) {
		noise := make([]byte, size)
		_, _ = rand.Read(noise)
		text := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json",%s},
			"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar",%s}]%s}`, media, blob(fmt.Appendf(nil, `{"of":%q}`, repo+tag+more)), blob(noise), more)
		d := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text)))
		if ref == "" {
			ref = d
		}
		p.want(http.StatusCreated, http.MethodPut, "/v2/"+repo+"/manifests/"+ref, text, nil, "Content-Type", media)
		return d, len(text)
	}
	var n int
	a.digest, n = put(tag, "", size)
	put("", fmt.Sprintf(`,"artifactType":"application/vnd.test.signature","subject":{"mediaType":%q,"digest":%q,"size":%d}`, media, a.digest, n), 300)
	return a
}

// pushAll pushes images, some at once: of every hundred one is large.
func (p *process) pushAll(n int) (all []artifact, needed int64) {
	const large, repos, atOnce = 24 << 20, 40, 4
	all = make([]artifact, n)
	var wg sync.WaitGroup
	for worker := range atOnce {
		wg.Go(func() {
			for i := worker; i < n; i += atOnce {
				size := 50_000 + i*331%400_000
				if i%100 == 7 || i == 0 {
					size = large
				}
				all[i] = p.push(fmt.Sprintf("default-project/r%d", i%repos), fmt.Sprintf("t%d", i), size)
			}
		})
	}
	wg.Wait()
	for _, a := range all {
		needed += a.size
	}
	return all, needed
}
