// Package trust says of artifacts who signed them, and whether that is somebody whom their project trusts.
//
// A project has keys and certificates (Keys). A signature is found where the tools put it, as a referrer of the artifact or
// under the tag that is made of its digest, and is verified here each time that something it depends on is new: its content,
// what it is about, and the project's keys. No server is asked, so what counts is what the project was given: its keys, its
// roots, its revocation lists.
//
// What is verified is remembered by the artifact, the signature and the keys (Verifier), until a certificate ends.
package trust

import (
	"time"

	"github.com/opencontainers/go-digest"
)

// Format is the tool that a signature is of.
type Format string

// The formats.
const (
	Cosign   Format = "cosign"
	Notation Format = "notation"
)

// State is what came out of verifying one signature.
type State string

// The states. Only Verified counts as signed.
const (
	Verified   State = "verified"
	Unknown    State = "unknown_signer" // of nobody whom the project trusts; or what was signed was changed, if that cannot be told apart
	Tampered   State = "tampered"       // the content is not what the key signed
	Elsewhere  State = "other_artifact" // it is good, and for another artifact
	Revoked    State = "revoked"        // the key, or a certificate above it, was taken back
	Expired    State = "expired"        // the signature, or a certificate above it, has ended
	Unreadable State = "unreadable"     // its form is unknown, or beyond a bound
)

// Signature is one signature of an artifact.
type Signature struct {
	// Digest is of the manifest that carries it, which may carry several.
	Digest digest.Digest
	Format Format
	State  State
	// Why says what is wrong, for people; "" if nothing is.
	Why string
	// Signer is who signed: the name in the certificate, or the name that the project gave the key.
	Signer string
	// Key is the name of the project's key or root that it was verified by; "" if it was not.
	Key string
	// Fingerprint is of the public key or of the signer's certificate, "sha256:" and hexadecimal digits; "" if it names none.
	Fingerprint string
	// Signed is when, as the signer says; if they do not, when it was pushed.
	Signed time.Time
	// until is when the state has to be found out anew; zero: never.
	until time.Time
}

// failed is a signature that does not count.
func (s Signature) failed(state State, why string) Signature {
	s.State, s.Why, s.Key = state, why, ""
	return s
}

// Bounds of what is looked at.
const (
	maxSignatures = 64      // of one artifact: the oldest ones
	maxPayload    = 1 << 20 // bytes of one signature
	maxLooked     = 512     // manifests about one artifact, and layers of those, that are read to find its signatures
	maxCertified  = 32      // certificates that one signature brings
)
