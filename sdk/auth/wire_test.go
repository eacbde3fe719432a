package auth

import (
	"reflect"
	"testing"
	"time"

	authv1 "github.com/openvic/vic/sdk/proto/auth/v1"
)

// crosses sees that values come back as they were sent.
func crosses[V, W any](t *testing.T, to func(V) W, from func(W) V, values ...V) {
	t.Helper()
	for _, v := range values {
		if got := from(to(v)); !reflect.DeepEqual(got, v) {
			t.Errorf("got %+v, want %+v", got, v)
		}
	}
}

var (
	dev = Principal{ID: "a/dev", Kind: User, Name: "dev@a", FullName: "D. Ev", Email: "dev@mail", Disabled: true}
	ops = Principal{ID: "a/ops", Kind: Group, Name: "ops"}
)

func TestAllCrossesTheWireUnchanged(t *testing.T) {
	crosses(t, kindToWire, kindFromWire, "", User, Group)
	crosses(t, principalToWire, principalFromWire, Principal{}, dev, ops)
	crosses(t, identityToWire, identityFromWire, Identity{},
		Identity{Principal: dev, Groups: []string{"a/ops", "a/all"}, Expires: time.Unix(9, 5).UTC(), Session: "\x00\xff", LogoutURL: "https://x"})
	crosses(t, descriptionToWire, descriptionFromWire, Description{},
		Description{Title: "T", Domains: []string{"a"}, Administrators: []string{"a/ops"}, Refresh: 90 * time.Second})
	crosses(t, passwordToWire, passwordFromWire, PasswordRequest{}, PasswordRequest{Name: "dev", Password: "p"})
	crosses(t, beginToWire, beginFromWire, BeginRequest{}, BeginRequest{Callback: "c", State: "s", Nonce: "n"})
	crosses(t, redirectToWire, redirectFromWire, Redirect{}, Redirect{URL: "u", Sealed: "\x00\xff", FormPost: true})
	crosses(t, finishToWire, finishFromWire, FinishRequest{},
		FinishRequest{Callback: "c", Nonce: "n", Sealed: "\x00\xff", Parameters: map[string]string{"code": "1"}})
	crosses(t, verifyToWire, verifyFromWire, VerifyRequest{}, VerifyRequest{ID: "a/dev", Session: "\x00\xff"})
	crosses(t, lookupToWire, lookupFromWire, LookupRequest{}, LookupRequest{ID: "a/dev", Name: "n"})
	crosses(t, entryToWire, entryFromWire, Entry{}, Entry{Principal: dev, Groups: []string{"a/ops"}})
	crosses(t, searchToWire, searchFromWire, SearchRequest{}, SearchRequest{Text: "t", Kind: Group, Limit: 7, Page: "p"})
	crosses(t, resultToWire, resultFromWire, SearchResult{}, SearchResult{Principals: []Principal{dev, ops}, NextPage: "n"})
	crosses(t, saveToWire, saveFromWire, SaveRequest{},
		SaveRequest{Principal: dev, Password: "p", Groups: []string{"a/ops"}, SetGroups: true, OnlyNew: true})
}

func TestNumbersOfNobodyAreRefused(t *testing.T) {
	p := principalFromWire(&authv1.Principal{Id: "a/dev", Name: "dev", Kind: 99})
	if err := (Entry{Principal: p}).check(LookupRequest{ID: "a/dev"}); err == nil {
		t.Errorf("the kind %q passed", p.Kind)
	}
	r := searchFromWire(&authv1.SearchRequest{Limit: 1 << 31})
	if err := r.check(); err == nil {
		t.Errorf("the limit %d passed", r.Limit)
	}
}
