package hub

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/core/hub/trust/trusttest"
)

// signing is a hub whose administrator pushes to default-project/app and signs there.
type signing struct {
	*world
	password string
	scope    string
}

func newSigning(t *testing.T, kind string) *signing {
	t.Helper()
	w := newWorld(t, kind)
	s := &signing{world: w, scope: "repository:default-project/app:pull,push"}
	within(t, "the first administrator may push", func() bool {
		first, err := os.ReadFile(filepath.Join(w.dir, "people", "first-password"))
		if err != nil {
			return false
		}
		s.password = strings.TrimSpace(string(first))
		status, _, _ := w.do("GET", "/api/v2.0/projects/default-project/logs", s.basic(), "", "")
		return status == 200
	})
	return s
}

func (s *signing) basic() string { return basicAuth("admin@local", s.password) }

// api sends JSON, and wants a status.
func (s *signing) api(method, path, body string, want int) string {
	s.t.Helper()
	status, _, text := s.do(method, "/api/v2.0"+path, s.basic(), "application/json", body)
	if status != want {
		s.t.Fatalf("%s %s: %d %s", method, path, status, text)
	}
	return text
}

// push pushes a manifest with its blobs, under a tag or, if that is empty, its digest, and returns its descriptor.
func (s *signing) push(tag string, m v1.Manifest, blobs ...[]byte) v1.Descriptor {
	s.t.Helper()
	header, _ := s.bearer("admin@local", s.password, s.scope)
	for _, b := range blobs {
		d := digest.FromBytes(b).String()
		if status, _, body := s.do("POST", "/v2/default-project/app/blobs/uploads/?digest="+d, header, "application/octet-stream", string(b)); status != 201 {
			s.t.Fatalf("%d %s", status, body)
		}
	}
	m.SchemaVersion, m.MediaType = 2, v1.MediaTypeImageManifest
	text, err := json.Marshal(m)
	must(s.t, err)
	d := v1.Descriptor{MediaType: m.MediaType, Digest: digest.FromBytes(text), Size: int64(len(text))}
	if tag == "" {
		tag = d.Digest.String()
	}
	if status, _, body := s.do("PUT", "/v2/default-project/app/manifests/"+tag, header, m.MediaType, string(text)); status != 201 {
		s.t.Fatalf("%d %s", status, body)
	}
	return d
}

func described(mediaType string, b []byte) v1.Descriptor {
	return v1.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))}
}

// image pushes an image.
func (s *signing) image(tag, content string) v1.Descriptor {
	config, layer := []byte(`{}`), []byte(content)
	return s.push(tag, v1.Manifest{Config: described(v1.MediaTypeImageConfig, config), Layers: []v1.Descriptor{described(v1.MediaTypeImageLayerGzip, layer)}}, config, layer)
}

// sign pushes a signature of an image: a referrer of a type, or, without one, under the tag of cosign 1 and 2.
func (s *signing) sign(image v1.Descriptor, artifactType string, l trusttest.Layer) {
	config := []byte(`{}`)
	d := described(l.MediaType, l.Content)
	d.Annotations = l.Annotations
	m := v1.Manifest{Config: described(v1.MediaTypeImageConfig, config), Layers: []v1.Descriptor{d}}
	if artifactType == "" {
		s.push(strings.Replace(image.Digest.String(), ":", "-", 1)+".sig", m, config, l.Content)
		return
	}
	m.Config.MediaType, m.ArtifactType, m.Subject = v1.MediaTypeEmptyJSON, artifactType, &image
	s.push("", m, config, l.Content)
}

// pull pulls as docker does: by a token for pulling.
func (s *signing) pull(method, ref string) (int, string) {
	s.t.Helper()
	header, _ := s.bearer("admin@local", s.password, "repository:default-project/app:pull")
	status, _, body := s.do(method, "/v2/default-project/app/manifests/"+ref, header, "", "")
	return status, body
}

func (s *signing) addKey(name, kind, pem, signers string) {
	s.t.Helper()
	body, err := json.Marshal(map[string]any{"name": name, "kind": kind, "pem": pem, "signers": strings.Fields(signers)})
	must(s.t, err)
	s.api("POST", "/projects/default-project/trust/keys", string(body), 201)
}

// TestAPullNeedsASignature asks for cosign's and for notation's signatures, and pulls without, with a wrong and with a good one.
func TestAPullNeedsASignature(t *testing.T) {
	s := newSigning(t, "sqlite")
	k, stranger, ca := trusttest.NewKey(t), trusttest.NewKey(t), trusttest.NewAuthority(t, "ca")
	image := s.image("1", "an image")
	s.addKey("release", "cosign-key", k.PEM(t), "")
	s.addKey("company", "notation-root", ca.PEM(), "dev@example.com")
	if status, body := s.pull("GET", "1"); status != 200 {
		t.Fatalf("nothing is demanded: %d %s", status, body)
	}
	wants := func(name, ref, text string) {
		t.Helper()
		status, body := s.pull("GET", ref)
		if status != 412 || !strings.Contains(body, `"PROJECTPOLICYVIOLATION"`) || !strings.Contains(body, text) {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	s.api("PUT", "/projects/default-project/metadatas/enable_content_trust_cosign", `{"enable_content_trust_cosign":"true"}`, 200)
	wants("not signed", "1", "it has none")
	wants("not signed, by digest", image.Digest.String(), "cosign sign")
	if status, _ := s.pull("HEAD", "1"); status != 200 {
		t.Errorf("a tool that signs cannot see it: %d", status)
	}
	pusher, _ := s.bearer("admin@local", s.password, s.scope)
	if status, _, body := s.do("GET", "/v2/default-project/app/manifests/1", pusher, "", ""); status != 200 {
		t.Errorf("who pushes cannot read it: %d %s", status, body)
	}
	s.sign(image, "", stranger.Simple(t, image.Digest))
	wants("of a stranger", "1", "unknown signer")
	s.sign(image, trusttest.BundleType, k.Bundle(t, image.Digest, "https://spdx.dev/Document"))
	wants("attested, not signed", "1", "unknown signer")
	s.sign(image, trusttest.BundleType, k.Bundle(t, image.Digest, trusttest.SignPredicate))
	if status, body := s.pull("GET", "1"); status != 200 {
		t.Errorf("signed: %d %s", status, body)
	}
	if status, body := s.pull("GET", strings.Replace(image.Digest.String(), ":", "-", 1)+".sig"); status != 200 {
		t.Errorf("the signature itself: %d %s", status, body)
	}
	s.api("PUT", "/projects/default-project/metadatas/enable_content_trust_notation", `{"enable_content_trust_notation":"true"}`, 200)
	wants("not signed by notation", "1", "notation")
	s.sign(image, trusttest.NotationType, k.Notation(t, image, 0, ca.Issue(t, "dev", k, ca.Certificate.NotAfter), ca.Certificate))
	if status, body := s.pull("GET", "1"); status != 200 {
		t.Errorf("signed by both: %d %s", status, body)
	}
	states := s.api("GET", "/projects/default-project/repositories/app/artifacts/1/signatures", "", 200)
	for _, want := range []string{`"state":"verified","signer":"release","key":"release"`, `"signer":"dev@example.com","key":"company"`, `"state":"unknown_signer"`} {
		if !strings.Contains(states, want) {
			t.Errorf("%s lacks %s", states, want)
		}
	}
	// What is copied is signed there too.
	s.api("POST", "/projects/default-project/repositories/other/artifacts?from=default-project/app:1", "", 201)
	copied := s.api("GET", "/projects/default-project/repositories/other/artifacts/1/signatures", "", 200)
	if strings.Count(copied, `"state":"verified"`) != 2 {
		t.Errorf("copied: %s", copied)
	}
	var keys []struct {
		ID   int64
		Name string
	}
	must(t, json.Unmarshal([]byte(s.api("GET", "/projects/default-project/trust/keys", "", 200)), &keys))
	s.api("PUT", fmt.Sprintf("/projects/default-project/trust/keys/%d", keys[0].ID), `{"revoked":true}`, 200)
	wants("the key was revoked", "1", "revoked")
}
