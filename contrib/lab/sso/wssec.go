package sso

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
)

// request is a SOAP request that was read: what there is once in it, by path from its root.
type request struct {
	doc    *etree.Document
	header *etree.Element // Security; nil if there is none
	body   *etree.Element // what is in Body
}

func parseRequest(body []byte) (*request, error) {
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(body); err != nil {
		return nil, err
	}
	r := &request{doc: doc, header: doc.FindElement("/Envelope/Header/Security")}
	b := doc.FindElement("/Envelope/Body")
	if b == nil || len(b.ChildElements()) != 1 {
		return nil, errors.New("a request is an envelope with one element in its body")
	}
	r.body = b.ChildElements()[0]
	return r, nil
}

// text is that of an element below e, or nothing.
func text(e *etree.Element, path string) string {
	if e == nil {
		return ""
	}
	if f := e.FindElement(path); f != nil {
		return strings.TrimSpace(f.Text())
	}
	return ""
}

// checkTime refuses a request that was made at another time than that of this service.
func (r *request) checkTime(now time.Time) error {
	if r.header == nil {
		return errors.New("the request has no security header")
	}
	from, err1 := time.Parse(time.RFC3339, text(r.header, "Timestamp/Created"))
	to, err2 := time.Parse(time.RFC3339, text(r.header, "Timestamp/Expires"))
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("time stamp: %w", err)
	}
	if now.Add(clockTolerance).Before(from) || now.Add(-clockTolerance).After(to) {
		return &stsFault{"InvalidTimeRange", fmt.Sprintf("The time now %s does not fall in the request lifetime interval extended with clock tolerance of "+
			"%d ms: [%s; %s). This might be due to a clock skew problem.", now.Format(time.RFC1123), clockTolerance.Milliseconds(),
			from.Add(-clockTolerance).Format(time.RFC1123), to.Add(clockTolerance).Format(time.RFC1123))}
	}
	return nil
}

// checkSignature checks the signature of a certificate's key over body and time stamp.
func (r *request) checkSignature(cert *x509.Certificate) error {
	if r.header == nil || r.header.FindElement("Signature/SignedInfo") == nil {
		return errors.New("the request is not signed")
	}
	signature := r.header.FindElement("Signature")
	info := signature.FindElement("SignedInfo")
	exc := dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("")
	// Only these two can be signed: an id elsewhere in the document means nothing.
	parts := map[string]*etree.Element{}
	for name, e := range map[string]*etree.Element{"body": r.doc.FindElement("/Envelope/Body"), "time stamp": r.header.FindElement("Timestamp")} {
		if e == nil {
			return fmt.Errorf("the request has no %s", name)
		}
		parts["#"+e.SelectAttrValue("wsu:Id", "")] = e
	}
	if len(parts) != 2 || parts["#"] != nil {
		return errors.New("body and time stamp have no ids")
	}
	for _, ref := range info.FindElements("Reference") {
		part := parts[ref.SelectAttrValue("URI", "")]
		if part == nil {
			return fmt.Errorf("nothing that can be signed has the id %s", ref.SelectAttrValue("URI", ""))
		}
		c, err := exc.Canonicalize(detached(part))
		if err != nil {
			return err
		}
		if sum := sha256.Sum256(c); base64.StdEncoding.EncodeToString(sum[:]) != text(ref, "DigestValue") {
			return fmt.Errorf("the digest of %s is wrong", part.Tag)
		}
		delete(parts, ref.SelectAttrValue("URI", ""))
	}
	if len(parts) > 0 {
		return errors.New("body and time stamp are not both signed")
	}
	c, err := exc.Canonicalize(detached(info))
	if err != nil {
		return err
	}
	sig, err := base64.StdEncoding.DecodeString(text(signature, "SignatureValue"))
	if err != nil {
		return err
	}
	key, ok := cert.PublicKey.(*rsa.PublicKey)
	if !ok {
		return errors.New("the certificate has no RSA key")
	}
	sum := sha256.Sum256(c)
	return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], sig)
}

// detached is a copy of an element with the namespaces that it has from its parents.
func detached(e *etree.Element) *etree.Element {
	c := e.Copy()
	for p := e.Parent(); p != nil; p = p.Parent() {
		for _, a := range p.Attr {
			if (a.Space == "xmlns" || (a.Space == "" && a.Key == "xmlns")) && c.SelectAttr(a.FullKey()) == nil {
				c.CreateAttr(a.FullKey(), a.Value)
			}
		}
	}
	return c
}
