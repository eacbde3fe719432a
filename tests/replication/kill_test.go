// Package replication tries replication between processes that are killed.
package replication

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/tests/harness"
	"github.com/openvic/vic/tests/registries"
)

// TestKillsLoseNothing is the small form of TestSoakKillsLoseNothing.
func TestKillsLoseNothing(t *testing.T) { killing(t, 50, 2, false) }

// TestSoakKillsLoseNothing copies 1,000 artifacts with referrers from a hub to another one, of which one or the other is killed 20
// times, and then to distribution and to a Harbor-like server.
func TestSoakKillsLoseNothing(t *testing.T) {
	harness.Soak(t, "replication of 1,000 artifacts through 20 kills")
	killing(t, 1000, 20, true)
}

type execution struct {
	ID                     int64
	Status                 string
	Total, Succeed, Failed int
	Text                   string `json:"status_text"`
}

func killing(t *testing.T, artifacts, kills int, others bool) {
	bin := programs(t)
	a, b := newProcess(t, bin), newProcess(t, bin)
	all, needed := a.pushAll(artifacts)
	rule := func(from *process, name string, endpoint int64, trigger string) (id int64) {
		from.want(http.StatusCreated, http.MethodPost, "/api/v2.0/replication/policies", fmt.Sprintf(`{"name":%q,"dest_registry":{"id":%d},"enabled":true,
			"override":true,"dest_namespace":"mirror","trigger":{"type":%q}}`, name, endpoint, trigger), nil)
		var list []struct{ ID int64 }
		from.want(http.StatusOK, http.MethodGet, "/api/v2.0/replication/policies?name="+name, "", &list)
		return list[0].ID
	}
	to := rule(a, "to-b", a.knows("b", "harbor", b.door, "admin@local", b.password), "manual")
	// The other way round, on each push: what comes from a is there already.
	back := b.knows("a", "harbor", a.door, "admin@local", a.password)
	b.want(http.StatusCreated, http.MethodPost, "/api/v2.0/replication/policies", fmt.Sprintf(`{"name":"back","dest_registry":{"id":%d},"enabled":true,
		"override":true,"dest_namespace":"default-project","trigger":{"type":"event_based"}}`, back), nil)
	began := time.Now()
	pushed := a.received.Load()
	run := func(policy int64, during func(execution)) execution {
		a.want(http.StatusCreated, http.MethodPost, "/api/v2.0/replication/executions", fmt.Sprintf(`{"policy_id":%d}`, policy), nil)
		var e execution
		within(t, "the run ends", func() bool {
			var list []execution
			if a.try(http.MethodGet, fmt.Sprintf("/api/v2.0/replication/executions?policy_id=%d", policy), "", &list) != http.StatusOK || len(list) == 0 {
				return false
			}
			e = list[0]
			if e.Status == "InProgress" || e.Status == "Pending" {
				during(e)
				return false
			}
			return true
		})
		return e
	}
	killed := 0
	e := run(to, func(e execution) {
		// Each kill comes when a further part has arrived.
		if killed < kills && b.received.Load() > needed*int64(killed+1)/int64(kills+2) {
			killed++
			p := []*process{b, a}[killed%2]
			p.kill()
			p.start()
		}
	})
	took := time.Since(began)
	received := b.received.Load()
	if e.Status != "Succeed" || e.Total != artifacts+1 || killed != kills {
		t.Errorf("%+v after %d kills", e, killed)
	}
	for _, x := range all {
		repo := "mirror/" + x.repo[strings.Index(x.repo, "/")+1:]
		check(t, x, func(method, path string, v any) (int, http.Header) {
			res := b.ask(method, strings.Replace(path, "REPO", repo, 1), "", "Accept", "*/*")
			defer res.Body.Close()
			if v != nil {
				must(t, json.NewDecoder(res.Body).Decode(v))
			}
			return res.StatusCode, res.Header
		})
	}
	// The rule of the other way sends nothing back.
	var open []execution
	within(t, "the other way comes to rest", func() bool {
		return b.try(http.MethodGet, "/api/v2.0/replication/executions?status=InProgress", "", &open) == http.StatusOK && len(open) == 0
	})
	if n := a.received.Load() - pushed; n > 0 {
		t.Errorf("%d bytes went round", n)
	}
	ratio := float64(received) / float64(needed)
	t.Logf("%d artifacts with referrers, %d kills: %d bytes sent for %d, %.4f; %s", artifacts, kills, received, needed, ratio, took.Round(time.Second))
	if artifacts >= 1000 && ratio > 1.05 {
		t.Errorf("%.4f bytes were sent for each that was needed", ratio)
	}
	if !others {
		return
	}
	for name, kind := range map[string]string{"distribution": "docker-registry", "harbor-like": "harbor"} {
		h := registries.Distribution(t.Context(), t.TempDir())
		if kind == "harbor" {
			h = registries.Harbor("robot", "right", h)
		}
		door := httptest.NewTLSServer(h)
		t.Cleanup(door.Close)
		at := time.Now()
		e := run(rule(a, name, a.knows(name, kind, door, "robot", "right"), "manual"), func(execution) {})
		if e.Status != "Succeed" || e.Total != artifacts+1 {
			t.Errorf("%s: %+v", name, e)
		}
		for _, x := range all {
			repo := "mirror/" + x.repo[strings.Index(x.repo, "/")+1:]
			r, err := http.NewRequest(http.MethodHead, door.URL+"/v2/"+repo+"/manifests/"+x.tag, nil)
			must(t, err)
			r.SetBasicAuth("robot", "right")
			r.Header.Set("Accept", "application/vnd.oci.image.manifest.v1+json")
			res, err := client.Do(r)
			must(t, err)
			_ = res.Body.Close()
			if got := res.Header.Get("Docker-Content-Digest"); got != x.digest {
				t.Errorf("%s: %s:%s means %q", name, repo, x.tag, got)
			}
		}
		t.Logf("%s: %d artifacts in %s", name, artifacts, time.Since(at).Round(time.Second))
	}
}

// check sees that a destination has an artifact and what refers to it.
func check(t *testing.T, x artifact, ask func(method, path string, v any) (int, http.Header)) {
	t.Helper()
	if status, h := ask(http.MethodHead, "/v2/REPO/manifests/"+x.tag, nil); status != http.StatusOK || h.Get("Docker-Content-Digest") != x.digest {
		t.Errorf("%s:%s: %d, it means %q", x.repo, x.tag, status, h.Get("Docker-Content-Digest"))
	}
	var m struct{ Manifests []struct{ Digest string } }
	if status, _ := ask(http.MethodGet, "/v2/REPO/referrers/"+x.digest, &m); status != http.StatusOK || len(m.Manifests) != 1 {
		t.Errorf("%s:%s: %d, %d referrers", x.repo, x.tag, status, len(m.Manifests))
	}
}
