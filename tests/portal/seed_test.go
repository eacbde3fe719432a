package portal

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"
)

const admin = "vic-cloud-admin"

// sbom is one of SPDX.
const sbom = `{"spdxVersion": "SPDX-2.3", "name": "checkout-api", "packages": [
	{"name": "libssl3", "versionInfo": "3.5.4-1", "licenseConcluded": "Apache-2.0"},
	{"name": "libc6", "versionInfo": "2.41-12", "licenseDeclared": "LGPL-2.1-or-later"},
	{"name": "ca-certificates", "versionInfo": "20250419", "licenseConcluded": "NOASSERTION", "licenseDeclared": "MPL-2.0"}]}`

// object is JSON.
type object = map[string]any

// seed fills a hub with what a small company would have.
func (w *world) seed() {
	w.t.Helper()
	for _, p := range []object{
		{"project_name": "shop", "metadata": object{"public": "false"}, "storage_limit": 64 << 10},
		{"project_name": "mail", "metadata": object{"public": "false"}},
		{"project_name": "tools", "metadata": object{"public": "true"}, "storage_limit": 20 << 30},
	} {
		w.do(admin, "POST", "/api/v2.0/projects", p)
	}
	w.do(admin, "POST", "/api/v2.0/users", object{"username": "j.moreau", "realname": "Jeanne Moreau", "password": "a password of ten or more"})
	for name, role := range map[string]int{"vic-devops-admin@local": 1, "vic-developer@local": 2, "j.moreau@local": 3} {
		w.do(admin, "POST", "/api/v2.0/projects/shop/members", object{"role_id": role, "member_user": object{"username": name}})
	}
	w.do(admin, "POST", "/api/v2.0/projects/shop/members", object{"role_id": 3, "member_group": object{"group_name": "local/administrators"}})
	digest := w.push("shop", "checkout-api", 40<<10, "2.8.0", "2.8", "latest")
	w.push("shop", "checkout-api", 1<<10, "2.7.4")
	w.push("shop", "search", 2<<10, "4.2.0", "latest")
	w.push("shop", "web/storefront", 3<<10, "2026.11.28")
	w.push("default-project", "busybox", 1<<10, "1.37", "latest")
	w.push("tools", "curl", 1<<10, "8.15")
	w.attach("shop", "checkout-api", digest, "application/vnd.dev.cosign.artifact.sig.v1+json", "{}")
	w.attach("shop", "checkout-api", digest, "application/spdx+json", sbom)
	w.seedPolicies()
}

func (w *world) seedPolicies() {
	w.t.Helper()
	const shop = "/api/v2.0/projects/shop"
	id := w.projectID("shop")
	w.do(admin, "POST", "/api/v2.0/labels", object{"name": "approved", "description": "Checked by the security team", "color": "#2E7D32", "scope": "g"})
	w.do(admin, "POST", "/api/v2.0/labels", object{"name": "deprecated", "color": "#A3151A", "scope": "p", "project_id": id})
	w.do(admin, "POST", shop+"/repositories/checkout-api/artifacts/2.8.0/labels", object{"id": 1})
	selectors := object{"tag_selectors": []object{{"kind": "doublestar", "decoration": "matches", "pattern": "2.*"}},
		"scope_selectors": object{"repository": []object{{"kind": "doublestar", "decoration": "repoMatches", "pattern": "**"}}}}
	w.do(admin, "POST", shop+"/immutabletagrules", selectors)
	w.do(admin, "POST", "/api/v2.0/retentions", object{"algorithm": "or", "scope": object{"level": "project", "ref": id},
		"trigger": object{"kind": "Schedule", "settings": object{"cron": "0 0 3 * * *"}},
		"rules": []object{{"action": "retain", "template": "latestPushedK", "params": object{"latestPushedK": 10},
			"tag_selectors":   []object{{"kind": "doublestar", "decoration": "matches", "pattern": "**", "extras": `{"untagged":false}`}},
			"scope_selectors": object{"repository": []object{{"kind": "doublestar", "decoration": "repoMatches", "pattern": "**"}}}}}})
	w.do(admin, "POST", "/api/v2.0/retentions/1/executions", object{"dry_run": true})
	w.do(admin, "POST", "/api/v2.0/robots", object{"name": "ci", "level": "project", "duration": 30, "description": "Builds and pushes", "permissions": []object{
		{"kind": "project", "namespace": "shop", "access": []object{{"resource": "repository", "action": "pull"}, {"resource": "repository", "action": "push"}}}}})
	w.do(admin, "POST", "/api/v2.0/robots", object{"name": "backup", "level": "system", "duration": -1, "permissions": []object{
		{"kind": "project", "namespace": "*", "access": []object{{"resource": "repository", "action": "pull"}}}}})
	w.do(admin, "POST", shop+"/webhook/policies", object{"name": "deploy", "enabled": true, "event_types": []string{"PUSH_ARTIFACT", "DELETE_ARTIFACT"},
		"targets": []object{{"type": "http", "address": "http://127.0.0.1:9/hook", "auth_header": "Bearer secret", "skip_cert_verify": false}}})
	w.push("shop", "search", 2<<10, "4.2.1")
	upstream := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})) // all that a registry says to a ping
	w.t.Cleanup(upstream.Close)
	w.do(admin, "POST", "/api/v2.0/registries", object{"name": "upstream", "type": "docker-registry", "url": upstream.URL, "description": "The lab's registry"})
	w.do(admin, "POST", "/api/v2.0/vchs", object{"uid": "vch-1", "name": "vch-ber-01", "projects": []string{"shop"}})
	w.do(admin, "POST", "/api/v2.0/system/gc/schedule", object{"schedule": object{"type": "Manual"}, "parameters": object{"delete_untagged": false}})
	w.within("garbage was collected", func() bool {
		return bytes.Contains(w.do(admin, "GET", "/api/v2.0/system/gc", nil).body, []byte(`"job_status":"Success"`))
	})
}

func (w *world) projectID(name string) int64 {
	w.t.Helper()
	var p struct {
		ID int64 `json:"project_id"`
	}
	must(w.t, json.Unmarshal(w.do(admin, "GET", "/api/v2.0/projects/"+name, nil).body, &p))
	return p.ID
}

// digest is that of a tag.
func (w *world) digest(project, repo, tag string) string {
	w.t.Helper()
	var a struct{ Digest string }
	must(w.t, json.Unmarshal(w.do(admin, "GET", "/api/v2.0/projects/"+project+"/repositories/"+repo+"/artifacts/"+tag, nil).body, &a))
	return a.Digest
}

// token is one for docker's protocol.
func (w *world) token(project, repo string) string {
	w.t.Helper()
	var m struct{ Token string }
	must(w.t, json.Unmarshal(w.do(admin, "GET", "/service/token?service=vic-hub&scope=repository:"+project+"/"+repo+":pull,push", nil).body, &m))
	return "Bearer " + m.Token
}

func digestOf(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }

// blob pushes one, and returns its descriptor.
func (w *world) blob(token, project, repo, media string, content []byte) object {
	w.t.Helper()
	begun := w.do(token, "POST", "/v2/"+project+"/"+repo+"/blobs/uploads/", nil)
	to := begun.header.Get("Location")
	sep := "?"
	if strings.Contains(to, "?") {
		sep = "&"
	}
	w.do(token, "PUT", to+sep+"digest="+digestOf(content), content)
	return object{"mediaType": media, "digest": digestOf(content), "size": len(content)}
}

// push pushes an image of about size bytes with a history, and returns its digest.
func (w *world) push(project, repo string, size int, tags ...string) string {
	w.t.Helper()
	token := w.token(project, repo)
	created := time.Date(2026, 11, 28, 9, 10, 0, 0, time.UTC).Format(time.RFC3339)
	config, err := json.Marshal(object{"architecture": "amd64", "os": "linux", "created": created, "author": "ci-shop",
		"config": object{"Env": []string{"PATH=/usr/bin"}, "Cmd": []string{"/bin/" + repo}}, "rootfs": object{"type": "layers", "diff_ids": []string{digestOf([]byte(tags[0]))}},
		"history": []object{
			{"created": created, "created_by": "/bin/sh -c #(nop) ADD file:" + strings.Repeat("5a", 32) + " in /"},
			{"created": created, "created_by": "RUN /bin/sh -c apt-get update && apt-get install -y --no-install-recommends ca-certificates # buildkit"},
			{"created": created, "created_by": "CMD [\"/bin/" + repo + "\"]", "empty_layer": true},
		}})
	must(w.t, err)
	text, err := json.Marshal(object{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": w.blob(token, project, repo, "application/vnd.oci.image.config.v1+json", config),
		"layers": []object{w.blob(token, project, repo, "application/vnd.oci.image.layer.v1.tar+gzip", layer(w, tags[0], size))}})
	must(w.t, err)
	for _, tag := range tags {
		w.manifest(token, project, repo, tag, text)
	}
	return digestOf(text)
}

// layer is an archive of one file, which hardly compresses.
func layer(w *world, name string, size int) []byte {
	w.t.Helper()
	content := make([]byte, 0, size+sha256.Size)
	for sum := sha256.Sum256([]byte(name)); len(content) < size; sum = sha256.Sum256(sum[:]) {
		content = append(content, sum[:]...)
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	t := tar.NewWriter(z)
	must(w.t, t.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}))
	_, err := t.Write(content)
	must(w.t, err)
	must(w.t, t.Close())
	must(w.t, z.Close())
	return b.Bytes()
}

// manifest puts one that docker's media type says of itself.
func (w *world) manifest(token, project, repo, reference string, text []byte) {
	w.t.Helper()
	var m struct{ MediaType string }
	must(w.t, json.Unmarshal(text, &m))
	req, err := http.NewRequestWithContext(w.t.Context(), "PUT", w.url+"/v2/"+project+"/"+repo+"/manifests/"+reference, bytes.NewReader(text))
	must(w.t, err)
	req.Header.Set("Content-Type", m.MediaType)
	req.Header.Set("Authorization", token)
	res, err := w.client.Do(req)
	must(w.t, err)
	defer res.Body.Close()
	if res.StatusCode != http.StatusCreated {
		w.t.Fatalf("push %s/%s:%s: %s", project, repo, reference, res.Status)
	}
}

// attach pushes something that is about an artifact.
func (w *world) attach(project, repo, digest, kind, content string) {
	w.t.Helper()
	token := w.token(project, repo)
	size := len(w.do(token, "GET", "/v2/"+project+"/"+repo+"/manifests/"+digest, nil).body)
	text, err := json.Marshal(object{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "artifactType": kind,
		"config":  w.blob(token, project, repo, "application/vnd.oci.empty.v1+json", []byte("{}")),
		"layers":  []object{w.blob(token, project, repo, kind, []byte(content))},
		"subject": object{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": size}})
	must(w.t, err)
	w.manifest(token, project, repo, digestOf(text), text)
}
