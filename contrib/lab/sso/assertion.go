package sso

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/beevik/etree"
	"github.com/google/uuid"
	dsig "github.com/russellhaering/goxmldsig"
)

const (
	nsSAML     = "urn:oasis:names:tc:SAML:2.0:assertion"
	nsXSI      = "http://www.w3.org/2001/XMLSchema-instance"
	nsDSig     = "http://www.w3.org/2000/09/xmldsig#"
	timeFormat = "2006-01-02T15:04:05.000Z"

	// The longest lives of tokens, as vCenter is set by default.
	maxBearerLife = 5 * time.Minute
	maxHolderLife = 30 * 24 * time.Hour
)

// subject is whom a token is about.
type subject struct {
	Name      string // user@domain
	First     string
	Last      string
	Groups    []string // nested ones too
	Solution  bool
	Holder    *x509.Certificate // nil for a bearer token
	Renewable bool
	// Request and Recipient are of the sign-in of a browser: which request is answered, and to whom; else empty.
	Request, Recipient string
}

func (d *Directory) person(u User) subject {
	return subject{Name: u.Name, First: u.FirstName, Last: u.LastName, Groups: d.Nested(u.Name)}
}

func (d *Directory) solution(s Solution, holder *x509.Certificate) subject {
	return subject{Name: s.Name + "@" + Domain, First: s.Name, Solution: true, Holder: holder}
}

// child adds an element with attributes, which come as name, value.
func child(parent *etree.Element, tag string, attributes ...string) *etree.Element {
	e := parent.CreateElement(tag)
	for i := 0; i+1 < len(attributes); i += 2 {
		e.CreateAttr(attributes[i], attributes[i+1])
	}
	return e
}

// assertion makes a signed SAML 2.0 assertion in the form that vCenter gives it, good from now to end.
func (s *Server) assertion(issuer string, who subject, now, end time.Time, participants []string) (string, error) {
	keys := s.keys()
	a := etree.NewElement("saml2:Assertion")
	for _, at := range [][2]string{{"xmlns:saml2", nsSAML}, {"ID", "_" + uuid.NewString()}, {"IssueInstant", now.Format(timeFormat)}, {"Version", "2.0"}} {
		a.CreateAttr(at[0], at[1])
	}
	child(a, "saml2:Issuer", "Format", "urn:oasis:names:tc:SAML:2.0:nameid-format:entity").SetText(issuer)
	sub := child(a, "saml2:Subject")
	child(sub, "saml2:NameID", "Format", "http://schemas.xmlsoap.org/claims/UPN").SetText(who.Name)
	confirm(sub, who, end)
	cond := child(a, "saml2:Conditions", "NotBefore", now.Format(timeFormat), "NotOnOrAfter", end.Format(timeFormat))
	child(cond, "saml2:ProxyRestriction", "Count", "10")
	if who.Renewable {
		child(cond, "saml2:Condition", "xmlns:xsi", nsXSI, "xmlns:rsa", "http://www.rsa.com/names/2009/12/std-ext/SAML2.0",
			"Count", "10", "xsi:type", "rsa:RenewRestrictionType")
	}
	if len(participants) > 0 {
		ar := child(cond, "saml2:AudienceRestriction")
		for _, p := range participants {
			child(ar, "saml2:Audience").SetText(p)
		}
	}
	context := child(child(a, "saml2:AuthnStatement", "AuthnInstant", now.Format(timeFormat)), "saml2:AuthnContext")
	child(context, "saml2:AuthnContextClassRef").SetText("urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport")
	attributes(a, who)
	ctx := dsig.NewDefaultSigningContext(dsig.TLSCertKeyStore(keys.key))
	ctx.Canonicalizer = dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("xs xsi")
	signed, err := ctx.SignEnveloped(a)
	if err != nil {
		return "", err
	}
	// The schema wants the signature after the issuer.
	signature := signed.RemoveChildAt(len(signed.Child) - 1)
	signed.InsertChildAt(1, signature)
	doc := etree.NewDocument()
	doc.SetRoot(signed)
	return doc.WriteToString()
}

// confirm says who may use the token: whoever has it, or who has the key of the certificate.
func confirm(sub *etree.Element, who subject, end time.Time) {
	if who.Holder == nil {
		conf := child(sub, "saml2:SubjectConfirmation", "Method", "urn:oasis:names:tc:SAML:2.0:cm:bearer")
		data := child(conf, "saml2:SubjectConfirmationData", "NotOnOrAfter", end.Format(timeFormat))
		if who.Request != "" {
			data.CreateAttr("InResponseTo", who.Request)
			data.CreateAttr("Recipient", who.Recipient)
		}
		return
	}
	conf := child(sub, "saml2:SubjectConfirmation", "Method", "urn:oasis:names:tc:SAML:2.0:cm:holder-of-key")
	data := child(conf, "saml2:SubjectConfirmationData", "xmlns:xsi", nsXSI, "xsi:type", "saml2:KeyInfoConfirmationDataType")
	x509Data := child(child(data, "ds:KeyInfo", "xmlns:ds", nsDSig), "ds:X509Data")
	child(x509Data, "ds:X509Certificate").SetText(base64.StdEncoding.EncodeToString(who.Holder.Raw))
}

func attributes(a *etree.Element, who subject) {
	statement := child(a, "saml2:AttributeStatement")
	add := func(friendly, name string, values ...string) {
		e := child(statement, "saml2:Attribute", "FriendlyName", friendly, "Name", name, "NameFormat", "urn:oasis:names:tc:SAML:2.0:attrname-format:uri")
		for _, v := range values {
			child(e, "saml2:AttributeValue", "xmlns:xsi", nsXSI, "xsi:type", "xs:string").SetText(v)
		}
	}
	var groups []string
	for _, g := range who.Groups {
		groups = append(groups, Domain+`\`+g)
	}
	add("Groups", "http://rsa.com/schemas/attr-names/2009/01/GroupIdentity", append(groups, Domain+`\Everyone`)...)
	add("givenName", "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/givenname", who.First)
	add("surname", "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/surname", who.Last)
	add("Subject Type", "http://vmware.com/schemas/attr-names/2011/07/isSolution", strconv.FormatBool(who.Solution))
}

// token is an assertion of ours that was checked.
type token struct {
	name      string
	holder    *x509.Certificate
	renewable bool
}

var errToken = errors.New("the token is none of this service's, or it has expired")

// checkToken checks what the service itself issued.
func (s *Server) checkToken(assertion *etree.Element) (token, error) {
	v := dsig.NewDefaultValidationContext(&dsig.MemoryX509CertificateStore{Roots: s.keys().trusted})
	e, err := v.Validate(detached(assertion))
	if err != nil {
		return token{}, fmt.Errorf("%w: %w", errToken, err)
	}
	text := func(path string) string {
		if f := e.FindElement(path); f != nil {
			return strings.TrimSpace(f.Text())
		}
		return ""
	}
	cond := e.FindElement("Conditions")
	if cond == nil {
		return token{}, errToken
	}
	end, err := time.Parse(time.RFC3339, cond.SelectAttrValue("NotOnOrAfter", ""))
	if err != nil || !s.now().Before(end) {
		return token{}, errToken
	}
	t := token{name: text("Subject/NameID"), renewable: e.FindElement("Conditions/Condition[@Count]") != nil}
	if c := text("Subject/SubjectConfirmation/SubjectConfirmationData/KeyInfo/X509Data/X509Certificate"); c != "" {
		if t.holder, err = parseCertificate(c); err != nil {
			return token{}, err
		}
	}
	return t, nil
}

func parseCertificate(text string) (*x509.Certificate, error) {
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
