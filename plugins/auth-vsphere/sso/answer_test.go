package sso

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"
)

const (
	requestID = "_r1"
	hubURL    = "https://hub.example.com/c/oidc/callback"
)

// brought is an assertion for a browser, before it is signed.
const brought = `<saml2:Assertion xmlns:saml2="urn:oasis:names:tc:SAML:2.0:assertion" ID="_a" IssueInstant="2026-05-01T12:00:00.000Z" Version="2.0">` +
	`<saml2:Issuer>https://vc/websso/SAML2/Metadata/vsphere.local</saml2:Issuer><saml2:Subject>` +
	`<saml2:NameID Format="http://schemas.xmlsoap.org/claims/UPN">Dev@VSPHERE.LOCAL</saml2:NameID>` +
	`<saml2:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"><saml2:SubjectConfirmationData InResponseTo="_r1" ` +
	`NotOnOrAfter="2026-05-01T12:05:00.000Z" Recipient="https://hub.example.com/c/oidc/callback"/></saml2:SubjectConfirmation></saml2:Subject>` +
	`<saml2:Conditions NotBefore="2026-05-01T12:00:00.000Z" NotOnOrAfter="2026-05-01T12:05:00.000Z"><saml2:ProxyRestriction Count="10"/>` +
	`<saml2:AudienceRestriction><saml2:Audience>https://hub.example.com/c/oidc/callback</saml2:Audience></saml2:AudienceRestriction></saml2:Conditions>` +
	`<saml2:AuthnStatement AuthnInstant="2026-05-01T12:00:00.000Z"/></saml2:Assertion>`

// respond puts an assertion into a response.
func respond(assertion string) string {
	return `<saml2p:Response xmlns:saml2p="urn:oasis:names:tc:SAML:2.0:protocol" ID="_x" Version="2.0" Destination="` + hubURL + `" InResponseTo="_r1">` +
		`<saml2:Issuer xmlns:saml2="urn:oasis:names:tc:SAML:2.0:assertion">https://vc/websso/SAML2/Metadata/vsphere.local</saml2:Issuer>` +
		`<saml2p:Status><saml2p:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/></saml2p:Status>` + assertion + `</saml2p:Response>`
}

func encoded(response string) string { return base64.StdEncoding.EncodeToString([]byte(response)) }

// answeredAt checks a response as the hub that sent the request.
func answeredAt(form string, at time.Time) (string, error) {
	a := answer{request: WebRequest{ID: requestID, Hub: hubURL, Callback: hubURL}, domain: "vsphere.local", now: at}
	return a.check(form, trusted())
}

func TestAnswersThatAreGood(t *testing.T) {
	good := respond(sign(t, brought, testKeys()[0]))
	for _, at := range []time.Duration{0, -50 * time.Second, 5*time.Minute + 50*time.Second} {
		if name, err := answeredAt(encoded(good), now.Add(at)); err != nil || name != "Dev@VSPHERE.LOCAL" {
			t.Errorf("%v after: %q, %v", at, name, err)
		}
	}
	wrapped := encoded(good)
	wrapped = wrapped[:64] + "\r\n" + wrapped[64:] // lines, as encoders of old make them
	if name, err := answeredAt(wrapped, now); err != nil || name != "Dev@VSPHERE.LOCAL" {
		t.Errorf("in lines: %q, %v", name, err)
	}
}

func TestAnswersThatAreRefused(t *testing.T) {
	signed := sign(t, brought, testKeys()[0])
	good := respond(signed)
	resigned := func(old, to string) string {
		t.Helper()
		if !strings.Contains(brought, old) {
			t.Fatalf("the assertion lacks %q", old)
		}
		return respond(sign(t, strings.ReplaceAll(brought, old, to), testKeys()[0]))
	}
	changed := func(old, to string) string {
		t.Helper()
		if !strings.Contains(good, old) {
			t.Fatalf("the response lacks %q", old)
		}
		return strings.Replace(good, old, to, 1)
	}
	evil := strings.NewReplacer("Dev@", "administrator@").Replace(brought)
	other := strings.NewReplacer("Dev@", "administrator@", `ID="_a"`, `ID="_b"`).Replace(brought)
	signature := signed[strings.Index(signed, "<ds:Signature") : strings.Index(signed, "</ds:Signature>")+len("</ds:Signature>")]
	bare := strings.Replace(signed, signature, "", 1)
	inObject := strings.Replace(signature, "</ds:Signature>", "<ds:Object>"+bare+"</ds:Object></ds:Signature>", 1)
	afterIssuer := func(assertion, what string) string {
		return strings.Replace(assertion, "</saml2:Issuer>", "</saml2:Issuer>"+what, 1)
	}
	for name, c := range map[string]struct {
		response string
		want     error
	}{
		// What is signed, and by whom.
		"not signed":                  {respond(brought), errUntrusted},
		"another's key":               {respond(sign(t, brought, testKeys()[1])), errUntrusted},
		"another name":                {changed("Dev@", "administrator@"), errUntrusted},
		"another audience, unsigned":  {changed(">"+hubURL+"</saml2:Audience", ">x</saml2:Audience"), errUntrusted},
		"a signature without a value": {changed("<ds:SignatureValue>", "<ds:SignatureValue>AA"), errUntrusted},
		"SHA-1":                       {changed("xmldsig-more#rsa-sha256", "xmldsig#rsa-sha1"), errAssertion},
		"a digest by SHA-1":           {changed("2001/04/xmlenc#sha256", "2000/09/xmldsig#sha1"), errAssertion},
		"a reference to all":          {changed(`URI="#_a"`, `URI=""`), errAssertion},
		"no reference":                {changed("ds:Reference ", "ds:Other "), errAssertion},
		// Signature wrapping: the signed element is somewhere, and another one where it is read.
		"two assertions":               {respond(other + signed), errAssertion},
		"two, the signed one first":    {respond(signed + other), errAssertion},
		"within an assertion":          {respond(afterIssuer(other, signed)), errAssertion},
		"within another's signature":   {respond(afterIssuer(other, inObject)), errAssertion},
		"of the same ID":               {respond(afterIssuer(evil, inObject)), errAssertion},
		"in an extension":              {strings.Replace(respond(other), "<saml2p:Status>", "<saml2p:Extensions>"+signed+"</saml2p:Extensions><saml2p:Status>", 1), errAssertion},
		"in a status":                  {strings.Replace(respond(other), "</saml2p:Status>", "<saml2p:StatusDetail>"+signed+"</saml2p:StatusDetail></saml2p:Status>", 1), errAssertion},
		"a signature beside it":        {respond(bare + signature), errAssertion},
		"two signatures":               {respond(afterIssuer(signed, signature)), errAssertion},
		"the ID of another element":    {changed(`ID="_x"`, `ID="_a"`), errAssertion},
		"an assertion of no namespace": {respond(strings.Replace(other, "<saml2:Assertion ", `<Assertion ID="_c"/><saml2:Assertion `, 1)), errAssertion},
		// What a parser could do.
		"a document type":       {`<!DOCTYPE a [<!ENTITY x "y">]>` + good, errAssertion},
		"an entity":             {changed("Dev@", "&x;@"), errAssertion},
		"an instruction":        {changed("<saml2:Subject>", "<?x y?><saml2:Subject>"), errAssertion},
		"two roots":             {good + good, errAssertion},
		"text before":           {"x" + good, errAssertion},
		"cut off":               {good[:len(good)/2], errAssertion},
		"nothing":               {"", errAssertion},
		"an assertion alone":    {signed, errAssertion},
		"another thing":         {"<a/>", errAssertion},
		"a response of nothing": {respond(""), errAssertion},
		"an encrypted one":      {respond("<saml2:EncryptedAssertion xmlns:saml2=\"urn:oasis:names:tc:SAML:2.0:assertion\"/>"), errAssertion},
		"too long":              {strings.Repeat(" ", maxForm) + good, errAssertion},
		// Whom it is for.
		"a refusal":                  {changed("status:Success", "status:Responder"), errRefused},
		"no status":                  {changed("<saml2p:StatusCode ", "<saml2p:Other "), errAssertion},
		"for another address":        {changed(`Destination="`+hubURL, `Destination="https://other.example.com/`), errAssertion},
		"of another request outside": {changed(`InResponseTo="_r1"><saml2:Issuer`, `InResponseTo="_r2"><saml2:Issuer`), errAssertion},
		"of no request":              {changed(` InResponseTo="_r1"><saml2:Issuer`, `><saml2:Issuer`), errAssertion},
		"of another request":         {resigned(`InResponseTo="_r1"`, `InResponseTo="_r2"`), errAssertion},
		"that nobody asked for":      {resigned(`InResponseTo="_r1" `, ``), errAssertion},
		"for another recipient":      {resigned(`Recipient="`+hubURL, `Recipient="https://other.example.com/`), errAssertion},
		"for another audience":       {resigned(`>`+hubURL+`</saml2:Audience`, `>https://other.example.com</saml2:Audience`), errAssertion},
		"for no audience":            {resigned("AudienceRestriction", "OneTimeUse"), errAssertion},
		"for two audiences at once": {resigned("</saml2:Conditions>",
			"<saml2:AudienceRestriction><saml2:Audience>x</saml2:Audience></saml2:AudienceRestriction></saml2:Conditions>"), errAssertion},
		"another issuer's":    {resigned("/websso/SAML2/Metadata/vsphere.local", "/websso/SAML2/Metadata/other.local"), errAssertion},
		"a holder's":          {resigned("cm:bearer", "cm:holder-of-key"), errAssertion},
		"a sender's":          {resigned("cm:bearer", "cm:sender-vouches"), errAssertion},
		"nobody's sign-in":    {resigned("AuthnStatement", "AuthzDecisionStatement"), errAssertion},
		"without a domain":    {resigned("Dev@VSPHERE.LOCAL", "Dev"), errAssertion},
		"expired":             {resigned("2026-05-01T12:05:00.000Z", "2026-05-01T11:58:00.000Z"), errClock},
		"to be brought until": {resigned(`NotOnOrAfter="2026-05-01T12:05:00.000Z" Recipient`, `NotOnOrAfter="2026-05-01T11:58:00.000Z" Recipient`), errClock},
		"of a time to come":   {resigned(`NotBefore="2026-05-01T12:00`, `NotBefore="2026-05-01T12:02`), errClock},
		"for ever":            {resigned(`NotOnOrAfter="2026-05-01T12:05:00.000Z" Recipient`, `Recipient`), errAssertion},
	} {
		if who, err := answeredAt(encoded(c.response), now); !errors.Is(err, c.want) || who != "" {
			t.Errorf("%s: %q, %v, want %v", name, who, err, c.want)
		}
	}
	if who, err := answeredAt("%%%", now); !errors.Is(err, errAssertion) || who != "" {
		t.Errorf("no base64: %q, %v", who, err)
	}
	// A comment does not cut a name: the whole one counts.
	if who, err := answeredAt(encoded(resigned("Dev@", "administrator<!-- -->@")), now); err != nil || who != "administrator@VSPHERE.LOCAL" {
		t.Errorf("a comment in the name: %q, %v", who, err)
	}
}

// Whatever a browser brings, only what the service signed names somebody.
func FuzzAnswers(f *testing.F) {
	signed := sign(f, brought, testKeys()[0])
	evil := strings.NewReplacer("Dev@", "administrator@", `ID="_a"`, `ID="_b"`).Replace(brought)
	f.Add(respond(signed))
	f.Add(respond(brought))
	f.Add(respond(evil + signed))
	f.Add(respond(strings.Replace(evil, "</saml2:Issuer>", "</saml2:Issuer>"+signed, 1)))
	f.Add(`<!DOCTYPE a []>` + respond(signed))
	f.Fuzz(func(t *testing.T, response string) {
		if name, err := answeredAt(encoded(response), now); err == nil && name != "Dev@VSPHERE.LOCAL" {
			t.Errorf("%q is from %q", name, response)
		}
	})
}
