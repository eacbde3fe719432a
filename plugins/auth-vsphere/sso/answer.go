package sso

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
	"github.com/russellhaering/goxmldsig/etreeutils"
)

const (
	nsSignature = "http://www.w3.org/2000/09/xmldsig#"
	succeeded   = "urn:oasis:names:tc:SAML:2.0:status:Success"
	// maxForm is what a browser may bring, in bytes of base64.
	maxForm = 256 << 10
)

// errRefused says that the service itself did not sign the user in.
var errRefused = errors.New("vCenter Single Sign-On did not sign the user in")

// The algorithms that an answer may be signed with; SHA-1 is none of them.
var (
	signatures = []string{rsaSHA256, "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384", "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512"}
	digests    = []string{"http://www.w3.org/2001/04/xmlenc#sha256", "http://www.w3.org/2001/04/xmldsig-more#sha384", "http://www.w3.org/2001/04/xmlenc#sha512"}
)

// answer is what a request must be answered with.
type answer struct {
	request WebRequest
	domain  string
	now     time.Time
}

// check checks the answer that a browser brings, and returns the user's name, user@domain.
//
// A document that a browser brings is hostile until its signature is checked, and what is around the signed element stays
// so. It has one assertion, at one place, with one signature, whose reference is the assertion's ID, which nothing else has.
// The name, the times, the audience, the recipient and the request are read of the element that the signature gives back,
// and of nothing else.
func (a answer) check(form string, trusted []*x509.Certificate) (string, error) {
	root, err := parseAnswer(form)
	if err != nil {
		return "", err
	}
	if err := a.envelope(root); err != nil {
		return "", err
	}
	assertion, err := only(root)
	if err != nil {
		return "", err
	}
	v := dsig.NewDefaultValidationContext(&dsig.MemoryX509CertificateStore{Roots: trusted})
	signed, err := v.Validate(assertion)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errUntrusted, err)
	}
	if signed.Tag != "Assertion" || signed.NamespaceURI() != nsSAML {
		return "", fmt.Errorf("%w: what is signed is a %q", errAssertion, printable(signed.Tag))
	}
	// From here on only what was signed counts.
	if err := within(signed, a.now); err != nil {
		return "", err
	}
	if err := a.meant(signed); err != nil {
		return "", err
	}
	return named(signed)
}

// parseAnswer reads a form's field: base64 of one element, without what a document type could do.
func parseAnswer(form string) (*etree.Element, error) {
	if len(form) > maxForm {
		return nil, fmt.Errorf("it has %d bytes: %w", len(form), errAssertion)
	}
	text, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(form), ""))
	if err != nil {
		return nil, fmt.Errorf("%w: it is no base64", errAssertion)
	}
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(text); err != nil || doc.Root() == nil {
		return nil, fmt.Errorf("%w: it is no XML", errAssertion)
	}
	elements := 0
	for _, t := range doc.Child {
		switch t := t.(type) {
		case *etree.Directive:
			return nil, fmt.Errorf("%w: it has a document type", errAssertion)
		case *etree.CharData:
			if strings.TrimSpace(t.Data) != "" {
				return nil, fmt.Errorf("%w: there is text around it", errAssertion)
			}
		case *etree.Element:
			if elements++; elements > 1 {
				return nil, fmt.Errorf("%w: it has %d roots", errAssertion, elements)
			}
			if err := plainTokens(t); err != nil {
				return nil, err
			}
		}
	}
	return doc.Root(), nil
}

// plainTokens refuses what no answer has within elements.
func plainTokens(e *etree.Element) error {
	for _, t := range e.Child {
		switch t := t.(type) {
		case *etree.Directive, *etree.ProcInst:
			return fmt.Errorf("%w: it has a directive", errAssertion)
		case *etree.Element:
			if err := plainTokens(t); err != nil {
				return err
			}
		}
	}
	return nil
}

// envelope looks at what is around the assertion. Nothing of it is signed, and nothing follows from it but a refusal.
func (a answer) envelope(root *etree.Element) error {
	if root.Tag != "Response" || root.NamespaceURI() != nsProtocol {
		return fmt.Errorf("%w: it is a %q", errAssertion, printable(root.Tag))
	}
	status := one(root, "./Status/StatusCode")
	switch {
	case status == nil:
		return fmt.Errorf("%w: it has no status", errAssertion)
	case status.SelectAttrValue("Value", "") != succeeded:
		text := status.SelectAttrValue("Value", "")
		if m := one(root, "./Status/StatusMessage"); m != nil {
			text += ": " + m.Text()
		}
		return fmt.Errorf("%w: %s", errRefused, printable(text))
	case root.SelectAttrValue("InResponseTo", "") != a.request.ID:
		return fmt.Errorf("%w: it answers another request", errAssertion)
	case root.SelectAttrValue("Destination", a.request.Callback) != a.request.Callback:
		return fmt.Errorf("%w: it is for another address", errAssertion)
	}
	return nil
}

// only finds the one assertion, in one place, with one signature over it and nothing else, as an element of its own.
func only(root *etree.Element) (*etree.Element, error) {
	assertions, found := root.FindElements(".//Assertion"), root.FindElements(".//Signature")
	if len(assertions) != 1 || assertions[0].Parent() != root || assertions[0].NamespaceURI() != nsSAML {
		return nil, fmt.Errorf("%w: it has not one assertion in its place", errAssertion)
	}
	assertion := assertions[0]
	if len(found) == 0 {
		return nil, fmt.Errorf("%w: nothing is signed", errUntrusted)
	}
	if len(found) != 1 || found[0].Parent() != assertion || found[0].NamespaceURI() != nsSignature {
		return nil, fmt.Errorf("%w: it has not one signature in its place", errAssertion)
	}
	id := assertion.SelectAttrValue("ID", "")
	if id == "" || countID(root, id) != 1 {
		return nil, fmt.Errorf("%w: the assertion's ID is not its own", errAssertion)
	}
	if err := algorithms(found[0], id); err != nil {
		return nil, err
	}
	ctx, err := etreeutils.NSBuildParentContext(assertion)
	if err == nil {
		ctx, err = ctx.SubContext(assertion)
	}
	if err == nil {
		assertion, err = etreeutils.NSDetatch(ctx, assertion)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errAssertion, err)
	}
	return assertion, nil
}

// countID counts the elements with an ID.
func countID(e *etree.Element, id string) int {
	n := 0
	for _, a := range e.Attr {
		if strings.EqualFold(a.Key, "ID") && a.Value == id {
			n++
		}
	}
	for _, c := range e.ChildElements() {
		n += countID(c, id)
	}
	return n
}

// algorithms demands that a signature has one reference, by the ID, and no weak algorithm.
func algorithms(signature *etree.Element, id string) error {
	method, ref := one(signature, "./SignedInfo/SignatureMethod"), one(signature, "./SignedInfo/Reference")
	if method == nil || ref == nil || ref.SelectAttrValue("URI", "") != "#"+id {
		return fmt.Errorf("%w: the signature is over something else", errAssertion)
	}
	digest := one(ref, "./DigestMethod")
	if digest == nil || !slices.Contains(signatures, method.SelectAttrValue("Algorithm", "")) ||
		!slices.Contains(digests, digest.SelectAttrValue("Algorithm", "")) {
		return fmt.Errorf("%w: the signature's algorithm is not taken", errAssertion)
	}
	return nil
}

// meant checks that an assertion was made for this hub, this address and this request.
func (a answer) meant(signed *etree.Element) error {
	issuer := one(signed, "./Issuer")
	if issuer == nil || !strings.HasSuffix(strings.ToLower(strings.TrimSpace(issuer.Text())), "/websso/saml2/metadata/"+strings.ToLower(a.domain)) {
		return fmt.Errorf("%w: it is another issuer's", errAssertion)
	}
	restrictions := signed.FindElements("./Conditions/AudienceRestriction")
	if len(restrictions) == 0 {
		return fmt.Errorf("%w: it has no audience", errAssertion)
	}
	for _, r := range restrictions {
		is := func(e *etree.Element) bool { return strings.TrimSpace(e.Text()) == a.request.Hub }
		if !slices.ContainsFunc(r.FindElements("./Audience"), is) {
			return fmt.Errorf("%w: it is for another audience", errAssertion)
		}
	}
	data := one(signed, "./Subject/SubjectConfirmation/SubjectConfirmationData")
	if data == nil {
		return fmt.Errorf("%w: it does not say whose it is", errAssertion)
	}
	end, err := time.Parse(time.RFC3339, data.SelectAttrValue("NotOnOrAfter", ""))
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", errAssertion, err)
	case !a.now.Add(-skew).Before(end):
		return fmt.Errorf("%w: it could be brought until %s, and here it is %s", errClock, end.Format(time.RFC3339), a.now.UTC().Format(time.RFC3339))
	case data.SelectAttrValue("Recipient", "") != a.request.Callback:
		return fmt.Errorf("%w: it is for another recipient", errAssertion)
	case data.SelectAttrValue("InResponseTo", "") != a.request.ID:
		return fmt.Errorf("%w: it answers another request", errAssertion)
	case one(signed, "./AuthnStatement") == nil:
		return fmt.Errorf("%w: it does not say that somebody signed in", errAssertion)
	}
	return nil
}
