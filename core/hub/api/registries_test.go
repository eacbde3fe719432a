package api

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/openvic/vic/core/store/storetest"
)

func TestRegistriesAndProxyCaches(t *testing.T) {
	r := newRig(t, storetest.URL(t, "sqlite"))
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if _, password, _ := req.BasicAuth(); password != "open sesame" {
			w.Header().Set("WWW-Authenticate", `Basic realm="up"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer up.Close()
	admin := "cloud-admin"
	good := fmt.Sprintf(`{"name":"up","type":"docker-registry","url":%q,"insecure":true,"credential":{"type":"basic","access_key":"hub","access_secret":"open sesame"}}`, up.URL)
	r.api(admin, "POST", "/registries/ping", good, 200, nil)
	r.api(admin, "POST", "/registries/ping", strings.Replace(good, "open sesame", "x", 1), 400, nil)
	r.api(admin, "POST", "/registries", strings.Replace(good, "open sesame", "x", 1), 400, nil)
	at := strings.TrimPrefix(r.api(admin, "POST", "/registries", good, 201, nil).Get("Location"), Prefix)
	r.api(admin, "POST", "/registries", good, 409, nil)
	var one registryForm
	r.api(admin, "GET", at, "", 200, &one)
	if one.Name != "up" || one.Status != "healthy" || one.Credential == nil || one.Credential.Secret != "*****" || one.Credential.Key != "hub" {
		t.Errorf("%+v", one)
	}
	var list []registryForm
	if h := r.api(admin, "GET", "/registries?q=name=~U", "", 200, &list); len(list) > 1 || h.Get("X-Total-Count") == "" {
		t.Errorf("%+v", list)
	}
	r.api(admin, "GET", "/registries?name=up", "", 200, &list)
	if len(list) != 1 || list[0].ID != one.ID {
		t.Errorf("%+v", list)
	}
	r.api(admin, "GET", at+"/info", "", 200, nil)
	var kinds []string
	r.api(admin, "GET", "/replication/adapters", "", 200, &kinds)

	// The secret that is kept does not go elsewhere, and is not lost by a change of something else.
	ping := fmt.Sprintf(`{"id":%d,"url":"http://127.0.0.1:1"}`, one.ID)
	if _, _, body := r.do(admin, "POST", Prefix+"/registries/ping", "application/json", ping); !strings.Contains(body, "give it anew") {
		t.Error(body)
	}
	r.api(admin, "PUT", at, `{"url":"http://127.0.0.1:1"}`, 400, nil)
	r.api(admin, "PUT", at, `{"access_key":"another"}`, 400, nil)
	r.api(admin, "PUT", at, `{"type":"harbor"}`, 400, nil)
	r.api(admin, "PUT", at, `{"description":"the one","access_key":"hub","access_secret":"*****"}`, 200, nil)
	r.api(admin, "POST", "/registries/ping", fmt.Sprintf(`{"id":%d}`, one.ID), 200, nil)
	r.api(admin, "PUT", at, `{"access_secret":"x"}`, 400, nil)
	r.api(admin, "POST", "/registries/ping", `{"id":999}`, 404, nil)

	// Projects that are proxy caches of it.
	r.api(admin, "POST", "/projects", `{"project_name":"cache","registry_id":999}`, 400, nil)
	r.api(admin, "POST", "/projects", fmt.Sprintf(`{"project_name":"cache","registry_id":%d}`, one.ID), 201, nil)
	var p project
	r.api(admin, "GET", "/projects/cache", "", 200, &p)
	if p.Registry != one.ID {
		t.Errorf("%+v", p)
	}
	r.api(admin, "PUT", "/projects/cache", `{"registry_id":0}`, 400, nil)
	r.api(admin, "PUT", "/projects/cache", fmt.Sprintf(`{"registry_id":%d,"public":true}`, one.ID), 200, nil)
	r.api(admin, "PUT", "/projects/private", fmt.Sprintf(`{"registry_id":%d}`, one.ID), 400, nil)
	if status, _, body := r.do("", "PUT", "/v2/cache/app/manifests/1", indexType, manifest); status != 405 {
		t.Errorf("%d %s", status, body)
	}
	r.api(admin, "DELETE", at, "", 412, nil)
	r.api(admin, "DELETE", "/projects/cache", "", 200, nil)
	r.api(admin, "DELETE", at, "", 200, nil)
	r.api(admin, "GET", at, "", 404, nil)

	// No secret is in the log.
	var n int
	must(t, r.db.QueryRow(t.Context(), `SELECT COUNT(*) FROM audit_line WHERE detail LIKE '%sesame%' OR resource LIKE '%sesame%'`).Scan(&n))
	if n != 0 {
		t.Errorf("%d lines of the log hold the secret", n)
	}
}
