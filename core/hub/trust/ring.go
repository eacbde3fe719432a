package trust

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// entry is a Key, parsed.
type entry struct {
	Key
	public       crypto.PublicKey    // of a CosignKey
	certificates []*x509.Certificate // of a root: authorities, those that signed themselves first
	roots        *x509.CertPool      // of certificates: those
	between      []*x509.Certificate // and the others
	list         *x509.RevocationList
}

// ring is all keys of a project.
type ring struct {
	stamp   string
	entries []*entry
}

// of are the entries of one kind.
func (r *ring) of(kind Kind) (l []*entry) {
	for _, e := range r.entries {
		if e.Kind == kind {
			l = append(l, e)
		}
	}
	return l
}

// parse reads a key; errdef.ErrInvalid for one that is none.
func parse(k Key) (*entry, error) {
	e := &entry{Key: k}
	blocks, err := decode(k.PEM)
	if err != nil {
		return nil, err
	}
	switch k.Kind {
	case CosignKey:
		if len(blocks) != 1 || blocks[0].Type != "PUBLIC KEY" {
			return nil, invalid(`pem: want one block "PUBLIC KEY", as in cosign.pub`)
		}
		e.public, err = x509.ParsePKIXPublicKey(blocks[0].Bytes)
		if err == nil {
			err = strong(e.public)
		}
	case CosignRoot, NotationRoot:
		if e.certificates, err = authorities(blocks); err == nil {
			e.sort()
		}
	case CRL:
		if len(blocks) != 1 || blocks[0].Type != "X509 CRL" {
			return nil, invalid(`pem: want one block "X509 CRL" (openssl crl -inform DER -outform PEM)`)
		}
		e.list, err = x509.ParseRevocationList(blocks[0].Bytes)
	default:
		return nil, invalid("kind: %.40q is none of %s, %s, %s, %s", k.Kind, CosignKey, CosignRoot, NotationRoot, CRL)
	}
	if err != nil {
		return nil, invalid("pem: %v", err)
	}
	return e, nil
}

// decode reads all blocks, and refuses what is secret.
func decode(text string) (blocks []*pem.Block, err error) {
	rest := []byte(text)
	for {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		if strings.Contains(b.Type, "PRIVATE") {
			return nil, invalid("pem: this is a private key (%q): keep it where signatures are made, and give the hub the public one", b.Type)
		}
		blocks = append(blocks, b)
	}
	if len(blocks) == 0 || len(bytes.TrimSpace(rest)) > 0 {
		return nil, invalid("pem: it cannot be read as PEM (-----BEGIN ...)")
	}
	return blocks, nil
}

// minRSA is the least size of a key, in bits.
const minRSA = 2048

func strong(public crypto.PublicKey) error {
	switch k := public.(type) {
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return nil
	case *rsa.PublicKey:
		if k.N.BitLen() < minRSA {
			return fmt.Errorf("an RSA key has at least %d bits", minRSA)
		}
		return nil
	}
	return errors.New("want a key of ECDSA, RSA or Ed25519")
}

// authorities reads certificates of which each may sign others.
func authorities(blocks []*pem.Block) (list []*x509.Certificate, err error) {
	for _, b := range blocks {
		if b.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("want blocks CERTIFICATE, not %q", b.Type)
		}
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return nil, err
		}
		if !c.IsCA || !c.BasicConstraintsValid {
			return nil, fmt.Errorf("%q is no authority: want the root's certificate, and those between it and the signers", c.Subject)
		}
		list = append(list, c)
	}
	if len(list) > maxCertified {
		return nil, fmt.Errorf("there are more than %d certificates", maxCertified)
	}
	slices.SortStableFunc(list, func(a, b *x509.Certificate) int { return selfSigned(b) - selfSigned(a) })
	if selfSigned(list[0]) == 0 {
		return nil, errors.New("the root itself is missing: none of the certificates signed itself")
	}
	return list, nil
}

// sort tells roots from those between them and the signers.
func (e *entry) sort() {
	e.roots = x509.NewCertPool()
	for _, c := range e.certificates {
		if selfSigned(c) == 1 {
			e.roots.AddCert(c)
		} else {
			e.between = append(e.between, c)
		}
	}
}

func selfSigned(c *x509.Certificate) int {
	if bytes.Equal(c.RawSubject, c.RawIssuer) && c.CheckSignatureFrom(c) == nil {
		return 1
	}
	return 0
}

// Fingerprint is of what a key holds, for people to compare: of the public key, the root's certificate or the list.
func (k Key) Fingerprint() string {
	e, err := parse(k)
	switch {
	case err != nil:
		return ""
	case e.public != nil:
		return keyPrint(e.public)
	case e.list != nil:
		return fingerprint(e.list.Raw)
	}
	return fingerprint(e.certificates[0].Raw)
}

func keyPrint(public crypto.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return ""
	}
	return fingerprint(der)
}

func fingerprint(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// names are those of a certificate that a project knows signers by.
func names(c *x509.Certificate) (l []string) {
	l = append(l, c.EmailAddresses...)
	for _, u := range c.URIs {
		l = append(l, u.String())
	}
	l = append(l, c.DNSNames...)
	if c.Subject.CommonName != "" {
		l = append(l, c.Subject.CommonName)
	}
	return l
}

// admits says whether a root's entry lets the holder of a certificate sign.
func (e *entry) admits(c *x509.Certificate) bool {
	if slices.Contains(e.Signers, "*") {
		return true
	}
	return slices.ContainsFunc(names(c), func(n string) bool { return slices.Contains(e.Signers, n) })
}

// certified sets who signed, by the certificates that a signature came with, and whether one of the entries trusts them now: the
// state is Verified, Unknown, Expired or Revoked. Whether the signature itself is good is for the caller to find out.
func (r *ring) certified(s Signature, kind Kind, chain []*x509.Certificate, now time.Time) Signature {
	leaf := chain[0]
	s.Fingerprint = fingerprint(leaf.Raw)
	if s.Signer = leaf.Subject.String(); len(names(leaf)) > 0 {
		s.Signer = names(leaf)[0]
	}
	var late, strange *entry
	for _, e := range r.of(kind) {
		path, err := e.path(chain, now)
		var bad x509.CertificateInvalidError
		if errors.As(err, &bad) && bad.Reason == x509.Expired {
			if _, err := e.path(chain, leaf.NotAfter); err == nil {
				late = e
			}
			continue
		}
		if err != nil {
			continue
		}
		if !e.admits(leaf) {
			strange = e
			continue
		}
		if why := r.takenBack(e, path); why != "" {
			return s.failed(Revoked, why)
		}
		s.State, s.Why, s.Key, s.until = Verified, "", e.Name, ends(path)
		return s
	}
	switch {
	case late != nil:
		return s.failed(Expired, fmt.Sprintf("a certificate of the signer has ended or is not good yet; the signer's own is good from %s to %s",
			leaf.NotBefore.UTC().Format(time.DateTime), leaf.NotAfter.UTC().Format(time.DateTime)))
	case strange != nil:
		return s.failed(Unknown, fmt.Sprintf("the root %s is not trusted for this signer: its signers are %s", strange.Name, strings.Join(strange.Signers, ", ")))
	}
	return s.failed(Unknown, "the signer's certificate is of no authority that the project trusts for "+string(s.Format))
}

// path finds the certificates from a signer's to the entry's root.
func (e *entry) path(chain []*x509.Certificate, at time.Time) ([]*x509.Certificate, error) {
	between := x509.NewCertPool()
	for _, c := range slices.Concat(e.between, chain[1:]) {
		between.AddCert(c)
	}
	paths, err := chain[0].Verify(x509.VerifyOptions{Roots: e.roots, Intermediates: between, CurrentTime: at,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}})
	if err != nil {
		return nil, err
	}
	return paths[0], nil
}

// takenBack says why a path does not count any more; "" if it does.
func (r *ring) takenBack(e *entry, path []*x509.Certificate) string {
	if !e.Revoked.IsZero() {
		return "the project has taken back its trust in the root " + e.Name
	}
	for i, c := range path[:len(path)-1] {
		for _, l := range r.of(CRL) {
			if !bytes.Equal(l.list.RawIssuer, c.RawIssuer) || l.list.CheckSignatureFrom(path[i+1]) != nil {
				continue
			}
			for _, x := range l.list.RevokedCertificateEntries {
				if x.SerialNumber.Cmp(c.SerialNumber) == 0 {
					return fmt.Sprintf("its authority has revoked the certificate of %s (list %s)", c.Subject, l.Name)
				}
			}
		}
	}
	return ""
}

// ends is when the first certificate of a path ends.
func ends(path []*x509.Certificate) time.Time {
	first := path[0].NotAfter
	for _, c := range path {
		if c.NotAfter.Before(first) {
			first = c.NotAfter
		}
	}
	return first
}
