package trust

import (
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/core/hub/trust/trusttest"
	"github.com/openvic/vic/core/registry"
)

// FuzzSignature verifies what somebody pushed as a signature, against keys that are not theirs.
func FuzzSignature(f *testing.F) {
	image := registry.Artifact{Repository: "p/app", Digest: digest.FromString("an image"), MediaType: v1.MediaTypeImageManifest, Size: 8}
	f.Add(trusttest.Payload(image.Digest), "AAAA", "", byte(0))
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{"hint":"a"}},`+
		`"dsseEnvelope":{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"AAAA"}]}}`), "", "", byte(1))
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle+json;version=0.1","verificationMaterial":{"x509CertificateChain":{"certificates":[]}},`+
		`"messageSignature":{}}`), "", "", byte(1))
	f.Add([]byte(`{"payload":"e30","protected":"e30","header":{},"signature":"AA"}`), "", "", byte(2))
	f.Add([]byte{0xd2, 0x84, 0x40, 0xa0, 0x40, 0x40}, "", "", byte(3))
	f.Add([]byte("{}"), "AAAA", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", byte(0))
	k, ca := trusttest.NewKey(f), trusttest.NewAuthority(f, "ca")
	ring, err := newRing([]Key{{Name: "k", Kind: CosignKey, PEM: k.PEM(f)}, {Name: "c", Kind: CosignRoot, PEM: ca.PEM(), Signers: []string{"*"}},
		{Name: "n", Kind: NotationRoot, PEM: ca.PEM(), Signers: []string{"*"}}})
	must(f, err)
	f.Fuzz(func(t *testing.T, raw []byte, sig, certificate string, way byte) {
		s := Signature{Format: Cosign}
		layer := v1.Descriptor{Annotations: map[string]string{annotationSignature: sig, annotationCertificate: certificate}}
		switch way % 4 {
		case 0:
			layer.MediaType = simpleSigning
		case 1:
			layer.MediaType = trusttest.BundleType
		case 2:
			s.Format, layer.MediaType = Notation, "application/jose+json"
		case 3:
			s.Format, layer.MediaType = Notation, "application/cose"
		}
		if s, ok := ring.verify(t.Context(), s, raw, layer, image, time.Now()); ok && (s.State == Verified || s.Why == "") {
			t.Errorf("%+v", s)
		}
	})
}

// FuzzKey reads what an administrator gives as a key.
func FuzzKey(f *testing.F) {
	for _, kind := range []Kind{CosignKey, CosignRoot, NotationRoot, CRL} {
		f.Add(string(kind), "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
		f.Add(string(kind), "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n")
		f.Add(string(kind), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n")
	}
	f.Fuzz(func(t *testing.T, kind, pem string) {
		k := Key{Name: "a", Kind: Kind(kind), PEM: pem, Signers: []string{"*"}}
		if kind == string(CosignKey) || kind == string(CRL) {
			k.Signers = nil
		}
		if k.check() == nil && k.Fingerprint() == "" {
			t.Errorf("%s: it has no fingerprint: %q", kind, pem)
		}
	})
}
