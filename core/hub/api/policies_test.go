package api

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/openvic/vic/core/store/storetest"
)

// blob pushes content.
func (r *rig) blob(repo, content string) string {
	r.t.Helper()
	d := digest.FromString(content).String()
	if status, _, body := r.do("", "POST", "/v2/"+repo+"/blobs/uploads/?digest="+d, "application/octet-stream", content); status != 201 {
		r.t.Fatalf("%d %s", status, body)
	}
	return d
}

// image pushes a manifest of a config and a layer, and returns its digest.
func (r *rig) image(repo, ref, configType, config, layerType, layer string) string {
	r.t.Helper()
	const mediaType = "application/vnd.oci.image.manifest.v1+json"
	m := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":%d},"layers":[{"mediaType":%q,"digest":%q,"size":%d}]}`,
		mediaType, configType, r.blob(repo, config), len(config), layerType, r.blob(repo, layer), len(layer))
	if status, _, body := r.do("", "PUT", "/v2/"+repo+"/manifests/"+ref, mediaType, m); status != 201 {
		r.t.Fatalf("%d %s", status, body)
	}
	return digest.FromString(m).String()
}

const (
	imageConfig = "application/vnd.oci.image.config.v1+json"
	imageLayer  = "application/vnd.oci.image.layer.v1.tar+gzip"
)

func (r *rig) plain(repo, ref, text string) string {
	return r.image(repo, ref, imageConfig, `{"history":[{"created_by":"`+text+`"}]}`, imageLayer, text)
}

func TestLabels(t *testing.T) {
	eachRig(t, func(r *rig) {
		admin, devops := "cloud-admin", "devops-admin"
		header := r.api(admin, "POST", "/labels", `{"name":"gold","scope":"g","color":"#FFD700"}`, 201, nil)
		gold := strings.TrimPrefix(header.Get("Location"), Prefix)
		private := r.number("private")
		inPrivate := fmt.Sprintf(`{"name":"prod","scope":"p","project_id":%d}`, private)
		header = r.api(devops, "POST", "/labels", inPrivate, 201, nil)
		prod := strings.TrimPrefix(header.Get("Location"), Prefix)
		r.api(devops, "POST", "/labels", inPrivate, 409, nil)
		r.api(devops, "POST", "/labels", `{"name":"x","scope":"g"}`, 403, nil)
		r.api("developer", "POST", "/labels", inPrivate, 403, nil)
		r.api("none", "POST", "/labels", inPrivate, 404, nil)
		r.api(admin, "POST", "/labels", `{"name":"x","scope":"p","project_id":999}`, 404, nil)
		for _, bad := range []string{`{"name":"","scope":"g"}`, `{"name":"a,b","scope":"g"}`, `{"name":"x","color":"red","scope":"g"}`, `{"name":"x"}`} {
			r.api(admin, "POST", "/labels", bad, 400, nil)
		}
		// Who may see which.
		var list []labelForm
		r.api("none", "GET", "/labels?scope=g", "", 200, &list)
		if len(list) != 1 || list[0].Name != "gold" || list[0].Scope != "g" || list[0].Color != "#FFD700" {
			r.t.Errorf("%+v", list)
		}
		of := fmt.Sprintf("/labels?scope=p&project_id=%d", private)
		r.api("viewer", "GET", of+"&name=pro&sort=-name", "", 200, &list)
		if len(list) != 1 || list[0].Name != "prod" || list[0].ProjectID != private {
			r.t.Errorf("%+v", list)
		}
		r.api("viewer", "GET", of+"&q=name=x", "", 200, &list)
		if len(list) != 0 {
			r.t.Errorf("%+v", list)
		}
		r.api("none", "GET", of, "", 404, nil)
		r.api("viewer", "GET", "/labels", "", 400, nil)
		r.api("viewer", "GET", "/labels?scope=p", "", 400, nil)
		r.api("none", "GET", gold, "", 200, nil)
		r.api("viewer", "GET", prod, "", 200, nil)
		r.api("none", "GET", prod, "", 404, nil)
		r.api("none", "PUT", prod, `{"name":"x"}`, 403, nil)
		r.api(devops, "PUT", gold, `{"name":"x"}`, 403, nil)
		r.api(devops, "PUT", prod, `{"name":"production","description":"runs"}`, 200, nil)
		// Artifacts with them.
		at := "/projects/private/repositories/app/artifacts"
		id := func(path string) string { return fmt.Sprintf(`{"id":%s}`, path[strings.LastIndex(path, "/")+1:]) }
		r.api("developer", "POST", at+"/1/labels", id(gold), 200, nil)
		r.api("developer", "POST", at+"/1/labels", id(gold), 409, nil)
		r.api("developer", "POST", at+"/1/labels", id(prod), 200, nil)
		r.api("developer", "POST", at+"/1/labels", `{"id":999}`, 404, nil)
		r.api("developer", "POST", at+"/1/labels", `{}`, 400, nil)
		r.api("developer", "POST", "/projects/public/repositories/app/artifacts/1/labels", id(prod), 404, nil) // another project's
		r.api("viewer", "POST", at+"/1/labels", id(prod), 403, nil)
		var artifacts []artifactForm
		r.api("viewer", "GET", at+"?with_label=true", "", 200, &artifacts)
		if len(artifacts) != 1 || len(artifacts[0].Labels) != 2 || artifacts[0].Labels[1].Name != "production" {
			r.t.Errorf("%+v", artifacts)
		}
		r.plain("private/app", "2", "x")
		n := func(path string) string { return path[strings.LastIndex(path, "/")+1:] }
		for q, want := range map[string]int{"labels=(" + n(gold) + "%20" + n(prod) + ")": 1, "labels={" + n(gold) + "%20999}": 1, "labels=(" + n(gold) + "%20999)": 0,
			"labels=" + n(prod): 1, "labels=999": 0} {
			if r.api("viewer", "GET", at+"?q="+q, "", 200, &artifacts); len(artifacts) != want {
				r.t.Errorf("%s: %d artifacts, want %d", q, len(artifacts), want)
			}
		}
		r.api("viewer", "GET", at+"?q=labels=~1", "", 400, nil)
		r.api("developer", "DELETE", at+"/1/labels/"+n(prod), "", 200, nil)
		r.api("developer", "DELETE", at+"/1/labels/"+n(prod), "", 404, nil)
		r.api(admin, "DELETE", gold, "", 200, nil)
		var bare artifactForm
		if r.api("viewer", "GET", at+"/1?with_label=true", "", 200, &bare); len(bare.Labels) != 0 {
			r.t.Errorf("%+v", bare.Labels)
		}
		r.api(admin, "GET", gold, "", 404, nil)
		// They go with the artifact and the project.
		r.api(devops, "DELETE", at+"/1", "", 200, nil)
		r.api(admin, "POST", "/projects", `{"project_name":"gone"}`, 201, nil)
		header = r.api(admin, "POST", "/labels", fmt.Sprintf(`{"name":"x","scope":"p","project_id":%d}`, r.number("gone")), 201, nil)
		r.api(admin, "DELETE", "/projects/gone", "", 200, nil)
		r.api(admin, "GET", strings.TrimPrefix(header.Get("Location"), Prefix), "", 404, nil)
	})
}

const holdReleases = `{"tag_selectors":[{"kind":"doublestar","decoration":"matches","pattern":"v*"}],
	"scope_selectors":{"repository":[{"kind":"doublestar","decoration":"repoMatches","pattern":"{app,team/**}"}]}}`

func TestImmutableTags(t *testing.T) {
	eachRig(t, func(r *rig) {
		devops, rules := "devops-admin", "/projects/private/immutabletagrules"
		header := r.api(devops, "POST", rules, holdReleases, 201, nil)
		at := strings.TrimPrefix(header.Get("Location"), Prefix)
		r.api(devops, "POST", rules, holdReleases, 409, nil)
		r.api("developer", "POST", rules, holdReleases, 403, nil)
		for _, bad := range []string{`{}`, strings.Replace(holdReleases, `"v*"`, `"["`, 1), strings.Replace(holdReleases, `"repository"`, `"x"`, 1),
			strings.Replace(holdReleases, "repoMatches", "matches", 1), `{"action":"retain"}`} {
			r.api(devops, "POST", rules, bad, 400, nil)
		}
		var list []immutableForm
		r.api("viewer", "GET", rules, "", 200, &list)
		if len(list) != 1 || list[0].Tags[0].Pattern != "v*" || list[0].Scopes["repository"][0].Decoration != "repoMatches" || list[0].Template != "immutable_template" {
			r.t.Errorf("%+v", list)
		}
		first := r.plain("private/app", "v1", "one") // a new tag may always be made
		r.plain("private/app", "v1", "one")          // and the same pushed again
		artifacts := "/projects/private/repositories/app/artifacts"
		push := func(repo, tag string) int {
			status, _, _ := r.do("", "PUT", "/v2/"+repo+"/manifests/"+tag, indexType, manifest)
			return status
		}
		r.plain("private/other", "v1", "two")
		for what, got := range map[string][2]int{"a push over the tag": {push("private/app", "v1"), 412}, "over another tag": {push("private/app", "latest"), 201},
			"over the tag of a repository that no rule is for": {push("private/other", "v1"), 201}} {
			if got[0] != got[1] {
				r.t.Errorf("%s: %d, want %d", what, got[0], got[1])
			}
		}
		for _, path := range []string{"v1", first} {
			if status, _, body := r.do("", "DELETE", "/v2/private/app/manifests/"+path, "", ""); status != 412 || !strings.Contains(body, "immutable") {
				r.t.Errorf("delete of %s: %d %s", path, status, body)
			}
		}
		r.api(devops, "DELETE", artifacts+"/v1", "", 412, nil)
		r.api(devops, "DELETE", artifacts+"/v1/tags/v1", "", 412, nil)
		r.api(devops, "DELETE", "/projects/private/repositories/app", "", 412, nil)
		r.api("developer", "POST", artifacts+"?from=private/other:v1", "", 412, nil)
		var tags []tagForm
		r.api("viewer", "GET", artifacts+"/v1/tags", "", 200, &tags)
		if len(tags) != 1 || !tags[0].Immutable {
			r.t.Errorf("%+v", tags)
		}
		// Disabled, changed, deleted.
		r.api(devops, "PUT", at, `{"disabled":true}`, 200, nil)
		if got := push("private/app", "v1"); got != 201 {
			r.t.Errorf("the rule is disabled: %d", got)
		}
		r.plain("private/app", "v2", "three")
		r.api(devops, "PUT", at, `{"disabled":false}`, 200, nil)
		if got := push("private/app", "v2"); got != 412 {
			r.t.Errorf("it is enabled again: %d", got)
		}
		r.api(devops, "PUT", at, strings.Replace(holdReleases, `"v*"`, `"w*"`, 1), 200, nil)
		if got := push("private/app", "v2"); got != 201 {
			r.t.Errorf("it holds others: %d", got)
		}
		r.api(devops, "PUT", rules+"/999", holdReleases, 404, nil)
		r.api(devops, "DELETE", "/projects/public/immutabletagrules/"+at[strings.LastIndex(at, "/")+1:], "", 404, nil)
		r.api(devops, "DELETE", at, "", 200, nil)
		r.api(devops, "DELETE", at, "", 404, nil)
		// As long as it may be, of letters that do not repeat, and longer.
		long := func(n int) string {
			s := ""
			for i := 0; len(s) < n; i++ {
				s += digest.FromString(fmt.Sprint(i)).Encoded()
			}
			return s[:n]
		}
		one := func(n int) string { return `{"kind":"doublestar","decoration":"matches","pattern":"` + long(n) + `"}` }
		header = r.api(devops, "POST", rules, `{"tag_selectors":[`+one(1000)+`,`+one(1001)+`,`+one(120)+`]}`, 201, nil)
		r.api(devops, "DELETE", strings.TrimPrefix(header.Get("Location"), Prefix), "", 200, nil)
		r.api(devops, "POST", rules, `{"tag_selectors":[`+one(1000)+`,`+one(1001)+`,`+one(500)+`]}`, 400, nil)
		// No more than there may be.
		for i := range 15 {
			r.api(devops, "POST", rules, strings.Replace(holdReleases, `"v*"`, fmt.Sprintf(`"v%d"`, i), 1), 201, nil)
		}
		r.api(devops, "POST", rules, holdReleases, 400, nil)
	})
}

// A rule that is made while many push counts for every push that ends after it: the tag is then what it was when the rule
// was made, whoever asked by whatever route.
func TestARuleIsMadeWhilePushesGoOn(t *testing.T) {
	eachRig(t, func(r *rig) {
		for round := range 5 {
			tag := fmt.Sprintf("v%d", round)
			r.plain("private/app", tag, "first")
			made, stop := make(chan struct{}), make(chan struct{})
			var pushers sync.WaitGroup
			for i := range 4 {
				pushers.Go(func() {
					for n := 0; ; n++ {
						m := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[],"annotations":{"n":"%d %d %d"}}`, indexType, round, i, n)
						var after bool
						select {
						case <-stop:
							return
						case <-made:
							after = true
						default:
						}
						status, _, body := r.do("", "PUT", "/v2/private/app/manifests/"+tag, indexType, m)
						if after && status != 412 || status != 201 && status != 412 {
							r.t.Errorf("a push that began after the rule %v: %d %s", after, status, body)
						}
					}
				})
			}
			r.api("devops-admin", "POST", "/projects/private/immutabletagrules", strings.Replace(holdReleases, `"v*"`, `"`+tag+`"`, 1), 201, nil)
			at := func() string {
				_, h, _ := r.do("", "HEAD", "/v2/private/app/manifests/"+tag, "", "")
				return h.Get("Docker-Content-Digest")
			}
			then := at()
			close(made)
			for range 3 {
				r.api("devops-admin", "DELETE", "/projects/private/repositories/app/artifacts/"+tag+"/tags/"+tag, "", 412, nil)
			}
			close(stop)
			pushers.Wait()
			if now := at(); now != then {
				r.t.Errorf("the tag moved from %s to %s under the rule", then, now)
			}
		}
	})
}

func TestTagsAndCopies(t *testing.T) {
	eachRig(t, func(r *rig) {
		first := r.plain("private/team/web", "v1", "one")
		at := "/projects/private/repositories/team%2Fweb/artifacts/"
		r.api("developer", "POST", at+"v1/tags", `{"name":"v2"}`, 201, nil)
		r.api("developer", "POST", at+"v1/tags", `{"name":"v2"}`, 409, nil)
		r.api("developer", "POST", at+"v1/tags", `{"name":"-"}`, 400, nil)
		r.api("developer", "POST", at+"none/tags", `{"name":"v3"}`, 404, nil)
		r.api("viewer", "POST", at+"v1/tags", `{"name":"v3"}`, 403, nil)
		for query, want := range map[string]string{"": "v1 v2", "?sort=-name": "v2 v1", "?q=name=v2": "v2", "?q=name=~V": "v1 v2", "?q=name={v1%20x}": "v1",
			"?sort=-push_time,name&page_size=1": "v2", "?q=push_time=[2020-01-01~]": "v1 v2", "?q=push_time=[~2020-01-01]": ""} {
			var tags []tagForm
			r.api("viewer", "GET", at+"v1/tags"+query, "", 200, &tags)
			var got []string
			for _, x := range tags {
				got = append(got, x.Name)
			}
			if strings.Join(got, " ") != want {
				r.t.Errorf("%s: %q, want %s", query, got, want)
			}
		}
		r.api("viewer", "GET", at+"v1/tags?sort=color", "", 400, nil)
		// Copies: who may pull from the one and push to the other.
		to := "/projects/public/repositories/copies%2Fweb/artifacts?from="
		header := r.api("developer", "POST", to+"private/team/web:v1", "", 201, nil)
		if l := header.Get("Location"); l != Prefix+"/projects/public/repositories/copies%2Fweb/artifacts/"+first {
			r.t.Error(l)
		}
		var one artifactForm
		r.api("", "GET", "/projects/public/repositories/copies%2Fweb/artifacts/v1", "", 200, &one)
		if one.Digest != first || one.PushedBy != "developer" || len(one.Tags) != 1 {
			r.t.Errorf("%+v", one)
		}
		r.api("developer", "POST", to+"private/team/web@"+first, "", 201, nil)
		r.api("viewer", "POST", to+"private/team/web:v1", "", 403, nil)
		r.api("cloud-admin", "POST", "/projects", `{"project_name":"secret"}`, 201, nil)
		r.plain("secret/app", "1", "hidden")
		r.api("developer", "POST", to+"secret/app:1", "", 404, nil)
		r.api("developer", "POST", to+"nothing/app:1", "", 404, nil)
		r.api("developer", "POST", to+"private/team/web:none", "", 404, nil)
		r.api("developer", "POST", to+"private/none:v1", "", 404, nil)
		for _, bad := range []string{"", "private/team/web", "private/team/web:", "private/team/web@sha256:x", "%20", "a:b:c"} {
			r.api("developer", "POST", to+bad, "", 400, nil)
		}
		r.api("developer", "POST", "/projects/public/repositories/UPPER/artifacts?from=private/team/web:v1", "", 400, nil)
	})
}

func TestArtifactsAreFilteredAndSorted(t *testing.T) {
	eachRig(t, func(r *rig) {
		r.plain("private/web", "v1", "one")
		second := r.plain("private/web", "v2", "two")
		third := r.plain("private/web", "latest", "three and more")
		r.image("private/web", "chart", "application/vnd.cncf.helm.config.v1+json", `{"name":"web","dependencies":[{"name":"db","version":"1","repository":"r"}]}`,
			"application/vnd.cncf.helm.chart.content.v1.tar+gzip", chartOf(r.t, "web/README.md", "# <b>Web</b>"))
		r.api("devops-admin", "DELETE", "/projects/private/repositories/web/artifacts/latest/tags/latest", "", 200, nil)
		for query, want := range map[string]int{"": 4, "q=tags=*": 3, "q=tags=nil": 1, "q=tags=v1": 1, "q=tags=~v": 2, "q=tags={v1%20v2%20x}": 2, "q=digest=" + second: 1,
			"q=type=CHART": 1, "q=type=IMAGE": 3, "q=media_type=~oci": 4, "q=size=[~1]": 0, "q=type=IMAGE,tags=*": 2, "q=tags%253D*": 3} {
			var list []artifactForm
			header := r.api("viewer", "GET", "/projects/private/repositories/web/artifacts?"+query, "", 200, &list)
			if len(list) != want || header.Get("X-Total-Count") != fmt.Sprint(want) {
				r.t.Errorf("%s: %d artifacts, want %d", query, len(list), want)
			}
		}
		var list []artifactForm
		r.api("viewer", "GET", "/projects/private/repositories/web/artifacts?sort=size&q=type=IMAGE&page_size=3", "", 200, &list)
		if len(list) != 3 || list[2].Digest != third {
			r.t.Errorf("%+v", list)
		}
		for _, bad := range []string{"q=color=red", "sort=tags", "q=size=x", "with_label=perhaps", "q=tags=(a%20b)"} {
			r.api("viewer", "GET", "/projects/private/repositories/web/artifacts?"+bad, "", 400, nil)
		}
	})
}

func chartOf(t *testing.T, name, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	must(t, w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Size: int64(len(text))}))
	_, err := io.WriteString(w, text)
	must(t, err)
	must(t, w.Close())
	must(t, z.Close())
	return b.String()
}

// sbom pushes one that is about the manifest of a tag.
func (r *rig) sbom(repo, tag, text string) {
	r.t.Helper()
	const mediaType = "application/vnd.oci.image.manifest.v1+json"
	_, header, _ := r.do("", "HEAD", "/v2/"+repo+"/manifests/"+tag, "", "")
	m := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"artifactType":"application/spdx+json","config":{"mediaType":"application/vnd.oci.empty.v1+json",
		"digest":%q,"size":2},"layers":[{"mediaType":"application/spdx+json","digest":%q,"size":%d}],"subject":{"mediaType":%q,"digest":%q,"size":1}}`,
		mediaType, r.blob(repo, "{}"), r.blob(repo, text), len(text), mediaType, header.Get("Docker-Content-Digest"))
	if status, _, body := r.do("", "PUT", "/v2/"+repo+"/manifests/"+digest.FromString(m).String(), mediaType, m); status != 201 {
		r.t.Fatalf("%d %s", status, body)
	}
}

func TestAdditions(t *testing.T) {
	r := newRig(t, storetest.URL(t, "sqlite"))
	r.plain("private/web", "v1", "RUN make")
	r.image("private/web", "chart", "application/vnd.cncf.helm.config.v1+json", `{"name":"web","dependencies":[{"name":"db","version":"1","repository":"r"}]}`,
		"application/vnd.cncf.helm.chart.content.v1.tar+gzip", chartOf(t, "web/README.md", "# <b>Web</b>"))
	at := "/projects/private/repositories/web/artifacts/"
	var history []struct {
		By string `json:"created_by"`
	}
	r.api("viewer", "GET", at+"v1/additions/build_history", "", 200, &history)
	if len(history) != 1 || history[0].By != "RUN make" {
		t.Errorf("%+v", history)
	}
	var needs []struct{ Name, Version string }
	r.api("viewer", "GET", at+"chart/additions/dependencies", "", 200, &needs)
	if len(needs) != 1 || needs[0].Name != "db" {
		t.Errorf("%+v", needs)
	}
	status, header, body := r.do("viewer", "GET", Prefix+at+"chart/additions/README.md", "", "")
	if status != 200 || body != "# <b>Web</b>" || !strings.HasPrefix(header.Get("Content-Type"), "text/markdown") || header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%d %v %s", status, header, body)
	}
	r.api("viewer", "GET", at+"chart/additions/values.yaml", "", 404, nil)
	r.api("viewer", "GET", at+"v1/additions/readme.md", "", 400, nil)
	r.api("viewer", "GET", at+"chart/additions/build_history", "", 400, nil)
	r.image("private/web", "odd", imageConfig, "no json", imageLayer, "x")
	r.api("viewer", "GET", at+"odd/additions/build_history", "", 400, nil)
	// An SBOM is found by what it is about, and read by its own digest.
	r.sbom("private/web", "v1", `{"spdxVersion":"SPDX-2.3"}`)
	var about []accessoryForm
	r.api("viewer", "GET", at+"v1/accessories?q=type=sbom.harbor", "", 200, &about)
	if len(about) != 1 || about[0].SubjectRepo != "private/web" {
		t.Fatalf("%+v", about)
	}
	var text struct{ SPDXVersion string }
	r.api("viewer", "GET", at+about[0].Digest+"/additions/sbom", "", 200, &text)
	if text.SPDXVersion != "SPDX-2.3" {
		t.Errorf("%+v", text)
	}
	r.api("viewer", "GET", at+"v1/additions/sbom", "", 404, nil) // the scanner made none yet
	r.sbom("private/web", "odd", `<script>`)
	r.api("viewer", "GET", at+"odd/accessories", "", 200, &about)
	r.api("viewer", "GET", at+about[0].Digest+"/additions/sbom", "", 400, nil)
	var one artifactForm
	r.api("viewer", "GET", at+"chart", "", 200, &one)
	link := one.Additions["readme.md"].Href
	if status, _, _ := r.do("viewer", "GET", link, "", ""); one.Type != "CHART" || status != 200 {
		t.Errorf("%+v %s %d", one.Additions, link, status)
	}
}

func TestSearchFindsWhatTheCallerMaySee(t *testing.T) {
	eachRig(t, func(r *rig) {
		r.plain("private/team/web", "1", "x")
		var made robotMade
		r.api("devops-admin", "POST", "/robots", robotBody("ci", "private", "project:read repository:list"), 201, &made)
		var blind robotMade
		r.api("devops-admin", "POST", "/robots", robotBody("cd", "private", "repository:pull"), 201, &blind)
		ask := func(user, path string) (string, http.Header) {
			password := password
			if user == made.Name {
				password = made.Secret
			}
			if user == blind.Name {
				password = blind.Secret
			}
			req, err := http.NewRequestWithContext(r.t.Context(), "GET", r.url+Prefix+path, nil)
			must(r.t, err)
			if user != "" {
				req.SetBasicAuth(user, password)
			}
			res, err := http.DefaultTransport.RoundTrip(req)
			must(r.t, err)
			defer res.Body.Close()
			b, err := io.ReadAll(res.Body)
			must(r.t, err)
			return string(b), res.Header
		}
		for user, sees := range map[string]bool{"": false, "none": false, blind.Name: false, "viewer": true, "cloud-admin": true, made.Name: true} {
			for path, want := range map[string]string{"/search?q=team": "private/team/web", "/search?q=priv": `"name":"private"`, "/repositories": "private/team/web",
				"/projects": `"name":"private"`, "/repositories?q=name=~team": "private/team/web"} {
				if got, _ := ask(user, path); strings.Contains(got, want) != sees {
					r.t.Errorf("%s as %q: %s", path, user, got)
				}
			}
			if got, _ := ask(user, "/search?q=publ"); !strings.Contains(got, "public/app") || !strings.Contains(got, `"project_public":true`) {
				r.t.Errorf("%q does not find what is public: %s", user, got)
			}
		}
		if got, _ := ask("cloud-admin", "/search?q=%25"); strings.Contains(got, "app") {
			r.t.Errorf("a wildcard is none: %s", got)
		}
		r.api("viewer", "GET", "/search", "", 400, nil)
		r.api("viewer", "GET", "/search?q="+strings.Repeat("a", 300), "", 400, nil)
		_, header := ask("cloud-admin", "/projects/private/repositories?sort=-name&page_size=1")
		if header.Get("X-Total-Count") != "2" {
			r.t.Errorf("%v", header)
		}
		var repos []repositoryForm
		r.api("viewer", "GET", "/projects/private/repositories?sort=-name&page_size=1", "", 200, &repos)
		if len(repos) != 1 || repos[0].Name != "private/team/web" {
			r.t.Errorf("%+v", repos)
		}
	})
}
