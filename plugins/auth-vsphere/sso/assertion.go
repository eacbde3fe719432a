package sso

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
)

const (
	nsSAML     = "urn:oasis:names:tc:SAML:2.0:assertion"
	bearer     = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
	isSolution = "http://vmware.com/schemas/attr-names/2011/07/isSolution"
	// maxAssertion is in bytes; one of a user in thousands of groups has a few hundred thousand.
	maxAssertion = 2 << 20
	// skew is how far the service's clock may be from the hub's.
	skew = time.Minute
)

// The ways in which an assertion is refused.
var (
	errUntrusted = errors.New("it is not signed by vCenter Single Sign-On")
	errClock     = errors.New("it is not valid at this time; compare the clocks of the hub and of vCenter")
	errAssertion = errors.New("it is no assertion for the hub")
)

// check checks an assertion that the service issued to the hub for a user, and returns the user's name, user@domain:
// signed by one of the certificates, valid now, a bearer's, for no audience (the hub asks for none, so one with an audience
// was made for somebody else), about a person.
func check(assertion string, trusted []*x509.Certificate, now time.Time) (string, error) {
	if len(assertion) > maxAssertion {
		return "", fmt.Errorf("it has %d bytes: %w", len(assertion), errAssertion)
	}
	doc := etree.NewDocument()
	if err := doc.ReadFromString(assertion); err != nil || doc.Root() == nil {
		return "", fmt.Errorf("%w: it is no XML", errAssertion)
	}
	if root := doc.Root(); root.Tag != "Assertion" || root.NamespaceURI() != nsSAML {
		return "", fmt.Errorf("%w: it is a %q", errAssertion, printable(root.Tag))
	}
	v := dsig.NewDefaultValidationContext(&dsig.MemoryX509CertificateStore{Roots: trusted})
	signed, err := v.Validate(doc.Root())
	if err != nil {
		return "", fmt.Errorf("%w: %w", errUntrusted, err)
	}
	// From here on only what was signed counts.
	if err := valid(signed, now); err != nil {
		return "", err
	}
	return named(signed)
}

// one returns the only element at a path, or nil.
func one(e *etree.Element, path string) *etree.Element {
	if all := e.FindElements(path); len(all) == 1 {
		return all[0]
	}
	return nil
}

// valid checks the conditions of an assertion that was made for whoever asked.
func valid(signed *etree.Element, now time.Time) error {
	if err := within(signed, now); err != nil {
		return err
	}
	if len(signed.FindElements("./Conditions/AudienceRestriction")) > 0 {
		return fmt.Errorf("%w: it was made for an audience", errAssertion)
	}
	return nil
}

// within checks that an assertion counts now, for who brings it.
func within(signed *etree.Element, now time.Time) error {
	cond := one(signed, "./Conditions")
	confirmation := one(signed, "./Subject/SubjectConfirmation")
	if cond == nil || confirmation == nil {
		return fmt.Errorf("%w: it lacks conditions or a confirmation", errAssertion)
	}
	from, err1 := time.Parse(time.RFC3339, cond.SelectAttrValue("NotBefore", ""))
	to, err2 := time.Parse(time.RFC3339, cond.SelectAttrValue("NotOnOrAfter", ""))
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("%w: %w", errAssertion, err)
	}
	if now.Add(skew).Before(from) || !now.Add(-skew).Before(to) {
		return fmt.Errorf("%w: it is good from %s to %s, and here it is %s", errClock, from.Format(time.RFC3339), to.Format(time.RFC3339),
			now.UTC().Format(time.RFC3339))
	}
	if confirmation.SelectAttrValue("Method", "") != bearer {
		return fmt.Errorf("%w: it is not a bearer's", errAssertion)
	}
	return nil
}

// named returns the name of the person that an assertion is about.
func named(signed *etree.Element) (string, error) {
	id := one(signed, "./Subject/NameID")
	if id == nil || id.SelectAttrValue("Format", "") != "http://schemas.xmlsoap.org/claims/UPN" {
		return "", fmt.Errorf("%w: it names nobody", errAssertion)
	}
	for _, a := range signed.FindElements("./AttributeStatement/Attribute") {
		if a.SelectAttrValue("Name", "") != isSolution {
			continue
		}
		for _, v := range a.FindElements("./AttributeValue") {
			if strings.TrimSpace(v.Text()) != "false" {
				return "", fmt.Errorf("%w: it is about a solution user", errAssertion)
			}
		}
	}
	user, domain, ok := strings.Cut(strings.TrimSpace(id.Text()), "@")
	if !ok || user == "" || domain == "" || len(id.ChildElements()) > 0 {
		return "", fmt.Errorf("%w: it names %q", errAssertion, printable(id.Text()))
	}
	return user + "@" + domain, nil
}
