package token

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// memory keeps keys as a database would, sealed apart.
type memory struct {
	mu    sync.Mutex
	keys  []Key
	lists int
	down  error
}

func (m *memory) List(context.Context) ([]Key, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lists++
	return append([]Key(nil), m.keys...), m.down
}

func (m *memory) Add(_ context.Context, k Key, before time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	der, err := k.Marshal()
	if err != nil {
		return err
	}
	if k, err = UnmarshalKey(k.Made, der); err != nil {
		return err
	}
	kept := []Key{k}
	for _, o := range m.keys {
		if !o.Made.Before(before) {
			kept = append(kept, o)
		}
	}
	m.keys = kept
	return m.down
}

type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func newIssuer(m *memory, c *clock) *Issuer {
	return New(Options{Issuer: "vic-hub", Service: "hub.example.com", Keys: m, Now: c.now})
}

func TestATokenSaysWhatItWasMadeOf(t *testing.T) {
	m, c := &memory{}, &clock{time.Now()}
	i := newIssuer(m, c)
	access := []Access{{Type: TypeRepository, Name: "p/app", Actions: []string{"pull", "push"}}}
	raw, made, err := i.Issue(t.Context(), Claims{Subject: "vsphere.local/dev", Kind: User, Access: access}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if made.Expires.Sub(made.Issued) != 5*time.Minute || made.ID == "" {
		t.Errorf("%+v", made)
	}
	other := newIssuer(m, c) // another node
	got, err := other.Verify(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	got.Issued, got.Expires = got.Issued.In(made.Issued.Location()), got.Expires.In(made.Expires.Location())
	if !reflect.DeepEqual(got, made) {
		t.Errorf("%+v, want %+v", got, made)
	}
	if !Grants(got.Access, TypeRepository, "p/app", ActionPush) || Grants(got.Access, TypeRepository, "p/app", ActionDelete) ||
		Grants(got.Access, TypeRepository, "p", ActionPull) {
		t.Errorf("%+v", got.Access)
	}
	set, err := i.PublicKeys(t.Context())
	if err != nil || len(set.Keys) != 1 || !set.Keys[0].IsPublic() {
		t.Fatalf("%+v %v", set, err)
	}
	b, err := json.Marshal(set)
	if err != nil || strings.Contains(string(b), `"d"`) {
		t.Errorf("%s %v", b, err)
	}
}

func TestTokensThatAreNotAccepted(t *testing.T) {
	m, c := &memory{}, &clock{time.Now()}
	i := newIssuer(m, c)
	good, _, err := i.Issue(t.Context(), Claims{Subject: "local/a", Kind: User}, 0)
	if err != nil {
		t.Fatal(err)
	}
	k := m.keys[0]
	sign := func(alg jose.SignatureAlgorithm, key any, change func(*wire)) string {
		w := wire{Claims: jwt.Claims{Issuer: "vic-hub", Subject: "local/a", Audience: jwt.Audience{"hub.example.com"},
			Expiry: jwt.NewNumericDate(c.t.Add(time.Minute)), IssuedAt: jwt.NewNumericDate(c.t), NotBefore: jwt.NewNumericDate(c.t)}}
		change(&w)
		s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, nil)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := jwt.Signed(s).Claims(w).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	ours := jose.JSONWebKey{Key: k.Private, KeyID: k.ID}
	foreign, err := NewKey(c.t)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(good, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"`+k.ID+`"}`)) + "." + parts[1] + "."
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	forged := parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(body), "local/a", "local/b", 1))) + "." + parts[2]
	same := func(*wire) {}
	for name, raw := range map[string]string{
		"empty": "", "a word": "x", "three words": "a.b.c", "too long": strings.Repeat("a", maxToken+1),
		"no signature": none, "another subject": forged, "cut": good[:len(good)-2],
		"a key of somebody else":               sign(jose.ES256, jose.JSONWebKey{Key: foreign.Private, KeyID: foreign.ID}, same),
		"somebody else's, with our key's name": sign(jose.ES256, jose.JSONWebKey{Key: foreign.Private, KeyID: k.ID}, same),
		"a MAC with the public key":            sign(jose.HS256, jose.JSONWebKey{Key: []byte(strings.Repeat("k", 32)), KeyID: k.ID}, same),
		"another issuer":                       sign(jose.ES256, ours, func(w *wire) { w.Issuer = "x" }),
		"another service":                      sign(jose.ES256, ours, func(w *wire) { w.Audience = jwt.Audience{"x"} }),
		"no service":                           sign(jose.ES256, ours, func(w *wire) { w.Audience = nil }),
		"over":                                 sign(jose.ES256, ours, func(w *wire) { w.Expiry = jwt.NewNumericDate(c.t.Add(-leeway - time.Second)) }),
		"without an end":                       sign(jose.ES256, ours, func(w *wire) { w.Expiry = nil }),
		"of tomorrow":                          sign(jose.ES256, ours, func(w *wire) { w.NotBefore = jwt.NewNumericDate(c.t.Add(time.Hour)) }),
	} {
		if got, err := i.Verify(t.Context(), raw); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %+v, %v", name, got, err)
		} else if len(raw) > 20 && strings.Contains(err.Error(), raw[:20]) {
			t.Errorf("%s: the error quotes the token", name)
		}
	}
	if _, err := i.Verify(t.Context(), sign(jose.ES256, ours, same)); err != nil {
		t.Errorf("what all others are made from is not accepted: %v", err)
	}
}

func TestKeysAreRotated(t *testing.T) {
	m, c := &memory{}, &clock{time.Now()}
	i, other := newIssuer(m, c), newIssuer(m, c)
	old, _, err := i.Issue(t.Context(), Claims{Subject: "local/a"}, 48*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Verify(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	c.t = c.t.Add(rotateEvery - 24*time.Hour)
	late, _, err := i.Issue(t.Context(), Claims{Subject: "local/a"}, 48*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	c.t = c.t.Add(25 * time.Hour)
	next, _, err := i.Issue(t.Context(), Claims{Subject: "local/a"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.keys) != 2 {
		t.Errorf("%d keys", len(m.keys))
	}
	for name, raw := range map[string]string{"of the key before": late, "of the new key": next} {
		if _, err := other.Verify(t.Context(), raw); err != nil {
			t.Errorf("a token %s: %v", name, err)
		}
	}
	for range 3 {
		c.t = c.t.Add(rotateEvery)
		if _, _, err := i.Issue(t.Context(), Claims{}, 0); err != nil {
			t.Fatal(err)
		}
	}
	if len(m.keys) > 3 {
		t.Errorf("%d keys are kept", len(m.keys))
	}
}

// A client that makes key IDs up must not make the hub ask its database each time.
func TestUnknownKeysAreAskedForSeldom(t *testing.T) {
	m, c := &memory{}, &clock{time.Now()}
	i := newIssuer(m, c)
	foreign := newIssuer(&memory{}, c)
	raw, _, err := foreign.Issue(t.Context(), Claims{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if _, err := i.Verify(t.Context(), raw); !errors.Is(err, ErrInvalid) {
			t.Fatal(err)
		}
	}
	if m.lists != 1 {
		t.Errorf("asked %d times within a moment", m.lists)
	}
	m.down = errors.New("the database is away")
	c.t = c.t.Add(time.Minute)
	if _, err := i.Verify(t.Context(), raw); err == nil || errors.Is(err, ErrInvalid) {
		t.Errorf("while the keys cannot be read: %v", err)
	}
}

// A token that was looked at before is refused all the same when its time is over or its key is gone.
func TestATokenThatWasAcceptedIsNotForEver(t *testing.T) {
	m, c := &memory{}, &clock{time.Now()}
	i := newIssuer(m, c)
	raw, _, err := i.Issue(t.Context(), Claims{Subject: "vsphere.local/dev", Kind: User}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if x, err := i.Verify(t.Context(), raw); err != nil || x.Subject != "vsphere.local/dev" {
			t.Fatalf("%+v %v", x, err)
		}
	}
	dot := strings.LastIndex(raw, ".")
	if _, err := i.Verify(t.Context(), raw[:dot+1]+"A"+raw[dot+2:]+"A"); !errors.Is(err, ErrInvalid) {
		t.Errorf("another signature: %v", err)
	}
	c.t = c.t.Add(5*time.Minute + leeway + time.Second)
	if _, err := i.Verify(t.Context(), raw); !errors.Is(err, ErrInvalid) {
		t.Errorf("after its time: %v", err)
	}
	c.t = c.t.Add(-5 * time.Minute)
	m.keys = nil
	if _, err := i.PublicKeys(t.Context()); err != nil { // the keys are read again
		t.Fatal(err)
	}
	if _, err := i.Verify(t.Context(), raw); !errors.Is(err, ErrInvalid) {
		t.Errorf("without its key: %v", err)
	}
}

func TestScopes(t *testing.T) {
	for _, c := range []struct {
		params []string
		want   []Access
	}{
		{nil, nil},
		{[]string{""}, nil},
		{[]string{"repository:p/app:pull"}, []Access{{"repository", "p/app", []string{"pull"}}}},
		{[]string{"repository:p/app:push,pull,pull"}, []Access{{"repository", "p/app", []string{"pull", "push"}}}},
		{[]string{"repository:p/app:pull repository:p/base:pull"}, []Access{{"repository", "p/app", []string{"pull"}}, {"repository", "p/base", []string{"pull"}}}},
		{[]string{"repository:p/app:pull", "repository:p/app:push"}, []Access{{"repository", "p/app", []string{"pull", "push"}}}},
		{[]string{"repository:hub.example.com:8443/p/app:push,pull"}, []Access{{"repository", "hub.example.com:8443/p/app", []string{"pull", "push"}}}},
		{[]string{"repository(plugin):p/app:*"}, []Access{{"repository", "p/app", []string{"*"}}}},
		{[]string{"registry:catalog:*"}, []Access{{"registry", "catalog", []string{"*"}}}},
		{[]string{"repository:p/app:"}, []Access{{"repository", "p/app", nil}}},
	} {
		got, err := ParseScopes(c.params)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: %+v, %v; want %+v", c.params, got, err, c.want)
		}
	}
	for _, bad := range []string{"x", "repository", "repository:pull", "repository::pull", ":p:pull", "user:p:pull", "repository:p/app:pull;push",
		"repository:p app:pull", "repository:../etc:pull", "repository:p/app:,", "repository:p/app:PULL",
		"repository:" + strings.Repeat("a", maxNameLength+1) + ":pull",
		"repository:p\x00:pull", "repository:" + strings.Repeat("a", 2000) + ":pull"} {
		if got, err := ParseScopes([]string{bad}); err == nil {
			t.Errorf("%.40q: %+v", bad, got)
		} else if len(err.Error()) > 500 {
			t.Errorf("%.40q: an error of %d bytes", bad, len(err.Error()))
		}
	}
	if _, err := ParseScopes([]string{strings.Repeat("repository:p/a:pull ", maxScopes+1)}); err == nil {
		t.Error("any number of scopes")
	}
}

func FuzzParseScopes(f *testing.F) {
	for _, s := range []string{"repository:p/app:pull,push", "registry:catalog:*", "repository(plugin):a:b/c:x", "::", "repository:p/app:"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		all, err := ParseScopes([]string{s})
		if err != nil {
			return
		}
		for _, a := range all {
			again, err := ParseScopes([]string{a.Type + ":" + a.Name + ":" + strings.Join(a.Actions, ",")})
			if err != nil || len(again) != 1 || !reflect.DeepEqual(again[0], a) {
				t.Errorf("%q gives %+v, which gives %+v, %v", s, a, again, err)
			}
		}
	})
}

func FuzzVerify(f *testing.F) {
	m, c := &memory{}, &clock{time.Unix(1e9, 0)}
	i := newIssuer(m, c)
	raw, made, err := i.Issue(context.Background(), Claims{Subject: "local/a", Kind: User}, 0)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, s string) {
		if got, err := i.Verify(t.Context(), s); err == nil && got.ID != made.ID {
			t.Errorf("%q is accepted as %+v", s, got)
		}
	})
}
