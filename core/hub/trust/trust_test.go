package trust

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/core/hub/admission"
	"github.com/openvic/vic/core/hub/trust/trusttest"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/core/store/storetest"
	"github.com/openvic/vic/sdk/errdef"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// shelf is a registry of one repository.
type shelf struct {
	manifests []registry.Stored
	payloads  map[int64][]byte
	blobs     map[digest.Digest][]byte
	read      int // blobs
	above     map[digest.Digest][]registry.Stored
}

func (s *shelf) Repository(_ context.Context, name string) (registry.Repository, error) {
	return registry.Repository{ID: 1, Name: name}, nil
}

func (s *shelf) Referrers(_ context.Context, _ registry.Repository, d digest.Digest) (l []registry.Stored, err error) {
	for _, m := range s.manifests {
		if m.Subject == d || len(m.Tags) > 0 && strings.HasPrefix(m.Tags[0].Name, strings.Replace(d.String(), ":", "-", 1)) {
			l = append(l, m)
		}
	}
	return l, nil
}

func (s *shelf) Payload(_ context.Context, id int64) ([]byte, error) { return s.payloads[id], nil }

func (s *shelf) ReadBlob(_ context.Context, _ string, d digest.Digest, most int64) ([]byte, error) {
	s.read++
	b, ok := s.blobs[d]
	if !ok {
		return nil, fmt.Errorf("blob %s: %w", d, errdef.ErrNotFound)
	}
	if int64(len(b)) > most {
		return nil, fmt.Errorf("blob %s has more than %d bytes: %w", d, most, errdef.ErrExhausted)
	}
	return b, nil
}

func (s *shelf) Indexes(_ context.Context, _ registry.Repository, d digest.Digest) ([]registry.Stored, error) {
	return s.above[d], nil
}

// put attaches layers to an image: as a referrer of a type, or, without one, under the tag of cosign 1 and 2.
func (s *shelf) put(t *testing.T, image registry.Artifact, artifactType string, layers ...trusttest.Layer) {
	t.Helper()
	var m v1.Manifest
	for _, l := range layers {
		d := digest.FromBytes(l.Content)
		s.blobs[d] = l.Content
		m.Layers = append(m.Layers, v1.Descriptor{MediaType: l.MediaType, Digest: d, Size: int64(len(l.Content)), Annotations: l.Annotations})
	}
	payload, err := json.Marshal(m)
	must(t, err)
	x := registry.Stored{ID: int64(len(s.manifests) + 1), Pushed: time.Now()}
	x.Digest, x.ArtifactType = digest.FromBytes(payload), artifactType
	if artifactType == "" {
		x.ArtifactType = v1.MediaTypeImageConfig
		x.Tags = []registry.Tag{{Name: strings.Replace(image.Digest.String(), ":", "-", 1) + ".sig"}}
	} else {
		x.Subject = image.Digest
	}
	s.manifests = append(s.manifests, x)
	s.payloads[x.ID] = payload
}

// rig is a project with an image, and what it trusts.
type rig struct {
	*shelf
	t       *testing.T
	db      *store.Store
	keys    *Keys
	v       *Verifier
	project int64
	now     time.Time
	image   registry.Artifact
}

func newRig(t *testing.T, open func(...store.Schema) *store.Store) *rig {
	t.Helper()
	r := &rig{t: t, shelf: &shelf{payloads: map[int64][]byte{}, blobs: map[digest.Digest][]byte{}, above: map[digest.Digest][]registry.Stored{}},
		db: open(registry.Schema(), Schema()), now: time.Now()}
	must(t, r.db.Tx(t.Context(), func(tx *store.Tx) error {
		return tx.Row(`INSERT INTO project (name, public, created, quota, repo_quota) SELECT 'p' || COUNT(*), $1, 0, -1, -1 FROM project RETURNING id`, true).Scan(&r.project)
	}))
	r.keys = NewKeys(r.db, nil)
	r.v = NewVerifier(r.keys, func() Images { return r.shelf }, func() time.Time { return r.now })
	r.image = registry.Artifact{Project: "p", Repository: "p/app", Digest: digest.FromString("an image"), MediaType: v1.MediaTypeImageManifest, Size: 8}
	return r
}

func (r *rig) descriptor() v1.Descriptor {
	return v1.Descriptor{MediaType: r.image.MediaType, Digest: r.image.Digest, Size: r.image.Size}
}

func (r *rig) add(name string, kind Kind, pem string, signers ...string) int64 {
	r.t.Helper()
	id, err := r.keys.Add(r.t.Context(), Key{Project: r.project, Name: name, Kind: kind, PEM: pem, Signers: signers, By: "tester"})
	must(r.t, err)
	return id
}

func (r *rig) only() Signature {
	r.t.Helper()
	list, more, err := r.v.Signatures(r.t.Context(), r.project, r.image)
	must(r.t, err)
	if len(list) != 1 || more {
		r.t.Fatalf("%+v %v", list, more)
	}
	return list[0]
}

// ways are how a key and a certificate sign an image; certified ones are of the authority "ca".
type way struct {
	kind Kind
	sign func(r *rig, k trusttest.Key, ca *trusttest.Authority, end time.Time, image v1.Descriptor) (artifactType string, l trusttest.Layer)
}

var ways = map[string]way{
	"cosign 2 by key, under a tag": {CosignKey, func(r *rig, k trusttest.Key, _ *trusttest.Authority, _ time.Time, x v1.Descriptor) (string, trusttest.Layer) {
		return "", k.Simple(r.t, x.Digest)
	}},
	"cosign 2 by key, as a referrer": {CosignKey, func(r *rig, k trusttest.Key, _ *trusttest.Authority, _ time.Time, x v1.Descriptor) (string, trusttest.Layer) {
		return "application/vnd.dev.cosign.artifact.sig.v1+json", k.Simple(r.t, x.Digest)
	}},
	"cosign 3 by key": {CosignKey, func(r *rig, k trusttest.Key, _ *trusttest.Authority, _ time.Time, x v1.Descriptor) (string, trusttest.Layer) {
		return trusttest.BundleType, k.Bundle(r.t, x.Digest, trusttest.SignPredicate)
	}},
	"cosign 2 by certificate": {CosignRoot, func(r *rig, k trusttest.Key, ca *trusttest.Authority, end time.Time, x v1.Descriptor) (string, trusttest.Layer) {
		return "", k.Simple(r.t, x.Digest, ca.Issue(r.t, "dev", k, end), ca.Certificate)
	}},
	"cosign 3 by certificate": {CosignRoot, func(r *rig, k trusttest.Key, ca *trusttest.Authority, end time.Time, x v1.Descriptor) (string, trusttest.Layer) {
		return trusttest.BundleType, k.Bundle(r.t, x.Digest, trusttest.SignPredicate, ca.Issue(r.t, "dev", k, end))
	}},
	"notation": {NotationRoot, func(r *rig, k trusttest.Key, ca *trusttest.Authority, end time.Time, x v1.Descriptor) (string, trusttest.Layer) {
		return trusttest.NotationType, k.Notation(r.t, x, 0, ca.Issue(r.t, "dev", k, end), ca.Certificate)
	}},
}

// trusts adds what verifies signatures of a way.
func (r *rig) trusts(w way, k trusttest.Key, ca *trusttest.Authority, signers ...string) int64 {
	r.t.Helper()
	if w.kind == CosignKey {
		return r.add("release", CosignKey, k.PEM(r.t))
	}
	return r.add("release", w.kind, ca.PEM(), signers...)
}

// TestOutcomes signs an image in each way, and looks at what counts and what does not.
func TestOutcomes(t *testing.T) {
	day := time.Now().Add(24 * time.Hour)
	storetest.Each(t, func(t *testing.T, open func(...store.Schema) *store.Store) {
		for name, w := range ways {
			t.Run(name, func(t *testing.T) {
				k, ca := trusttest.NewKey(t), trusttest.NewAuthority(t, "ca")
				r := newRig(t, open)
				artifactType, layer := w.sign(r, k, ca, day, r.descriptor())
				r.put(t, r.image, artifactType, layer)
				if s := r.only(); s.State != Unknown {
					t.Errorf("without keys: %+v", s)
				}
				id := r.trusts(w, k, ca, "dev@example.com")
				s := r.only()
				if s.State != Verified || s.Key != "release" || s.Why != "" || s.Fingerprint == "" || s.Signer == "" {
					t.Errorf("good: %+v", s)
				}
				before := r.read
				r.only()
				if r.read != before {
					t.Error("what was verified is verified again")
				}
				must(t, r.keys.Revoke(t.Context(), r.project, id, true))
				if s := r.only(); s.State != Revoked {
					t.Errorf("revoked: %+v", s)
				}
				must(t, r.keys.Revoke(t.Context(), r.project, id, false))
				if s := r.only(); s.State != Verified {
					t.Errorf("trusted again: %+v", s)
				}
				must(t, r.keys.Remove(t.Context(), r.project, id))
				r.trusts(w, trusttest.NewKey(t), trusttest.NewAuthority(t, "ca"), "*") // of the same name, and another
				if s := r.only(); s.State != Unknown {
					t.Errorf("of another key: %+v", s)
				}
			})
			t.Run(name+", wrong", func(t *testing.T) {
				k, ca := trusttest.NewKey(t), trusttest.NewAuthority(t, "ca")
				other := registry.Artifact{Digest: digest.FromString("another image")}
				for what, c := range map[string]struct {
					image v1.Descriptor
					end   time.Time
					spoil bool
					want  State
				}{
					"for another image": {image: v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: other.Digest, Size: 8}, end: day, want: Elsewhere},
					"tampered":          {image: v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: digest.FromString("an image"), Size: 8}, end: day, spoil: true, want: Tampered},
					"expired":           {image: v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: digest.FromString("an image"), Size: 8}, end: day, want: Expired},
				} {
					r := newRig(t, open)
					r.trusts(w, k, ca, "*")
					artifactType, layer := w.sign(r, k, ca, c.end, c.image)
					if c.spoil {
						layer = spoiled(layer)
						if w.kind == CosignKey && layer.MediaType != trusttest.BundleType { // it does not say of which key it is
							c.want = Unknown
						}
					}
					if what == "expired" {
						if w.kind == CosignKey {
							continue
						}
						r.now = day.Add(time.Hour)
					}
					r.put(t, r.image, artifactType, layer)
					if s := r.only(); s.State != c.want || s.Why == "" || s.Key != "" {
						t.Errorf("%s: %+v, want %s", what, s, c.want)
					}
				}
			})
		}
	})
}

// spoiled changes what was signed, and leaves the signature.
func spoiled(l trusttest.Layer) trusttest.Layer {
	switch {
	case l.MediaType == trusttest.BundleType:
		var m map[string]map[string]any
		var media struct{ MediaType string }
		_ = json.Unmarshal(l.Content, &media)
		_ = json.Unmarshal(bytes.Replace(l.Content, []byte(`"mediaType":"`+media.MediaType+`",`), nil, 1), &m)
		payload, _ := base64.StdEncoding.DecodeString(m["dsseEnvelope"]["payload"].(string))
		m["dsseEnvelope"]["payload"] = base64.StdEncoding.EncodeToString(bytes.Replace(payload, []byte(`"predicate":{}`), []byte(`"predicate":{"a":1}`), 1))
		b, _ := json.Marshal(map[string]any{"mediaType": media.MediaType, "verificationMaterial": m["verificationMaterial"], "dsseEnvelope": m["dsseEnvelope"]})
		l.Content = b
	case bytes.Contains(l.Content, []byte(`"optional":null`)):
		l.Content = bytes.Replace(l.Content, []byte(`"optional":null`), []byte(`"optional":{}`), 1)
	default: // a COSE envelope, whose signature is what comes last
		l.Content = bytes.Clone(l.Content)
		at := bytes.Index(l.Content, []byte("targetArtifact"))
		l.Content[at+len(`targetArtifact":{"`)] ^= 1
	}
	return l
}

func TestWhoseCertificateItIs(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(...store.Schema) *store.Store) {
		for _, name := range []string{"cosign 2 by certificate", "cosign 3 by certificate", "notation"} {
			w, r := ways[name], newRig(t, open)
			k, ca := trusttest.NewKey(t), trusttest.NewAuthority(t, "ca")
			artifactType, layer := w.sign(r, k, ca, time.Now().Add(time.Hour), r.descriptor())
			r.put(t, r.image, artifactType, layer)
			id := r.trusts(w, k, ca, "somebody-else@example.com")
			if s := r.only(); s.State != Unknown || !strings.Contains(s.Why, "somebody-else") || s.Signer != "dev@example.com" {
				t.Errorf("%s: of a stranger: %+v", name, s)
			}
			must(t, r.keys.Remove(t.Context(), r.project, id))
			r.trusts(w, k, ca, "dev@example.com")
			strange := trusttest.NewAuthority(t, "ca") // of the same name, so that its list seems to be of the root
			again := ca.Issue(t, "again", k, time.Now().Add(time.Hour))
			r.add("forged", CRL, strange.Revoke(t, ca.Issued[0]))
			if s := r.only(); s.State != Verified {
				t.Errorf("%s: a list of another authority counts: %+v", name, s)
			}
			r.add("list", CRL, ca.Revoke(t, again, ca.Issued[0]))
			if s := r.only(); s.State != Revoked || !strings.Contains(s.Why, "list") {
				t.Errorf("%s: of a revoked certificate: %+v", name, s)
			}
		}
	})
}

func TestNoSignatures(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(...store.Schema) *store.Store) {
		r := newRig(t, open)
		k := trusttest.NewKey(t)
		r.add("k", CosignKey, k.PEM(t))
		// An attestation by the same key, in the same form, is no signature.
		r.put(t, r.image, trusttest.BundleType, k.Bundle(t, r.image.Digest, "https://spdx.dev/Document"))
		r.put(t, r.image, "application/spdx+json", trusttest.Layer{MediaType: "application/spdx+json", Content: []byte("{}")})
		list, _, err := r.v.Signatures(t.Context(), r.project, r.image)
		if err != nil || len(list) != 0 {
			t.Errorf("%+v %v", list, err)
		}
		for range maxSignatures + 1 {
			r.put(t, r.image, "", trusttest.NewKey(t).Simple(t, r.image.Digest))
		}
		list, more, err := r.v.Signatures(t.Context(), r.project, r.image)
		if err != nil || len(list) != maxSignatures || !more {
			t.Errorf("%d %v %v", len(list), more, err)
		}
	})
}

// Who may push puts as much about an artifact as there is room for; a pull does not read it all.
func TestWhatIsReadForOneArtifactIsBounded(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(...store.Schema) *store.Store) {
		r := newRig(t, open)
		for i := range 100 {
			var layers []trusttest.Layer
			for j := range maxSignatures {
				layers = append(layers, trusttest.Layer{MediaType: "text/plain", Content: fmt.Appendf(nil, "%d %d", i, j)})
			}
			r.put(t, r.image, trusttest.BundleType, layers...)
		}
		for range 2 {
			list, more, err := r.v.Signatures(t.Context(), r.project, r.image)
			if err != nil || len(list) != 0 || !more || r.read > maxLooked+maxSignatures {
				t.Errorf("%d %v %v, %d were read", len(list), more, err, r.read)
			}
		}
	})
}

func TestUnreadable(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(...store.Schema) *store.Store) {
		for artifactType, l := range map[string]trusttest.Layer{
			"":                     {MediaType: simpleSigning, Content: []byte("{}")},
			trusttest.BundleType:   {MediaType: trusttest.BundleType, Content: []byte("{}")},
			trusttest.NotationType: {MediaType: "application/unknown", Content: []byte("{}")},
			"application/vnd.dev.cosign.artifact.sig.v1+json": {MediaType: simpleSigning, Content: bytes.Repeat([]byte("x"), maxPayload+1)},
		} {
			r := newRig(t, open)
			r.put(t, r.image, artifactType, l)
			if s := r.only(); s.State != Unreadable || s.Why == "" {
				t.Errorf("%s: %+v", artifactType, s)
			}
		}
	})
}

func TestWhatIsNoKey(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(...store.Schema) *store.Store) {
		r := newRig(t, open)
		k, ca := trusttest.NewKey(t), trusttest.NewAuthority(t, "ca")
		leaf := ca.Issue(t, "dev", k, time.Now().Add(time.Hour))
		for want, x := range map[string]Key{
			"name:":                 {Name: "a b", Kind: CosignKey, PEM: k.PEM(t)},
			"private key":           {Name: "a", Kind: CosignKey, PEM: "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n"},
			"cannot be read as PEM": {Name: "a", Kind: CosignKey, PEM: "ssh-ed25519 AAAA"},
			`"PUBLIC KEY"`:          {Name: "a", Kind: CosignKey, PEM: ca.PEM()},
			"signers: name who":     {Name: "a", Kind: CosignRoot, PEM: ca.PEM()},
			"for roots alone":       {Name: "a", Kind: CosignKey, PEM: k.PEM(t), Signers: []string{"x"}},
			"is no authority":       {Name: "a", Kind: NotationRoot, PEM: trusttest.CertificatePEM(leaf), Signers: []string{"x"}},
			"is none of":            {Name: "a", Kind: "x", PEM: k.PEM(t)},
			"X509 CRL":              {Name: "a", Kind: CRL, PEM: k.PEM(t)},
			"more than 65536":       {Name: "a", Kind: CosignKey, PEM: strings.Repeat("x", maxPEM+1)},
		} {
			x.Project = r.project
			if _, err := r.keys.Add(t.Context(), x); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v", want, err)
			}
		}
		r.add("a", CosignKey, k.PEM(t))
		if _, err := r.keys.Add(t.Context(), Key{Project: r.project, Name: "a", Kind: CosignKey, PEM: k.PEM(t)}); !errors.Is(err, errdef.ErrExists) {
			t.Error(err)
		}
		if _, err := r.keys.Add(t.Context(), Key{Project: 99, Name: "a", Kind: CosignKey, PEM: k.PEM(t)}); !errors.Is(err, errdef.ErrNotFound) {
			t.Error(err)
		}
		if err := r.keys.Remove(t.Context(), r.project, 99); !errors.Is(err, errdef.ErrNotFound) {
			t.Error(err)
		}
		for i := range maxKeys - 1 {
			r.add(fmt.Sprint("k", i), CosignKey, k.PEM(t))
		}
		if _, err := r.keys.Add(t.Context(), Key{Project: r.project, Name: "last", Kind: CosignKey, PEM: k.PEM(t)}); !errors.Is(err, errdef.ErrInvalid) {
			t.Error(err)
		}
	})
}

func TestTheRule(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(...store.Schema) *store.Store) {
		r := newRig(t, open)
		k := trusttest.NewKey(t)
		r.add("k", CosignKey, k.PEM(t))
		index := registry.Artifact{Project: "p", Repository: "p/app", Digest: digest.FromString("an index"), MediaType: v1.MediaTypeImageIndex}
		r.above[r.image.Digest] = []registry.Stored{{Artifact: index}}
		dct := "" // what is signed by Docker Content Trust
		s := admission.Subject{Purpose: admission.Pull, ProjectID: r.project, Artifact: r.image, Metadata: map[string]string{}}
		ask := func() *admission.Refusal {
			t.Helper()
			x, err := NewRule(r.v, func(_ context.Context, repository, tag, d string) (bool, error) {
				return dct == repository+":"+tag+"@"+d, nil
			}).Check(t.Context(), s)
			must(t, err)
			return x
		}
		if x := ask(); x != nil {
			t.Errorf("nothing is demanded: %+v", x)
		}
		s.Metadata[MetadataCosign] = "true"
		if x := ask(); x == nil || !strings.Contains(x.Text(s), "it has none") || !strings.Contains(x.Do, "cosign sign") {
			t.Errorf("%+v", x)
		}
		s.Pushing = true
		if x := ask(); x != nil {
			t.Errorf("who signs cannot read it: %+v", x)
		}
		s.Pushing = false
		r.put(t, index, "", trusttest.NewKey(t).Simple(t, index.Digest))
		r.put(t, r.image, "", trusttest.NewKey(t).Simple(t, r.image.Digest))
		if x := ask(); x == nil || !strings.Contains(x.Text(s), "unknown signer") {
			t.Errorf("%+v", x)
		}
		r.put(t, index, trusttest.BundleType, k.Bundle(t, index.Digest, trusttest.SignPredicate))
		if x := ask(); x != nil {
			t.Errorf("the index that names it is signed: %+v", x)
		}
		s.Metadata[MetadataNotation] = "true"
		if x := ask(); x == nil || !strings.Contains(x.Text(s), "notation") {
			t.Errorf("both are demanded: %+v", x)
		}
		s.Metadata = map[string]string{MetadataNotary: "true"}
		if x := ask(); x == nil || !strings.Contains(x.Do, "docker trust sign") {
			t.Errorf("%+v", x)
		}
		s.Tag, dct = "1", "p/app:1@"+r.image.Digest.String()
		if x := ask(); x != nil {
			t.Errorf("signed by docker: %+v", x)
		}
		if s.Tag = "2"; ask() == nil {
			t.Error("another tag is signed, and this one may be pulled")
		}
		s.Tag, dct = "", "p/app:@"+index.Digest.String()
		if x := ask(); x != nil {
			t.Errorf("docker signed the index: %+v", x)
		}
	})
}
