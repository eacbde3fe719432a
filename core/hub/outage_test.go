package hub

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/openvic/vic/core/store/storetest"
)

// pushImage pushes a layer and an image of it, and tells the first status that is no success, or 201, and what was said.
func (w *world) pushImage(header, repo, tag, layer string) (status int, body string) {
	w.t.Helper()
	put := func(content string) (int, string) {
		status, _, body := w.do("POST", "/v2/"+repo+"/blobs/uploads/?digest="+digest.FromString(content).String(), header, "application/octet-stream", content)
		return status, body
	}
	for _, content := range []string{layer, "{}"} {
		if status, body := put(content); status != http.StatusCreated {
			return status, body
		}
	}
	m := fmt.Sprintf(`{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":2},
		"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":%q,"size":%d}]}`, digest.FromString("{}"), digest.FromString(layer), len(layer))
	status, _, body = w.do("PUT", "/v2/"+repo+"/manifests/"+tag, header, "application/vnd.oci.image.manifest.v1+json", m)
	return status, body
}

// TestTheDatabaseIsGoneAndComesBack stops PostgreSQL under pushes: they are told 503, what was pushed stays, and the hub goes
// on when the database does.
func TestTheDatabaseIsGoneAndComesBack(t *testing.T) {
	w := newWorld(t, "postgres")
	password := w.administrator()
	as := basicAuth("admin@local", password)
	header, _ := w.bearer("admin@local", password, "repository:default-project/app:pull,push")
	var mu sync.Mutex
	var done []string
	told := map[int]int{}
	var before atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for p := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				tag := fmt.Sprintf("p%d-%d", p, i)
				status, body := w.pushImage(header, "default-project/app", tag, "layer "+tag)
				mu.Lock()
				told[status]++
				if status == http.StatusCreated {
					done = append(done, tag)
					before.Add(1)
				} else if status != http.StatusServiceUnavailable && len(told) < 10 {
					t.Errorf("a push is told %d %s", status, body)
				}
				mu.Unlock()
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	within(t, "a few pushes", func() bool { return before.Load() > 8 })
	storetest.Away(t, func() {
		within(t, "not ready", func() bool { status, _, _ := w.do("GET", "/readyz", "", "", ""); return status == 503 })
		within(t, "a push that is told so", func() bool { mu.Lock(); defer mu.Unlock(); return told[503] > 0 })
		if status, _, body := w.do("GET", "/api/v2.0/projects", as, "", ""); status != 503 || !strings.Contains(body, "UNAVAILABLE") {
			t.Errorf("the API: %d %s", status, body)
		}
		if status, _, body := w.do("GET", "/v2/default-project/app/tags/list", header, "", ""); status != 503 || !strings.Contains(body, "database does not answer") {
			t.Errorf("the registry: %d %s", status, body)
		}
		if status, _, _ := w.do("GET", "/healthz", "", "", ""); status != 200 {
			t.Errorf("the process lives: %d", status)
		}
	})
	now := before.Load()
	within(t, "pushes go on", func() bool { return before.Load() > now+8 })
	close(stop)
	wg.Wait()
	within(t, "ready", func() bool { status, _, _ := w.do("GET", "/readyz", "", "", ""); return status == 200 })
	for _, tag := range done {
		if status, _, body := w.do("GET", "/v2/default-project/app/manifests/"+tag, header, "", ""); status != 200 {
			t.Errorf("%s was pushed: %d %s", tag, status, body)
		}
	}
	t.Logf("%d images pushed, answers %v", len(done), told)
	w.command(0, nil, "fsck", "--hash")
}

// smallDisk mounts a file system of so many bytes.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "disk")
	must(t, os.Mkdir(dir, 0o700))
	err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", size))
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		t.Skip("a disk of its own wants the right to mount")
	}
	must(t, err)
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestTheDiskIsFullDuringPushes fills the disk that content and database share: pushes are told 507, what was pushed can be
// pulled, and when there is room again the same push goes through.
func TestTheDiskIsFullDuringPushes(t *testing.T) {
	disk := smallDisk(t, 24<<20)
	w := newWorld(t, "sqlite")
	password := w.administrator()
	w.stop()
	w.cfg.Storage.Folder = filepath.Join(disk, "objects")
	w.cfg.Database.URL = "sqlite:" + filepath.Join(disk, "hub.db")
	must(t, os.WriteFile(filepath.Join(w.dir, "hub.toml"), fmt.Appendf(nil, "data = %q\n[roles]\nauth = 'local'\n[database]\nurl = %q\n[storage]\nfolder = %q\n",
		w.cfg.Data, w.cfg.Database.URL, w.cfg.Storage.Folder), 0o600))
	w.start()
	w.administrator()
	header, _ := w.bearer("admin@local", password, "repository:default-project/app:pull,push")
	layer := func(c string) string { return strings.Repeat(c, 4<<20) }
	var done []string
	full := ""
	for i := range 10 {
		c := string(rune('a' + i))
		status, body := w.pushImage(header, "default-project/app", c, layer(c))
		if status == http.StatusCreated {
			done = append(done, c)
			continue
		}
		if status != http.StatusInsufficientStorage || !strings.Contains(body, "INSUFFICIENT_STORAGE") {
			t.Errorf("%d %s", status, body)
		}
		full = c
		break
	}
	if len(done) < 2 || full == "" {
		t.Fatalf("pushed %v, full at %q", done, full)
	}
	for _, c := range done {
		if status, _, body := w.do("GET", "/v2/default-project/app/blobs/"+digest.FromString(layer(c)).String(), header, "", ""); status != 200 || body != layer(c) {
			t.Errorf("%s: %d, %d bytes", c, status, len(body))
		}
	}
	w.command(0, nil, "fsck")
	must(t, unix.Mount("tmpfs", disk, "tmpfs", unix.MS_REMOUNT, fmt.Sprintf("size=%d,mode=0700", 64<<20)))
	if status, body := w.pushImage(header, "default-project/app", full, layer(full)); status != http.StatusCreated {
		t.Errorf("with room again: %d %s", status, body)
	}
	w.command(0, nil, "fsck", "--hash")
}
