package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
)

// fakeCode is what the fake's provider remembers of a sign-in until it is redeemed.
type fakeCode struct{ id, callback, nonce, challenge string }

func fakeChallenge(verifier secret.Text) string {
	sum := sha256.Sum256([]byte(verifier))
	return hex.EncodeToString(sum[:])
}

// Begin seals a verifier whose hash is in the address, as PKCE does.
func (f *Fake) Begin(ctx context.Context, req BeginRequest) (Redirect, error) {
	err := f.enter(ctx, "Begin", CapRedirect)
	defer f.mu.Unlock()
	if err != nil {
		return Redirect{}, err
	}
	verifier := secret.Text(rand.Text())
	q := url.Values{"state": {req.State}, "nonce": {req.Nonce}, "callback": {req.Callback}, "challenge": {fakeChallenge(verifier)}}
	return Redirect{URL: "https://sso." + f.domain + "/authorize?" + q.Encode(), Sealed: verifier, FormPost: f.FormPost}, nil
}

// SignIn plays the browser at the address of a Redirect: the user types name and password, and the
// provider sends the browser to the callback with what SignIn returns.
func (f *Fake) SignIn(address, name string, password secret.Text) (map[string]string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("address %q: %w", address, errdef.ErrInvalid)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	q := u.Query()
	e := f.named(name)
	if e == nil || e.password != password || e.principal.Disabled {
		return map[string]string{"state": q.Get("state"), "error": "access_denied"}, nil
	}
	code := rand.Text()
	f.codes[code] = fakeCode{id: e.principal.ID, callback: q.Get("callback"), nonce: q.Get("nonce"), challenge: q.Get("challenge")}
	return map[string]string{"state": q.Get("state"), "code": code}, nil
}

// Finish redeems the code, once.
func (f *Fake) Finish(ctx context.Context, req FinishRequest) (Identity, error) {
	err := f.enter(ctx, "Finish", CapRedirect)
	defer f.mu.Unlock()
	if err != nil {
		return Identity{}, err
	}
	code, ok := f.codes[req.Parameters["code"]]
	if !ok || code.callback != req.Callback || code.nonce != req.Nonce || code.challenge != fakeChallenge(req.Sealed) {
		return Identity{}, fmt.Errorf("the provider did not sign this user in: %w", errdef.ErrDenied)
	}
	delete(f.codes, req.Parameters["code"])
	return f.identity(code.id)
}
