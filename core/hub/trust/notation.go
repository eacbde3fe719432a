package trust

import (
	"context"
	"crypto/x509"
	"errors"
	"strings"
	"time"

	"github.com/notaryproject/notation-core-go/signature"
	_ "github.com/notaryproject/notation-core-go/signature/cose" // the two envelopes register themselves
	_ "github.com/notaryproject/notation-core-go/signature/jws"
	"github.com/notaryproject/notation-go"
	"github.com/notaryproject/notation-go/verifier"
	"github.com/notaryproject/notation-go/verifier/trustpolicy"
	"github.com/notaryproject/notation-go/verifier/truststore"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// notationType is the artifact type of notation's signatures.
const notationType = "application/vnd.cncf.notary.signature"

// anchors are a project's trusted roots. Notation's own store reads files of a user's home instead.
type anchors []*x509.Certificate

// GetCertificates implements truststore.X509TrustStore.
func (a anchors) GetCertificates(context.Context, truststore.Type, string) ([]*x509.Certificate, error) {
	return a, nil
}

// notationPolicy is strict, but for revocation, for which notation would ask the servers that a certificate names: the project's
// lists are asked instead. Who may sign is for the project's roots to say.
func notationPolicy() *trustpolicy.Document {
	return &trustpolicy.Document{Version: "1.0", TrustPolicies: []trustpolicy.TrustPolicy{{
		Name: "project", RegistryScopes: []string{"*"}, TrustStores: []string{"ca:project"}, TrustedIdentities: []string{"*"},
		SignatureVerification: trustpolicy.SignatureVerification{VerificationLevel: trustpolicy.LevelStrict.Name,
			Override: map[trustpolicy.ValidationType]trustpolicy.ValidationAction{trustpolicy.TypeRevocation: trustpolicy.ActionSkip}},
	}}}
}

// notarized verifies one envelope of notation.
func (r *ring) notarized(ctx context.Context, s Signature, envelope []byte, mediaType, repository string, image v1.Descriptor, now time.Time) Signature {
	var trusted anchors
	for _, e := range r.of(NotationRoot) {
		trusted = append(trusted, e.certificates...)
	}
	content, err := opened(mediaType, envelope)
	var strange *signature.UnsupportedSignatureFormatError
	switch {
	case errors.As(err, &strange):
		return s.failed(Unreadable, err.Error())
	case err != nil:
		return s.failed(Tampered, "the envelope does not hold what was signed: "+err.Error())
	case len(content.SignerInfo.CertificateChain) > maxCertified:
		return s.failed(Unreadable, "it brings too many certificates")
	}
	if at := content.SignerInfo.SignedAttributes.SigningTime; !at.IsZero() {
		s.Signed = at
	}
	if s = r.certified(s, NotationRoot, content.SignerInfo.CertificateChain, now); s.State != Verified {
		return s
	}
	if end := content.SignerInfo.SignedAttributes.Expiry; !end.IsZero() && end.Before(s.until) {
		s.until = end
	}
	v, err := verifier.New(notationPolicy(), trusted, nil)
	if err != nil {
		return s.failed(Unreadable, err.Error())
	}
	out, err := v.Verify(ctx, image, envelope, notation.VerifierVerifyOptions{ArtifactReference: "hub.invalid/" + repository + "@" + image.Digest.String(),
		SignatureMediaType: mediaType})
	if err == nil {
		return s
	}
	return s.failed(notationState(out, err), err.Error())
}

// opened checks an envelope in itself: whether its content is what the certificate in it signed.
func opened(mediaType string, envelope []byte) (*signature.EnvelopeContent, error) {
	e, err := signature.ParseEnvelope(mediaType, envelope)
	if err != nil {
		return nil, err
	}
	return e.Verify()
}

// notationState is ours for notation's first error.
func notationState(out *notation.VerificationOutcome, err error) State {
	if out != nil {
		for _, x := range out.VerificationResults {
			if x.Error == nil {
				continue
			}
			switch x.Type {
			case trustpolicy.TypeIntegrity:
				return Tampered
			case trustpolicy.TypeAuthenticity:
				return Unknown
			case trustpolicy.TypeExpiry, trustpolicy.TypeAuthenticTimestamp:
				return Expired
			}
		}
	}
	if strings.Contains(err.Error(), "content descriptor mismatch") { // notation-go has no error of its own for it
		return Elsewhere
	}
	return Unreadable
}
