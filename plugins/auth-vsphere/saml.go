package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/openvic/vic/plugins/auth-vsphere/sso"
	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
	"github.com/openvic/vic/sdk/serve/strict"
)

// samlMark begins what Begin seals for Finish: only who began by SAML ends by it.
const samlMark = "saml:"

// webRequest is the request that a sign-in makes. Its ID follows from what the host and the plugin keep of that sign-in: an
// answer to it is good for no other.
func (d *driver) webRequest(callback, nonce string, sealed secret.Text) sso.WebRequest {
	sum := sha256.Sum256([]byte(nonce + "\x00" + string(sealed)))
	r := sso.WebRequest{ID: "_" + hex.EncodeToString(sum[:]), Hub: d.config.SAML.EntityID, Callback: callback}
	if r.Hub == "" {
		r.Hub = callback
	}
	return r
}

// beginSAML sends a browser to vCenter's own page.
func (d *driver) beginSAML(req auth.BeginRequest) (auth.Redirect, error) {
	sealed := secret.Text(samlMark + rand.Text())
	r := d.webRequest(req.Callback, req.Nonce, sealed)
	r.State = req.State
	to, err := d.sso.WebSignIn(r)
	return auth.Redirect{URL: to, Sealed: sealed, FormPost: true}, err
}

// finishSAML returns the user's name of the assertion.
func (d *driver) finishSAML(ctx context.Context, req auth.FinishRequest) (name string, err error) {
	form := req.Parameters["SAMLResponse"]
	if form == "" {
		return "", fmt.Errorf("the browser came back without an answer of vCenter's: %w", errdef.ErrDenied)
	}
	return d.sso.WebAnswer(ctx, d.webRequest(req.Callback, req.Nonce, req.Sealed), form)
}

// metadata prints what an administrator imports into vCenter: args are the plugin's configuration file, and the address to
// which browsers come back.
func metadata(w io.Writer, args []string) error {
	if len(args) != 2 || !strings.HasPrefix(args[1], "https://") {
		return fmt.Errorf("want: vic-auth-vsphere metadata FILE CALLBACK, with the plugin's configuration file and the hub's address " +
			"https://HOST/c/oidc/callback")
	}
	text, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	c := defaults()
	if err := strict.Decode(args[0], string(text), &c); err != nil {
		return err
	}
	d, err := open(c, nil)
	if err != nil {
		return err
	}
	defer d.sso.Close()
	r := d.webRequest(args[1], "", "")
	out, err := d.sso.Metadata(r.Hub, r.Callback)
	if err == nil {
		_, err = io.WriteString(w, out)
	}
	return err
}
