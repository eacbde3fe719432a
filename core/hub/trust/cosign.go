package trust

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/sigstore/sigstore/pkg/signature"
)

// What cosign 1 and 2 attach, and cosign 3 if it is told to: layers with a text that names the artifact (simple signing), each with
// its signature in the layer's annotations, as a referrer or under the tag sha256-DIGEST.sig.
const (
	simpleSigning         = "application/vnd.dev.cosign.simplesigning.v1+json"
	annotationSignature   = "dev.cosignproject.cosign/signature"
	annotationCertificate = "dev.sigstore.cosign/certificate"
	annotationChain       = "dev.sigstore.cosign/chain"
	simpleType            = "cosign container image signature"
)

// simple verifies one layer of simple signing.
func (r *ring) simple(s Signature, payload []byte, annotations map[string]string, image digest.Digest, now time.Time) Signature {
	sig, err := base64.StdEncoding.DecodeString(annotations[annotationSignature])
	if err != nil || len(sig) == 0 {
		return s.failed(Unreadable, "the layer has no signature in its annotation "+annotationSignature)
	}
	if text := annotations[annotationCertificate]; text != "" {
		chain, err := certificates(text + "\n" + annotations[annotationChain])
		if err != nil {
			return s.failed(Unreadable, "the signer's certificates cannot be read: "+err.Error())
		}
		s = r.certified(s, CosignRoot, chain, now)
		if !signs(chain[0].PublicKey, payload, sig) {
			return s.failed(Tampered, "the signature is not of the certificate that it comes with, or what was signed was changed")
		}
	} else {
		s = r.keyed(s, func(public crypto.PublicKey) bool { return signs(public, payload, sig) })
	}
	if s.State != Verified {
		return s
	}
	return about(s, payload, image)
}

// signs says whether a signature, by cosign's rules (SHA-256, for RSA PKCS #1 v1.5), is a key's.
func signs(public crypto.PublicKey, payload, sig []byte) bool {
	v, err := signature.LoadVerifier(public, crypto.SHA256)
	return err == nil && v.VerifySignature(bytes.NewReader(sig), bytes.NewReader(payload)) == nil
}

// keyed looks for the key of the project that a signature without certificates is of.
func (r *ring) keyed(s Signature, of func(crypto.PublicKey) bool) Signature {
	keys := r.of(CosignKey)
	for _, k := range keys {
		if !of(k.public) {
			continue
		}
		s.Signer, s.Fingerprint = k.Name, keyPrint(k.public)
		if !k.Revoked.IsZero() {
			return s.failed(Revoked, "the project has taken back its trust in the key "+k.Name)
		}
		s.State, s.Why, s.Key = Verified, "", k.Name
		return s
	}
	if len(keys) == 0 {
		return s.failed(Unknown, "the project has no keys of cosign")
	}
	return s.failed(Unknown, "none of the project's keys made it, or what was signed was changed")
}

// about compares what the payload names with the artifact.
func about(s Signature, payload []byte, image digest.Digest) Signature {
	var p struct {
		Critical struct {
			Type  string
			Image struct {
				Digest string `json:"docker-manifest-digest"`
			}
		}
	}
	if err := json.Unmarshal(payload, &p); err != nil || p.Critical.Type != simpleType {
		return s.failed(Unreadable, fmt.Sprintf("what was signed is no %q", simpleType))
	}
	if p.Critical.Image.Digest != image.String() {
		return s.failed(Elsewhere, fmt.Sprintf("it is for %.100s", p.Critical.Image.Digest))
	}
	return s
}

// certificates reads a chain of PEM blocks, the signer's first.
func certificates(text string) (chain []*x509.Certificate, err error) {
	rest := []byte(text)
	for {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		if len(chain) == maxCertified {
			return nil, fmt.Errorf("there are more than %d", maxCertified)
		}
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return nil, err
		}
		chain = append(chain, c)
	}
	if len(chain) == 0 {
		return nil, errors.New("there are none")
	}
	return chain, nil
}
