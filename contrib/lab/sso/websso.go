package sso

import (
	"bytes"
	"compress/flate"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/beevik/etree"
	"github.com/google/uuid"
)

const (
	nsProtocol  = "urn:oasis:names:tc:SAML:2.0:protocol"
	bindingPOST = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
	rsaSHA256   = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
	// maxAuthn bounds a request that was unpacked, in bytes.
	maxAuthn = 64 << 10
	webLife  = 5 * time.Minute
)

// Provider is a program that browsers come from to sign in by SAML: a service provider, as vCenter calls it.
type Provider struct {
	EntityID    string `json:"entity_id"`
	Callback    string `json:"callback"`    // where browsers bring the answer
	Certificate []byte `json:"certificate"` // DER, of the key that signs its requests
}

// ImportProvider registers a provider by its metadata, or replaces the one of the name.
func (d *Directory) ImportProvider(metadata string) error {
	doc := etree.NewDocument()
	if err := doc.ReadFromString(metadata); err != nil {
		return fmt.Errorf("metadata: %w", err)
	}
	root := doc.Root()
	if root == nil || root.Tag != "EntityDescriptor" {
		return errors.New("metadata: there is no EntityDescriptor")
	}
	p := Provider{EntityID: root.SelectAttrValue("entityID", "")}
	for _, acs := range root.FindElements("./SPSSODescriptor/AssertionConsumerService") {
		if acs.SelectAttrValue("Binding", "") == bindingPOST {
			p.Callback = acs.SelectAttrValue("Location", "")
		}
	}
	cert, err := parseCertificate(text(root, "SPSSODescriptor/KeyDescriptor/KeyInfo/X509Data/X509Certificate"))
	if err != nil {
		return fmt.Errorf("metadata: certificate: %w", err)
	}
	if p.Certificate = cert.Raw; p.EntityID == "" || p.Callback == "" {
		return errors.New("metadata: it names no entity, or no address for a form")
	}
	return d.change(func() error {
		d.providers[p.EntityID] = p
		return nil
	})
}

func (d *Directory) provider(id string) (Provider, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	p, ok := d.providers[id]
	return p, ok
}

func (s *Server) mountWebSSO(handle func(string, http.HandlerFunc)) {
	handle("GET /websso/SAML2/SSO/"+Domain, s.serveWebSSO)
	handle("POST /websso/SAML2/SSO/"+Domain, s.serveWebSSO)
}

// authn is a request for a sign-in that was checked.
type authn struct {
	id       string
	provider Provider
	state    string
}

// readAuthn checks the request in an address: its signature, whose it is, when it was made, and where the answer goes.
func (s *Server) readAuthn(r *http.Request) (a authn, err error) {
	raw := map[string]string{}
	for part := range strings.SplitSeq(r.URL.RawQuery, "&") {
		k, v, _ := strings.Cut(part, "=")
		raw[k] = v
	}
	value := func(name string) string {
		v, _ := url.QueryUnescape(raw[name])
		return v
	}
	packed, err := base64.StdEncoding.DecodeString(value("SAMLRequest"))
	if err != nil {
		return a, errors.New("SAMLRequest is no base64")
	}
	plain, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), maxAuthn+1))
	if err != nil || len(plain) > maxAuthn {
		return a, errors.New("SAMLRequest cannot be unpacked")
	}
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(plain); err != nil || doc.Root() == nil || doc.Root().Tag != "AuthnRequest" {
		return a, errors.New("SAMLRequest is no AuthnRequest")
	}
	root := doc.Root()
	var ok bool
	if a.provider, ok = s.cfg.Directory.provider(text(root, "Issuer")); !ok {
		return a, errors.New("the service provider is not registered")
	}
	signature, err := base64.StdEncoding.DecodeString(value("Signature"))
	if err != nil || value("SigAlg") != rsaSHA256 {
		return a, errors.New("the request is not signed by RSA with SHA-256")
	}
	signed := "SAMLRequest=" + raw["SAMLRequest"]
	if state, ok := raw["RelayState"]; ok {
		signed += "&RelayState=" + state
	}
	if err := verifyRSA(a.provider.Certificate, signed+"&SigAlg="+raw["SigAlg"], signature); err != nil {
		return a, fmt.Errorf("the request's signature is wrong: %w", err)
	}
	made, err := time.Parse(time.RFC3339, root.SelectAttrValue("IssueInstant", ""))
	a.id, a.state = root.SelectAttrValue("ID", ""), value("RelayState")
	switch {
	case err != nil || made.Add(clockTolerance).Before(s.now()) || made.Add(-clockTolerance).After(s.now()):
		return a, errors.New("the request was made at another time")
	case a.id == "" || root.SelectAttrValue("Version", "") != "2.0":
		return a, errors.New("the request has no ID, or is of another version")
	case root.FindElement("Signature") != nil:
		return a, errors.New("the signature belongs into the address")
	case root.SelectAttrValue("Destination", "") != base(r)+r.URL.Path:
		return a, errors.New("the request is for another address")
	case root.SelectAttrValue("AssertionConsumerServiceURL", a.provider.Callback) != a.provider.Callback:
		return a, errors.New("the answer would go to an address that is not registered")
	}
	return a, nil
}

func verifyRSA(der []byte, text string, signature []byte) error {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	key, ok := cert.PublicKey.(*rsa.PublicKey)
	if !ok {
		return errors.New("the certificate has no RSA key")
	}
	sum := sha256.Sum256([]byte(text))
	return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature)
}

var answerPage = template.Must(template.New("answer").Parse(`<!doctype html><html lang="en"><meta charset="utf-8"><title>vCenter Single Sign-On</title>
<form method="post" action="{{.To}}"><input type="hidden" name="SAMLResponse" value="{{.Response}}">` +
	`<input type="hidden" name="RelayState" value="{{.State}}"><button>Go on</button></form>
<script>document.forms[0].submit()</script></html>`))

// serveWebSSO shows the form, takes what was typed into it, and sends the browser back with an answer in a form.
func (s *Server) serveWebSSO(w http.ResponseWriter, r *http.Request) {
	a, err := s.readAuthn(r)
	if err != nil {
		s.cfg.Log.Info("a sign-in by SAML was refused", "err", err)
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if r.Method == http.MethodGet {
		_ = page.Execute(w, map[string]string{})
		return
	}
	u, obstacle, ok := s.cfg.Directory.Login(r.PostFormValue("username"), r.PostFormValue("password"))
	if !ok {
		w.WriteHeader(http.StatusUnauthorized)
		_ = page.Execute(w, map[string]string{"Error": obstacle, "User": r.PostFormValue("username")})
		return
	}
	who, now := s.cfg.Directory.person(u), s.now()
	who.Request, who.Recipient = a.id, a.provider.Callback
	issuer := base(r) + "/websso/SAML2/Metadata/" + Domain
	assertion, err := s.assertion(issuer, who, now, now.Add(webLife), []string{a.provider.EntityID})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	response := fmt.Sprintf(`<saml2p:Response xmlns:saml2p="%s" ID="_%s" Version="2.0" IssueInstant="%s" Destination="%s" InResponseTo="%s">`+
		`<saml2:Issuer xmlns:saml2="%s">%s</saml2:Issuer><saml2p:Status><saml2p:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/></saml2p:Status>`+
		`%s</saml2p:Response>`, nsProtocol, uuid.NewString(), now.Format(timeFormat), escaped(a.provider.Callback), escaped(a.id), nsSAML, escaped(issuer), assertion)
	_ = answerPage.Execute(w, map[string]string{"To": a.provider.Callback, "Response": base64.StdEncoding.EncodeToString([]byte(response)), "State": a.state})
}
