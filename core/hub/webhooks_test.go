package hub

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestWebhooksTellOfPushesAndPulls is a hub with a policy, as its target sees it.
func TestWebhooksTellOfPushesAndPulls(t *testing.T) {
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			came := make(chan string, 100)
			target := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				b, _ := io.ReadAll(r.Body)
				came <- string(b)
			}))
			t.Cleanup(target.Close)
			w := newWorld(t, kind)
			w.stop()
			w.cfg.Outbound.Allow = []string{"127.0.0.0/8"}
			w.start()
			within(t, "ready", func() bool { status, _, _ := w.do("GET", "/readyz", "", "", ""); return status == 200 })
			text, err := os.ReadFile(filepath.Join(w.dir, "people", "first-password"))
			must(t, err)
			admin := basicAuth("admin@local", strings.TrimSpace(string(text)))
			body := fmt.Sprintf(`{"name":"all","enabled":true,"event_types":["PUSH_ARTIFACT","PULL_ARTIFACT","DELETE_ARTIFACT","QUOTA_EXCEED","TAG_RETENTION"],
				"targets":[{"type":"http","address":%q}]}`, target.URL)
			within(t, "the first administrator makes a policy", func() bool {
				status, _, _ := w.do("POST", "/api/v2.0/projects/default-project/webhook/policies", admin, "application/json", body)
				return status == 201
			})
			next := func(parts ...string) {
				t.Helper()
				select {
				case s := <-came:
					for _, p := range parts {
						if !strings.Contains(s, p) {
							t.Errorf("%s has no %s", s, p)
						}
					}
				case <-time.After(time.Minute):
					t.Fatalf("nothing came; want %v", parts)
				}
			}
			bearer, _ := w.bearer("admin@local", strings.TrimSpace(string(text)), "repository:default-project/app:pull,push,delete")
			const path = "/v2/default-project/app/manifests/"
			if status, _, s := w.do("PUT", path+"v1", bearer, indexType, manifest); status != 201 {
				t.Fatalf("%d %s", status, s)
			}
			next(`"type":"PUSH_ARTIFACT"`, `"operator":"admin@local"`, `"tag":"v1"`, `localhost`, `/default-project/app:v1"`, `"repo_type":"public"`, `"date_created":1`)
			_, header, _ := w.do("GET", path+"v1", bearer, "", "")
			next(`"type":"PULL_ARTIFACT"`, `"tag":"v1"`)
			w.do("DELETE", path+header.Get("Docker-Content-Digest"), bearer, "", "")
			next(`"type":"DELETE_ARTIFACT"`)
			for _, tag := range []string{"a", "b"} {
				body := strings.Replace(manifest, "[]}", `[],"annotations":{"tag":"`+tag+`"}}`, 1)
				if status, _, s := w.do("PUT", path+tag, bearer, indexType, body); status != 201 {
					t.Fatalf("%d %s", status, s)
				}
				next(`"type":"PUSH_ARTIFACT"`, `"tag":"`+tag+`"`)
			}
			_, header, s := w.do("POST", "/api/v2.0/retentions", admin, "application/json", `{"algorithm":"or","rules":[{"action":"retain",
				"template":"latestPushedK","params":{"latestPushedK":1},"tag_selectors":[{"kind":"doublestar","decoration":"matches","pattern":"**"}],
				"scope_selectors":{"repository":[{"kind":"doublestar","decoration":"repoMatches","pattern":"**"}]}}],
				"trigger":{"kind":"Schedule","settings":{"cron":""}},"scope":{"level":"project","ref":1}}`)
			rules := header.Get("Location")
			if status, _, text := w.do("POST", rules+"/executions", admin, "application/json", `{"dry_run":true}`); status != 201 {
				t.Fatalf("%s: %d %s, %s", rules, status, text, s)
			}
			next(`"type":"TAG_RETENTION"`, `"total":2,"retained":1,"project_name":"default-project"`, `"result":"Success","dry_run":true`)
			w.exec(`UPDATE project SET quota = 1`)
			if status, _, _ := w.do("PUT", path+"v2", bearer, indexType, manifest); status != 403 {
				t.Errorf("a push beyond the quota: %d", status)
			}
			next(`"type":"QUOTA_EXCEED"`, `"namespace":"default-project"`)
		})
	}
}
