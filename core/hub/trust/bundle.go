package trust

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
)

// What cosign 3 attaches: a sigstore bundle as a referrer, with an in-toto statement in a DSSE envelope. Attestations come in the
// same form, by the same keys: the predicate's type alone tells a signature from an SBOM that somebody attested.
const (
	bundlePrefix        = "application/vnd.dev.sigstore.bundle"
	signPredicate       = "https://sigstore.dev/cosign/sign/v1"
	annotationPredicate = "dev.sigstore.bundle.predicateType"
)

// bundled verifies a bundle. ok is false for an attestation, which is no signature.
func (r *ring) bundled(s Signature, raw []byte, image digest.Digest, now time.Time) (_ Signature, ok bool) {
	b, err := readBundle(raw)
	if err != nil {
		return s.failed(Unreadable, "the bundle cannot be read: "+err.Error()), true
	}
	predicate, subjects, err := stated(b)
	if err != nil {
		return s.failed(Unreadable, err.Error()), true
	}
	if predicate != signPredicate {
		return s, false
	}
	sum, err := hex.DecodeString(image.Encoded())
	if err != nil {
		return s.failed(Unreadable, err.Error()), true
	}
	chain, err := b.chain()
	if err != nil {
		return s.failed(Unreadable, "the signer's certificates cannot be read: "+err.Error()), true
	}
	good := func(material root.TrustedMaterial, o verify.VerifierOption, p verify.PolicyOption) error {
		v, err := verify.NewVerifier(material, o, verify.WithoutStatementPredicate())
		if err != nil {
			return err
		}
		if p == nil {
			_, err = v.Verify(b, verify.NewPolicy(verify.WithoutArtifactUnsafe(), verify.WithKey()))
			return err
		}
		_, err = v.Verify(b, verify.NewPolicy(verify.WithArtifactDigest(string(image.Algorithm()), sum), p))
		return err
	}
	var whole verify.PolicyOption
	var material root.TrustedMaterial
	option := verify.WithNoObserverTimestamps()
	if len(chain) > 0 {
		if s = r.certified(s, CosignRoot, chain, now); s.State == Verified {
			whole, material, option = verify.WithoutIdentitiesUnsafe(), r.authority(s.Key, chain[1:]), verify.WithCurrentTime() // identities: certified
		}
	} else {
		s = r.keyed(s, func(public crypto.PublicKey) bool {
			return good(onlyKey(public), verify.WithNoObserverTimestamps(), nil) == nil
		})
		if s.State == Unknown {
			s = r.hinted(s, b)
		}
		if s.State == Verified {
			whole, material = verify.WithKey(), onlyKey(r.named(s.Key).public)
		}
	}
	if s.State != Verified {
		return s, true
	}
	if !slices.Contains(subjects, image.String()) {
		return s.failed(Elsewhere, "it is for "+shorten(subjects)), true
	}
	if err := good(material, option, whole); err != nil {
		return s.failed(Tampered, "the content is not what was signed: "+err.Error()), true
	}
	return s, true
}

// sigstoreBundle is a bundle of any version, whose chain of certificates is used if it has one.
type sigstoreBundle struct{ *bundle.Bundle }

func readBundle(raw []byte) (*sigstoreBundle, error) {
	b := &bundle.Bundle{Bundle: new(protobundle.Bundle)}
	if err := b.UnmarshalJSON(raw); err != nil {
		return nil, err
	}
	return &sigstoreBundle{b}, nil
}

// chain are the certificates in the bundle; none if it is signed by a key alone.
func (b *sigstoreBundle) chain() (chain []*x509.Certificate, err error) {
	raw := b.VerificationMaterial.GetX509CertificateChain().GetCertificates()
	if c := b.VerificationMaterial.GetCertificate(); c != nil {
		raw = append(raw, c)
	}
	if len(raw) > maxCertified {
		return nil, fmt.Errorf("there are more than %d", maxCertified)
	}
	for _, x := range raw {
		c, err := x509.ParseCertificate(x.GetRawBytes())
		if err != nil {
			return nil, err
		}
		chain = append(chain, c)
	}
	return chain, nil
}

// stated reads, unverified, what a bundle says of what.
func stated(b *sigstoreBundle) (predicate string, subjects []string, err error) {
	content, err := b.SignatureContent()
	if err != nil {
		return "", nil, err
	}
	envelope := content.EnvelopeContent()
	if envelope == nil {
		return "", nil, fmt.Errorf("the bundle signs a file, not an image: sign it with cosign sign")
	}
	statement, err := envelope.Statement()
	if err != nil {
		return "", nil, fmt.Errorf("the bundle's statement cannot be read: %w", err)
	}
	for _, s := range statement.GetSubject() {
		for algorithm, sum := range s.GetDigest() {
			subjects = append(subjects, algorithm+":"+sum)
		}
	}
	return statement.GetPredicateType(), subjects, nil
}

// shorten names a few of many.
func shorten(l []string) string {
	const shown, longest = 3, 300
	text := strings.Join(l[:min(len(l), shown)], ", ")
	return text[:min(len(text), longest)]
}

// onlyKey trusts one key, whatever hint a bundle has.
func onlyKey(public crypto.PublicKey) root.TrustedMaterial {
	return root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
		v, err := signature.LoadVerifier(public, crypto.SHA256)
		if err != nil {
			return nil, err
		}
		return root.NewExpiringKey(v, time.Time{}, time.Time{}), nil
	})
}

// named is the entry of a name that certified or keyed has found.
func (r *ring) named(name string) *entry {
	return r.entries[slices.IndexFunc(r.entries, func(e *entry) bool { return e.Name == name })]
}

// authority is the root of a name, with the certificates between it and the signer.
type authority struct {
	root.BaseTrustedMaterial
	list []root.CertificateAuthority
}

// FulcioCertificateAuthorities implements root.TrustedMaterial.
func (a *authority) FulcioCertificateAuthorities() []root.CertificateAuthority { return a.list }

func (r *ring) authority(name string, between []*x509.Certificate) root.TrustedMaterial {
	e := r.named(name)
	a := &authority{}
	for _, c := range e.certificates {
		if selfSigned(c) == 1 {
			a.list = append(a.list, &root.FulcioCertificateAuthority{Root: c, Intermediates: slices.Concat(e.between, between)})
		}
	}
	return a
}

// hinted tells a bundle whose content was changed from one of a strange key, if it names one of the project's keys.
func (r *ring) hinted(s Signature, b *sigstoreBundle) Signature {
	hint := b.VerificationMaterial.GetPublicKey().GetHint()
	for _, k := range r.of(CosignKey) {
		der, err := x509.MarshalPKIXPublicKey(k.public)
		if err != nil {
			continue
		}
		sum := sha256.Sum256(der)
		if hint != "" && bytes.Equal([]byte(hint), []byte(base64.StdEncoding.EncodeToString(sum[:]))) {
			s.Fingerprint = keyPrint(k.public)
			return s.failed(Tampered, "it names the key "+k.Name+", and the signature is not of that key, or what was signed was changed")
		}
	}
	return s
}
