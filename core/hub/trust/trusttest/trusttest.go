// Package trusttest signs images in tests as cosign and notation do: the same content, with keys and authorities that it makes.
package trusttest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/notaryproject/notation-core-go/signature/cose"
	"github.com/notaryproject/notation-go"
	"github.com/notaryproject/notation-go/signer"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

func must[T any](t testing.TB, v T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Key is a key pair.
type Key struct{ *ecdsa.PrivateKey }

// NewKey makes one of ECDSA P-256, as cosign does.
func NewKey(t testing.TB) Key {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return Key{must(t, k, err)}
}

// PEM is the public key, as in cosign.pub.
func (k Key) PEM(t testing.TB) string {
	t.Helper()
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: k.der(t)}))
}

func (k Key) der(t testing.TB) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(k.Public())
	return must(t, der, err)
}

func (k Key) sign(t testing.TB, message []byte) []byte {
	t.Helper()
	sum := sha256.Sum256(message)
	sig, err := k.Sign(rand.Reader, sum[:], crypto.SHA256)
	return must(t, sig, err)
}

// Layer is one layer of a manifest of signatures.
type Layer struct {
	MediaType   string
	Content     []byte
	Annotations map[string]string
}

// Payload is what cosign 1 and 2 sign of an image.
func Payload(image digest.Digest) []byte {
	return fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":"hub/p/app"},"image":{"docker-manifest-digest":%q},`+
		`"type":"cosign container image signature"},"optional":null}`, image.String())
}

// Simple signs an image as cosign 1 and 2 do. With certificates, the signer's first, they come along.
func (k Key) Simple(t testing.TB, image digest.Digest, chain ...*x509.Certificate) Layer {
	t.Helper()
	payload := Payload(image)
	l := Layer{"application/vnd.dev.cosign.simplesigning.v1+json", payload,
		map[string]string{"dev.cosignproject.cosign/signature": base64.StdEncoding.EncodeToString(k.sign(t, payload))}}
	for i, c := range chain {
		name := "dev.sigstore.cosign/chain"
		if i == 0 {
			name = "dev.sigstore.cosign/certificate"
		}
		l.Annotations[name] += CertificatePEM(c)
	}
	return l
}

// SignPredicate is the type of a statement that is a signature.
const SignPredicate = "https://sigstore.dev/cosign/sign/v1"

// BundleType is the media type of a bundle, and the artifact type of its manifest.
const BundleType = "application/vnd.dev.sigstore.bundle.v0.3+json"

// Bundle signs a statement about an image as cosign 3 does. With a certificate, it comes along instead of a hint at the key.
func (k Key) Bundle(t testing.TB, image digest.Digest, predicate string, certificate ...*x509.Certificate) Layer {
	t.Helper()
	statement := fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{%q:%q}}],"predicateType":%q,"predicate":{}}`,
		image.Algorithm(), image.Encoded(), predicate)
	const payloadType = "application/vnd.in-toto+json"
	sig := k.sign(t, fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(statement), statement))
	sum := sha256.Sum256(k.der(t))
	material := map[string]any{"publicKey": map[string]string{"hint": base64.StdEncoding.EncodeToString(sum[:])}}
	if len(certificate) > 0 {
		material = map[string]any{"certificate": map[string][]byte{"rawBytes": certificate[0].Raw}}
	}
	b, err := json.Marshal(map[string]any{"mediaType": BundleType, "verificationMaterial": material, "dsseEnvelope": map[string]any{
		"payload": statement, "payloadType": payloadType, "signatures": []map[string]any{{"sig": sig}}}})
	return Layer{BundleType, must(t, b, err), nil}
}

// Authority issues certificates to signers.
type Authority struct {
	Certificate *x509.Certificate
	Issued      []*x509.Certificate
	key         Key
}

// NewAuthority makes a root.
func NewAuthority(t testing.TB, name string) *Authority {
	t.Helper()
	a := &Authority{key: NewKey(t)}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: subject(name), NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(240 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
	a.Certificate = a.issue(t, c, c, a.key)
	return a
}

func subject(name string) pkix.Name {
	return pkix.Name{Country: []string{"US"}, Organization: []string{"Test"}, Province: []string{"CA"}, CommonName: name}
}

func (a *Authority) issue(t testing.TB, c, parent *x509.Certificate, k Key) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, parent, k.Public(), a.key.PrivateKey)
	x, err := x509.ParseCertificate(must(t, der, err))
	return must(t, x, err)
}

// PEM is the root's certificate.
func (a *Authority) PEM() string { return CertificatePEM(a.Certificate) }

// CertificatePEM is a certificate as text.
func CertificatePEM(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}

// Issue gives a signer a certificate, good from an hour ago until end.
func (a *Authority) Issue(t testing.TB, name string, k Key, end time.Time) *x509.Certificate {
	t.Helper()
	c := a.issue(t, &x509.Certificate{SerialNumber: big.NewInt(int64(len(a.Issued)) + 2), Subject: subject(name), EmailAddresses: []string{name + "@example.com"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: end, KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}}, a.Certificate, k)
	a.Issued = append(a.Issued, c)
	return c
}

// Revoke is a list of certificates that the authority took back.
func (a *Authority) Revoke(t testing.TB, list ...*x509.Certificate) string {
	t.Helper()
	l := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour)}
	for _, c := range list {
		l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, l, a.Certificate, a.key)
	return string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: must(t, der, err)}))
}

// NotationType is the artifact type of a manifest of notation's.
const NotationType = "application/vnd.cncf.notary.signature"

// Notation signs an image by notation's own library. A life above 0 is how long the signature is good.
func (k Key) Notation(t testing.TB, image v1.Descriptor, life time.Duration, chain ...*x509.Certificate) Layer {
	t.Helper()
	s, err := signer.NewGenericSigner(k.PrivateKey, chain)
	envelope, _, err := must(t, s, err).Sign(t.Context(), image, notation.SignerSignOptions{SignatureMediaType: cose.MediaTypeEnvelope, ExpiryDuration: life})
	return Layer{cose.MediaTypeEnvelope, must(t, envelope, err), nil}
}
