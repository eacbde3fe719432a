package sso

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
)

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// testKeys are the service's and another's, made once.
var testKeys = sync.OnceValue(func() (k [2]*tls.Certificate) {
	for i := range k {
		text, err := NewCertificate("ssoserverSign")
		if err == nil {
			k[i], err = ParseCertificate(text)
		}
		if err != nil {
			panic(err)
		}
	}
	return k
})

func trusted() []*x509.Certificate { return []*x509.Certificate{testKeys()[0].Leaf} }

const plain = `<saml2:Assertion xmlns:saml2="urn:oasis:names:tc:SAML:2.0:assertion" ID="_a" IssueInstant="2026-05-01T12:00:00.000Z" Version="2.0">` +
	`<saml2:Issuer>https://vc/websso/SAML2/Metadata/vsphere.local</saml2:Issuer><saml2:Subject>` +
	`<saml2:NameID Format="http://schemas.xmlsoap.org/claims/UPN">Dev@VSPHERE.LOCAL</saml2:NameID>` +
	`<saml2:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"/></saml2:Subject>` +
	`<saml2:Conditions NotBefore="2026-05-01T12:00:00.000Z" NotOnOrAfter="2026-05-01T12:05:00.000Z"/>` +
	`<saml2:AttributeStatement><saml2:Attribute Name="http://vmware.com/schemas/attr-names/2011/07/isSolution">` +
	`<saml2:AttributeValue>false</saml2:AttributeValue></saml2:Attribute></saml2:AttributeStatement></saml2:Assertion>`

const nameID = `<saml2:Subject><saml2:NameID Format="http://schemas.xmlsoap.org/claims/UPN">NAME</saml2:NameID></saml2:Subject>`

// sign signs an assertion with a key, as the service does.
func sign(t testing.TB, text string, key *tls.Certificate) string {
	t.Helper()
	doc := etree.NewDocument()
	if err := doc.ReadFromString(text); err != nil {
		t.Fatal(err)
	}
	ctx := dsig.NewDefaultSigningContext(dsig.TLSCertKeyStore(*key))
	ctx.Canonicalizer = dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("")
	e, err := ctx.SignEnveloped(doc.Root())
	if err != nil {
		t.Fatal(err)
	}
	signature := e.RemoveChildAt(len(e.Child) - 1)
	e.InsertChildAt(1, signature)
	out := etree.NewDocument()
	out.SetRoot(e)
	s, err := out.WriteToString()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func checked(assertion string, at time.Time) (string, error) { return check(assertion, trusted(), at) }

func TestAssertionsThatAreGood(t *testing.T) {
	for _, at := range []time.Duration{0, -50 * time.Second, 5*time.Minute + 50*time.Second} {
		if name, err := checked(sign(t, plain, testKeys()[0]), now.Add(at)); err != nil || name != "Dev@VSPHERE.LOCAL" {
			t.Errorf("%v after: %q, %v", at, name, err)
		}
	}
}

func TestAssertionsThatAreRefused(t *testing.T) {
	good := sign(t, plain, testKeys()[0])
	// A signed assertion inside another that is not: the outer one must not count.
	wrapped := strings.Replace(strings.Replace(plain, "Dev@", "administrator@", 1), "<saml2:Subject>", "<saml2:Advice>"+good+"</saml2:Advice><saml2:Subject>", 1)
	// The signature of one assertion over another of the same ID, with the signed one kept inside.
	body := strings.Index(good, "<saml2:Subject>")
	moved := good[:body] + strings.Replace(nameID, "NAME", "administrator@vsphere.local", 1) + good[body:]
	const audience = `<saml2:AudienceRestriction><saml2:Audience>x</saml2:Audience></saml2:AudienceRestriction>`
	resigned := func(old, to string) string {
		t.Helper()
		if !strings.Contains(plain, old) {
			t.Fatalf("the assertion lacks %q", old)
		}
		return sign(t, strings.Replace(plain, old, to, 1), testKeys()[0])
	}
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"not signed":               {plain, errUntrusted},
		"another's key":            {sign(t, plain, testKeys()[1]), errUntrusted},
		"another name":             {strings.Replace(good, "Dev@", "administrator@", 1), errUntrusted},
		"wrapped":                  {wrapped, errUntrusted},
		"a second subject":         {moved, errUntrusted},
		"cut off":                  {good[:len(good)/2], errAssertion},
		"nothing":                  {"", errAssertion},
		"no assertion":             {"<a/>", errAssertion},
		"another namespace":        {`<Assertion xmlns="x"/>`, errAssertion},
		"too long":                 {strings.Repeat(" ", maxAssertion) + good, errAssertion},
		"for an audience":          {resigned(`00.000Z"/><saml2:Attr`, `00.000Z">`+audience+`</saml2:Conditions><saml2:Attr`), errAssertion},
		"a holder's":               {resigned("cm:bearer", "cm:holder-of-key"), errAssertion},
		"a solution user's":        {resigned(">false<", ">true<"), errAssertion},
		"nobody's":                 {resigned("Dev@VSPHERE.LOCAL", ""), errAssertion},
		"without a domain":         {resigned("Dev@VSPHERE.LOCAL", "Dev"), errAssertion},
		"two names":                {resigned("</saml2:NameID>", `</saml2:NameID><saml2:NameID>a@b</saml2:NameID>`), errAssertion},
		"another form of name":     {resigned("claims/UPN", "claims/other"), errAssertion},
		"a comment in the name":    {resigned("Dev@", "administrator<!-- -->@"), nil}, // canonical form has no comments: the whole name counts
		"no conditions":            {resigned(`<saml2:Conditions NotBefore="2026-05-01T12:00:00.000Z" NotOnOrAfter="2026-05-01T12:05:00.000Z"/>`, ""), errAssertion},
		"an end that is no time":   {resigned("2026-05-01T12:05:00.000Z", "soon"), errAssertion},
		"of a time to come":        {resigned(`NotBefore="2026-05-01T12:00`, `NotBefore="2026-05-01T12:02`), errClock},
		"of a time that is past":   {resigned("12:05:00.000Z", "11:58:00.000Z"), errClock},
		"of a year that is absurd": {resigned("2026-05-01T12:05:00.000Z", "20260-05-01T12:05:00.000Z"), errAssertion},
	} {
		who, err := checked(c.text, now)
		if c.want == nil {
			if err != nil || who != "administrator@VSPHERE.LOCAL" {
				t.Errorf("%s: %q, %v", name, who, err)
			}
			continue
		}
		if !errors.Is(err, c.want) || who != "" {
			t.Errorf("%s: %q, %v, want %v", name, who, err, c.want)
		}
	}
}

// Whatever comes, only what the service signed names somebody.
func FuzzAssertions(f *testing.F) {
	good := sign(f, plain, testKeys()[0])
	f.Add(good)
	f.Add(plain)
	f.Add(sign(f, plain, testKeys()[1]))
	f.Add(`<Assertion xmlns="urn:oasis:names:tc:SAML:2.0:assertion"><Signature xmlns="http://www.w3.org/2000/09/xmldsig#"/></Assertion>`)
	f.Fuzz(func(t *testing.T, text string) {
		if name, err := checked(text, now); err == nil && name != "Dev@VSPHERE.LOCAL" {
			t.Errorf("%q is from %q", name, text)
		}
	})
}

func FuzzCertificates(f *testing.F) {
	f.Add("MIIB")
	f.Add("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := certificate(text); (c == nil) == (err == nil) {
			t.Errorf("%v, %v of %q", c, err, text)
		}
	})
}
