package image

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	registrytypes "github.com/docker/docker/api/types/registry"
)

// change puts other rules into effect.
func change(t *testing.T, s *Service, r Registries) {
	t.Helper()
	commit, err := s.PrepareRegistries(r)
	if err != nil {
		t.Fatal(err)
	}
	commit()
}

func TestRegistriesChangeWhileTheServiceRuns(t *testing.T) {
	host, ca := privateRegistry(t)
	host = strings.Replace(host, "127.0.0.1", "example.com", 1)
	s := open(t, t.TempDir(), newFakeLayers())
	dialAs(s, "example.com", "127.0.0.1")
	me := &registrytypes.AuthConfig{Username: "me", Password: "secret", ServerAddress: host}
	if err := pullAs(t, s, host+"/app:1", me); err == nil || !strings.Contains(err.Error(), "registry_ca") {
		t.Fatalf("an authority that is not known: %v", err)
	}
	for _, bad := range []Registries{{CAs: []string{"/no/such"}}, {Allow: []string{"a/b"}}, {Mirrors: []string{"ftp://x"}}} {
		if _, err := s.PrepareRegistries(bad); err == nil {
			t.Errorf("%+v passes", bad)
		}
	}
	change(t, s, Registries{CAs: []string{ca}})
	if err := pullAs(t, s, host+"/app:1", me); err != nil {
		t.Errorf("with its authority: %v", err)
	}
	change(t, s, Registries{CAs: []string{filepath.Dir(ca)}, Deny: []string{"example.com"}})
	if err := pullAs(t, s, host+"/app:1", me); err == nil || !strings.Contains(err.Error(), "is not allowed") {
		t.Errorf("denied: %v", err)
	}
	if _, err := s.Backend().GetRepositories(t.Context(), mustRef(t, host+"/app:1"), me); err == nil || !strings.Contains(err.Error(), "is not allowed") {
		t.Errorf("docker manifest of a denied registry: %v", err)
	}
	change(t, s, Registries{})
	if err := pullAs(t, s, host+"/app:1", me); err == nil || !strings.Contains(err.Error(), "registry_ca") {
		t.Errorf("its authority is gone: %v", err)
	}
}

func TestAPullEndsByTheRulesThatItBeganWith(t *testing.T) {
	r, f := newTestRegistry(t), newFakeLayers()
	img := r.push("app", "1", true, gz(files(10, "a")))
	begun, goOn := make(chan struct{}, 10), make(chan struct{})
	r.setBend(func(w http.ResponseWriter, q *http.Request, next http.Handler) {
		if q.Method == http.MethodGet && strings.Contains(q.URL.Path, "/blobs/") {
			begun <- struct{}{}
			select {
			case <-goOn:
			case <-time.After(10 * time.Second):
			}
		}
		next.ServeHTTP(w, q)
	})
	s := open(t, t.TempDir(), f)
	done := make(chan error, 1)
	go func() {
		_, err := tryPull(t.Context(), s, r.host()+"/app:1")
		done <- err
	}()
	<-begun
	change(t, s, Registries{Deny: []string{r.host()}})
	close(goOn)
	if err := <-done; err != nil {
		t.Error(err)
	}
	f.want(t, img.chains...)
	if _, err := tryPull(t.Context(), s, r.host()+"/app:1"); err == nil || !strings.Contains(err.Error(), "is not allowed") {
		t.Errorf("after the change: %v", err)
	}
}

// Docker's own client of registries is told of the authorities too, but for registries that are insecure.
func TestManifestsAreAskedForWithTheAuthorities(t *testing.T) {
	_, ca := privateRegistry(t)
	s := open(t, t.TempDir(), newFakeLayers(), func(o *Options) {
		o.Registries = Registries{CAs: []string{ca}, Insecure: []string{"insecure.example.com"}}
	})
	lookup := resolver{s.registry, s.hosts.trust().roots}
	for host, want := range map[string]bool{"example.com:5000": true, "insecure.example.com": false, "docker.io": false} {
		all, err := lookup.LookupPullEndpoints(host)
		if err != nil || len(all) == 0 || (all[0].TLSConfig.RootCAs != nil) != want || all[0].TLSConfig.InsecureSkipVerify != (host == "insecure.example.com") {
			t.Errorf("%s: %+v, %v", host, all, err)
		}
	}
}
