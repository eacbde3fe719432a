package sso

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/beevik/etree"

	"github.com/openvic/vic/sdk/errdef"
)

const (
	nsProtocol  = "urn:oasis:names:tc:SAML:2.0:protocol"
	nsMetadata  = "urn:oasis:names:tc:SAML:2.0:metadata"
	bindingPOST = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
	rsaSHA256   = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
	upnFormat   = "http://schemas.xmlsoap.org/claims/UPN"
	samlTime    = "2006-01-02T15:04:05.000Z"
)

// WebRequest is a sign-in of a browser at the service's own page, by SAML 2.0.
type WebRequest struct {
	// ID names the request; the service's answer names it again. It begins with a letter or "_".
	ID string
	// Hub is the name by which the service knows the hub: the entity ID of its metadata.
	Hub string
	// Callback is where the browser comes back to, with a form.
	Callback string
	// State comes back with it.
	State string
}

// HasOpenID says whether the service signs browsers in by OpenID Connect; errdef.ErrUnavailable.
func (c *Client) HasOpenID(ctx context.Context) (bool, error) {
	at := "https://" + c.o.Server + "/openidconnect/" + c.o.Domain + "/.well-known/openid-configuration"
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return false, err
	}
	res, err := c.base.Transport.RoundTrip(req) // follows no redirect
	if err != nil {
		return false, unavailable(ctx, "ask for OpenID Connect", err)
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK:
		return true, nil
	case http.StatusNotFound, http.StatusGone:
		return false, nil
	}
	return false, unavailable(ctx, "ask for OpenID Connect", fmt.Errorf("it answered %s", res.Status))
}

// WebSignIn is the address to which a browser goes to sign in. The request is signed with the solution user's key.
func (c *Client) WebSignIn(r WebRequest) (string, error) {
	if c.o.Certificate == nil {
		return "", fmt.Errorf("the hub has no solution user: register it: %w", errdef.ErrUnavailable)
	}
	to := "https://" + c.o.Server + "/websso/SAML2/SSO/" + c.o.Domain
	doc := etree.NewDocument()
	e := doc.CreateElement("saml2p:AuthnRequest")
	for _, a := range [][2]string{{"xmlns:saml2p", nsProtocol}, {"ID", r.ID}, {"Version", "2.0"}, {"IssueInstant", c.o.Now().UTC().Format(samlTime)},
		{"Destination", to}, {"AssertionConsumerServiceURL", r.Callback}, {"ProtocolBinding", bindingPOST}} {
		e.CreateAttr(a[0], a[1])
	}
	issuer := e.CreateElement("saml2:Issuer")
	issuer.CreateAttr("xmlns:saml2", nsSAML)
	issuer.SetText(r.Hub)
	policy := e.CreateElement("saml2p:NameIDPolicy")
	policy.CreateAttr("Format", upnFormat)
	text, err := doc.WriteToBytes()
	if err != nil {
		return "", err
	}
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.DefaultCompression)
	if err != nil {
		return "", err
	}
	_, err = w.Write(text)
	if err = errors.Join(err, w.Close()); err != nil {
		return "", err
	}
	// What is signed are these very bytes, in this order (SAML bindings, 3.4.4.1).
	query := "SAMLRequest=" + url.QueryEscape(base64.StdEncoding.EncodeToString(packed.Bytes())) + "&RelayState=" + url.QueryEscape(r.State) +
		"&SigAlg=" + url.QueryEscape(rsaSHA256)
	key, ok := c.o.Certificate.PrivateKey.(crypto.Signer)
	if !ok {
		return "", fmt.Errorf("the key of the solution user signs nothing: %w", errdef.ErrInvalid)
	}
	sum := sha256.Sum256([]byte(query))
	signature, err := key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return "", err
	}
	return to + "?" + query + "&Signature=" + url.QueryEscape(base64.StdEncoding.EncodeToString(signature)), nil
}

// Metadata is what an administrator of vCenter imports, so that the service signs browsers in for the hub.
func (c *Client) Metadata(hub, callback string) (string, error) {
	if c.o.Certificate == nil {
		return "", fmt.Errorf("the hub has no solution user: register it: %w", errdef.ErrUnavailable)
	}
	doc := etree.NewDocument()
	doc.CreateProcInst("xml", `version="1.0" encoding="UTF-8"`)
	e := doc.CreateElement("EntityDescriptor")
	e.CreateAttr("xmlns", nsMetadata)
	e.CreateAttr("entityID", hub)
	sp := e.CreateElement("SPSSODescriptor")
	for _, a := range [][2]string{{"AuthnRequestsSigned", "true"}, {"WantAssertionsSigned", "true"}, {"protocolSupportEnumeration", nsProtocol}} {
		sp.CreateAttr(a[0], a[1])
	}
	key := sp.CreateElement("KeyDescriptor")
	key.CreateAttr("use", "signing")
	info := key.CreateElement("ds:KeyInfo")
	info.CreateAttr("xmlns:ds", nsSignature)
	info.CreateElement("ds:X509Data").CreateElement("ds:X509Certificate").SetText(base64.StdEncoding.EncodeToString(c.o.Certificate.Certificate[0]))
	sp.CreateElement("NameIDFormat").SetText(upnFormat)
	acs := sp.CreateElement("AssertionConsumerService")
	for _, a := range [][2]string{{"Binding", bindingPOST}, {"Location", callback}, {"index", "0"}, {"isDefault", "true"}} {
		acs.CreateAttr(a[0], a[1])
	}
	doc.Indent(2)
	return doc.WriteToString()
}

// WebAnswer checks what the service gave a browser for a request, and returns the user's name, user@domain. errdef.ErrDenied:
// the service refused, or it is no answer to the request; errdef.ErrUnavailable: the service's certificates cannot be had.
func (c *Client) WebAnswer(ctx context.Context, r WebRequest, form string) (string, error) {
	trusted, err := c.trusted(ctx, false)
	if err != nil {
		return "", err
	}
	a := answer{request: r, domain: c.o.Domain, now: c.o.Now().Truncate(time.Millisecond)}
	user, err := a.check(form, trusted)
	if errors.Is(err, errUntrusted) { // its key may be new
		if trusted, err = c.trusted(ctx, true); err != nil {
			return "", err
		}
		user, err = a.check(form, trusted)
	}
	if err != nil {
		return "", fmt.Errorf("what vCenter Single Sign-On sent the browser back with is refused: %w: %w", err, errdef.ErrDenied)
	}
	return user, nil
}
