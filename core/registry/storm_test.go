package registry

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/core/store/storetest"
)

const (
	// stormRounds is the environment's word for how often a soak kills the registry.
	stormRounds = "VIC_REGISTRY_STORM"
	// Of the process that is killed: the database and the folder of objects.
	victimURL = "VIC_REGISTRY_VICTIM_URL"
	victimDir = "VIC_REGISTRY_VICTIM_DIR"
)

// serveVictim is the process that is killed: a registry on the listener that it inherits, whose collector runs all the
// time and gives next to no grace.
func serveVictim() {
	if err := victim(); err != nil {
		fmt.Fprintln(os.Stderr, "victim:", err)
		os.Exit(1)
	}
}

func victim() error {
	ctx := context.Background()
	s, err := store.Open(ctx, os.Getenv(victimURL), Schema())
	if err != nil {
		return err
	}
	d, err := Filesystem(os.Getenv(victimDir))
	if err != nil {
		return err
	}
	g, err := New(ctx, s, d, Options{Authorizer: rights{}, Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		Grace: 50 * time.Millisecond, TrashGrace: 50 * time.Millisecond, UploadLife: time.Second})
	if err != nil {
		return err
	}
	l, err := net.FileListener(os.NewFile(3, "listener"))
	if err != nil {
		return err
	}
	go func() {
		for range time.Tick(20 * time.Millisecond) {
			if _, err := g.Collect(ctx, CollectOptions{Batch: 20}); err != nil {
				fmt.Fprintln(os.Stderr, "victim's collector:", err)
			}
		}
	}()
	return http.Serve(l, g)
}

// storm is clients that push, pull, mount and delete while the registry is killed.
type storm struct {
	t                                              *testing.T
	base                                           *url.URL
	client                                         http.Client
	stop                                           atomic.Bool
	pushed, deleted, checked, mounted, refused, no atomic.Int64
	answered                                       atomic.Int64 // requests
}

// call returns 0 when nobody knows what became of the request.
func (s *storm) call(method, path, contentType string, body []byte) (int, http.Header, []byte) {
	at, err := s.base.Parse(path)
	if err != nil {
		s.t.Error(err)
		return 0, nil, nil
	}
	req, err := http.NewRequest(method, at.String(), bytes.NewReader(body))
	if err != nil {
		s.t.Error(err)
		return 0, nil, nil
	}
	req.SetBasicAuth("root", "")
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	res, err := s.client.Do(req)
	if err != nil {
		s.no.Add(1)
		return 0, nil, nil
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= 500 {
		s.no.Add(1)
		return 0, nil, nil
	}
	s.answered.Add(1)
	return res.StatusCode, res.Header, b
}

// layer is content that is always the same for a number, so that pushes meet one another and the collector.
func layer(i int) []byte {
	r := rand.New(rand.NewPCG(uint64(i), 7))
	b := make([]byte, 2000+r.IntN(60000))
	for j := 0; j+8 <= len(b); j += 8 {
		binary.LittleEndian.PutUint64(b[j:], r.Uint64())
	}
	return b
}

func (s *storm) pushBlob(repo string, content []byte) bool {
	d := digest.FromBytes(content)
	blob := "/v2/" + repo + "/blobs/" + d.String()
	if c, _, _ := s.call("HEAD", blob, "", nil); c == 200 {
		return true
	}
	c, h, _ := s.call("POST", "/v2/"+repo+"/blobs/uploads/?mount="+d.String(), "", nil)
	if c == 201 {
		s.mounted.Add(1)
		return true
	}
	if c != 202 {
		return false
	}
	half := len(content) / 2
	if c, h, _ = s.call("PATCH", h.Get("Location"), octets, content[:half]); c != 202 {
		return false
	}
	c, _, _ = s.call("PUT", h.Get("Location")+"&digest="+d.String(), octets, content[half:])
	return c == 201
}

type image struct {
	digest digest.Digest
	layers []int
}

// pushImage returns nil unless the registry said that it has the image.
func (s *storm) pushImage(repo string) *image {
	im := &image{}
	var list []v1.Descriptor
	for range 3 {
		i := rand.IntN(60)
		content := layer(i)
		if !s.pushBlob(repo, content) {
			return nil
		}
		im.layers = append(im.layers, i)
		list = append(list, v1.Descriptor{MediaType: v1.MediaTypeImageLayer, Digest: digest.FromBytes(content), Size: int64(len(content))})
	}
	m := manifestOf(nil, list...)
	im.digest = digest.FromBytes(m)
	ref := im.digest.String()
	if rand.IntN(3) == 0 {
		ref = fmt.Sprintf("t%d", rand.IntN(5))
	}
	if c, _, _ := s.call("PUT", "/v2/"+repo+"/manifests/"+ref, v1.MediaTypeImageManifest, m); c != 201 {
		return nil
	}
	return im
}

// check asks for all of an image that the registry said it has.
func (s *storm) check(repo string, im *image) {
	if c, _, b := s.call("GET", "/v2/"+repo+"/manifests/"+im.digest.String(), "", nil); c != 0 && (c != 200 || digest.FromBytes(b) != im.digest) {
		s.t.Errorf("LOST manifest %s of %s: %d", im.digest, repo, c)
	}
	for _, i := range im.layers {
		content := layer(i)
		c, _, b := s.call("GET", "/v2/"+repo+"/blobs/"+digest.FromBytes(content).String(), "", nil)
		if c != 0 && (c != 200 || !bytes.Equal(b, content)) {
			s.t.Errorf("LOST layer %d of %s in %s: %d", i, im.digest, repo, c)
		}
		s.checked.Add(1)
	}
}

// work is one client. It returns the images that must be there in the end.
func (s *storm) work(repo string) (have []*image) {
	for !s.stop.Load() {
		switch k := rand.IntN(10); {
		case k < 5 || len(have) < 3:
			if im := s.pushImage(repo); im != nil {
				s.pushed.Add(1)
				have = append(have, im)
			} else {
				s.refused.Add(1)
			}
		case k < 8:
			i := rand.IntN(len(have))
			c, _, b := s.call("DELETE", "/v2/"+repo+"/manifests/"+have[i].digest.String(), "", nil)
			if c == 202 {
				s.deleted.Add(1)
			} else if c != 0 {
				s.t.Errorf("LOST manifest %s of %s: %d %s", have[i].digest, repo, c, b)
			}
			have = append(have[:i:i], have[i+1:]...) // without an answer nobody knows
		default:
			s.check(repo, have[rand.IntN(len(have))])
		}
	}
	return have
}

// The registry is killed again and again, and PostgreSQL crashed, while clients push, pull, mount and delete, and the
// collector runs without grace. Nothing that it ever confirmed is lost, and when all is over there is no row without its object and no object
// without its row.
func TestKillStorm(t *testing.T) { storms(t, 12, 1) }

// The same for a thousand kills on each kind of database, or as many as the environment says, in several registries at a time,
// each with a database and a storage of its own. go test -parallel says how many of them run at once.
func TestSoakKillStorm(t *testing.T) {
	if os.Getenv("VIC_SOAK") == "" {
		t.Skip("make soak runs it")
	}
	rounds := 1000
	if v := os.Getenv(stormRounds); v != "" {
		var err error
		if rounds, err = strconv.Atoi(v); err != nil {
			t.Fatalf("%s: %v", stormRounds, err)
		}
	}
	storms(t, rounds, 8)
}

// storms divides rounds among so many registries on each kind of database.
func storms(t *testing.T, rounds, registries int) {
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			server := &shared{}
			for i := range registries {
				url := storetest.URL(t, kind) // made before the first crash, and removed after the last
				t.Run(fmt.Sprint(i), func(t *testing.T) {
					t.Parallel()
					killStorm(t, server, url, (rounds+registries-1)/registries)
				})
			}
		})
	}
}

// shared is the PostgreSQL server that several storms have databases on: a crash that one of them makes is everybody's.
type shared struct {
	calm    sync.RWMutex // held for reading by those who need the server to be there
	crashes atomic.Int64 // counted when one begins, and again when the server is back
}

func (x *shared) crash(t *testing.T) {
	x.calm.Lock()
	defer x.calm.Unlock()
	x.crashes.Add(1)
	defer x.crashes.Add(1)
	storetest.Crash(t)
}

// during has the server there while f runs.
func (x *shared) during(f func()) {
	x.calm.RLock()
	defer x.calm.RUnlock()
	f()
}

// moment returns at a random moment of a victim's life: while it starts, or after it has answered up to so many requests.
func (s *storm) moment() {
	after := s.answered.Load() + rand.Int64N(300)
	for end := time.Now().Add(10 * time.Second); s.answered.Load() < after && time.Now().Before(end); {
		time.Sleep(time.Duration(rand.Int64N(int64(2 * time.Millisecond))))
	}
	if after%8 == 0 {
		time.Sleep(time.Duration(rand.Int64N(int64(200 * time.Millisecond))))
	}
}

func killStorm(t *testing.T, server *shared, db string, rounds int) {
	dir := t.TempDir()
	d, err := Filesystem(dir)
	if err != nil {
		t.Fatal(err)
	}
	later := &clock{}
	x := &world{t: t, driver: d, clock: later}
	server.during(func() {
		x.store = storetest.Open(t, db, Schema())
		if x.g, err = New(t.Context(), x.store, d, Options{Authorizer: rights{}, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Now: later.now}); err != nil {
			t.Fatal(err)
		}
		x.project(Project{Name: "p0", Quota: -1, RepoQuota: -1})
		x.project(Project{Name: "p1", Quota: -1, RepoQuota: -1})
	})
	// The listener outlives those who accept from it: clients wait and are not refused.
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := &storm{t: t, base: &url.URL{Scheme: "http", Host: l.Addr().String()}, client: http.Client{Timeout: 20 * time.Second}}
	var wg sync.WaitGroup
	have := make([][]*image, 4)
	for w := range have {
		wg.Go(func() { have[w] = s.work(fmt.Sprintf("p%d/r%d", w%2, w)) })
	}
	kills, crashes, two := 1, 0, strings.HasPrefix(db, "postgres")
	for round := range rounds {
		victims := []*victimProcess{startVictim(t, server, l, db, dir)}
		if two { // two processes on one database and one storage
			victims = append(victims, startVictim(t, server, l, db, dir))
		}
		for i, v := range victims {
			s.moment()
			if two && round%4 == 3 && i == 0 {
				crashes++
				server.crash(t)
			}
			v.kill()
		}
		kills += len(victims)
	}
	server.during(func() { // for the last one, which lives until the clients are done
		v := startVictim(t, server, l, db, dir)
		s.stop.Store(true)
		wg.Wait()
		for w, list := range have {
			for _, im := range list {
				s.check(fmt.Sprintf("p%d/r%d", w%2, w), im)
			}
		}
		v.kill()
		t.Logf("%d rounds, %d kills, %d crashes of the database and %d of others; %d images pushed, %d deleted, %d layers mounted, %d read and compared; "+
			"%d pushes given up, %d calls without an answer", rounds, kills, crashes, server.crashes.Load()/2-int64(crashes),
			s.pushed.Load(), s.deleted.Load(), s.mounted.Load(), s.checked.Load(), s.refused.Load(), s.no.Load())
		if s.pushed.Load() == 0 || s.deleted.Load() == 0 {
			t.Error("the storm did nothing")
		}
		x.afterStorm()
	})
}

// afterStorm fails the test unless rows and objects fit, and still do when all that may go has gone.
func (x *world) afterStorm() {
	x.t.Helper()
	x.sound()
	for range 3 {
		x.clock.forward(25 * time.Hour)
		x.collect()
	}
	h := x.sound()
	var uploads, trash, full int
	err := x.store.QueryRow(x.t.Context(), `SELECT (SELECT count(*) FROM upload), (SELECT count(*) FROM trash), 
		(SELECT count(*) FROM blob WHERE size > 0)`).Scan(&uploads, &trash, &full)
	if err != nil || uploads+trash != 0 || h.Objects != full {
		x.t.Errorf("%d uploads, %d in the trash, %d blobs, %d objects, %v", uploads, trash, full, h.Objects, err)
	}
	x.t.Logf("afterwards: %d blobs, %d objects, %d faults", h.Blobs, h.Objects, h.Faults)
}

type victimProcess struct {
	t       *testing.T
	cmd     *exec.Cmd
	out     bytes.Buffer
	server  *shared
	crashes int64 // of the server before it started
}

func startVictim(t *testing.T, server *shared, l *net.TCPListener, db, dir string) *victimProcess {
	t.Helper()
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	v := &victimProcess{t: t, cmd: exec.Command(os.Args[0]), server: server, crashes: server.crashes.Load()}
	v.cmd.Env = append(os.Environ(), victimURL+"="+db, victimDir+"="+dir)
	v.cmd.ExtraFiles = []*os.File{f}
	v.cmd.Stdout, v.cmd.Stderr = &v.out, &v.out
	if err := v.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return v
}

// kill kills it as it is. One that ended by itself is a failure.
func (v *victimProcess) kill() {
	v.t.Helper()
	_ = v.cmd.Process.Kill()
	err := v.cmd.Wait()
	// Its database went, or was away when it started: it may complain, or not come up.
	alone := v.server.crashes.Load() != v.crashes || v.crashes%2 == 1
	if !alone && (err == nil || err.Error() != "signal: killed") {
		v.t.Errorf("the registry ended by itself: %v\n%.2000s", err, v.out.String())
	}
	for line := range strings.SplitSeq(v.out.String(), "\n") {
		if !alone && strings.Contains(line, "collector") || strings.Contains(line, "panic") {
			v.t.Errorf("%.500s", line)
		}
	}
}
