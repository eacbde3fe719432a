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
func TestKillStorm(t *testing.T) { storms(t, 12) }

// The same for a thousand kills on each database, or as many as the environment says.
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
	storms(t, rounds)
}

func storms(t *testing.T, rounds int) {
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) { killStorm(t, storetest.URL(t, kind), rounds) })
	}
}

func killStorm(t *testing.T, db string, rounds int) {
	dir := t.TempDir()
	d, err := Filesystem(dir)
	if err != nil {
		t.Fatal(err)
	}
	later := &clock{}
	x := &world{t: t, store: storetest.Open(t, db, Schema()), driver: d, clock: later}
	if x.g, err = New(t.Context(), x.store, d, Options{Authorizer: rights{}, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Now: later.now}); err != nil {
		t.Fatal(err)
	}
	x.project(Project{Name: "p0", Quota: -1, RepoQuota: -1})
	x.project(Project{Name: "p1", Quota: -1, RepoQuota: -1})
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
	kills, crashes, shared := 1, 0, strings.HasPrefix(db, "postgres")
	for round := range rounds {
		victims := []*victimProcess{startVictim(t, l, db, dir)}
		if shared { // two processes on one database and one storage
			victims = append(victims, startVictim(t, l, db, dir))
		}
		for i, v := range victims {
			time.Sleep(100*time.Millisecond + time.Duration(rand.IntN(500))*time.Millisecond) // a random moment of its life
			if shared && round%4 == 3 && i == 0 {
				crashes++
				for _, v := range victims {
					v.alone = true
				}
				storetest.Crash(t)
			}
			v.kill()
		}
		kills += len(victims)
	}
	v := startVictim(t, l, db, dir) // the last one lives until the clients are done
	s.stop.Store(true)
	wg.Wait()
	for w, list := range have {
		for _, im := range list {
			s.check(fmt.Sprintf("p%d/r%d", w%2, w), im)
		}
	}
	v.kill()
	t.Logf("%d kills, %d crashes of the database; %d images pushed, %d deleted, %d layers mounted, %d read and compared; "+
		"%d pushes given up, %d calls without an answer",
		kills, crashes, s.pushed.Load(), s.deleted.Load(), s.mounted.Load(), s.checked.Load(), s.refused.Load(), s.no.Load())
	if s.pushed.Load() == 0 || s.deleted.Load() == 0 {
		t.Error("the storm did nothing")
	}
	x.sound()
	for range 3 {
		later.forward(25 * time.Hour)
		x.collect()
	}
	h := x.sound()
	var uploads, trash, full int
	err = x.store.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM upload), (SELECT count(*) FROM trash), 
		(SELECT count(*) FROM blob WHERE size > 0)`).Scan(&uploads, &trash, &full)
	if err != nil || uploads+trash != 0 || h.Objects != full {
		t.Errorf("%d uploads, %d in the trash, %d blobs, %d objects, %v", uploads, trash, full, h.Objects, err)
	}
	t.Logf("afterwards: %d blobs, %d objects, %d faults", h.Blobs, h.Objects, h.Faults)
}

type victimProcess struct {
	t     *testing.T
	cmd   *exec.Cmd
	out   bytes.Buffer
	alone bool // its database went: it may complain, or not come up
}

func startVictim(t *testing.T, l *net.TCPListener, db, dir string) *victimProcess {
	t.Helper()
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	v := &victimProcess{t: t, cmd: exec.Command(os.Args[0])}
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
	if err := v.cmd.Wait(); !v.alone && (err == nil || err.Error() != "signal: killed") {
		v.t.Errorf("the registry ended by itself: %v\n%.2000s", err, v.out.String())
	}
	for line := range strings.SplitSeq(v.out.String(), "\n") {
		if !v.alone && strings.Contains(line, "collector") || strings.Contains(line, "panic") {
			v.t.Errorf("%.500s", line)
		}
	}
}
