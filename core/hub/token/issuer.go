package token

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Claims are what a token says.
type Claims struct {
	// Subject is the ID of a principal ("vsphere.local/dev") or the name of a robot; empty: nobody has signed in.
	Subject string
	// Kind is what the subject is.
	Kind Kind
	// Epoch is the subject's when the token was made; the verifier compares it with the one of now.
	Epoch int64
	// Secret is the stamp of the secret that the token was given for; 0: none. The verifier asks whether it still counts.
	Secret  int64
	Access  []Access
	ID      string
	Issued  time.Time
	Expires time.Time
}

// Kind is what a token's subject is.
type Kind string

// The kinds of subjects.
const (
	User    Kind = "user"
	Robot   Kind = "robot"
	Job     Kind = "job" // of the hub itself: a scan, a replication
	Nobody  Kind = "nobody"
	Refresh Kind = "refresh" // a refresh token: it gets other tokens and opens nothing itself
)

// Options are what an Issuer is made of.
type Options struct {
	// Issuer and Service are the "iss" and "aud" of tokens. Service is what clients are told to ask for.
	Issuer, Service string
	// Lifetime is how long a token is good for; 0: 5 min. A client that comes without one gets what it needs in one
	// round trip, so that a short life costs little.
	Lifetime time.Duration
	// Setting, if not nil, is asked at each token for its lifetime; 0: Lifetime.
	Setting func(context.Context) time.Duration
	Keys    Keys
	Now     func() time.Time // nil: time.Now
}

// Issuer makes and checks tokens. It may be used by several goroutines.
type Issuer struct {
	o    Options
	ring *keyring
	seen verified
}

// New makes an Issuer.
func New(o Options) *Issuer {
	o.Lifetime = cmp.Or(o.Lifetime, 5*time.Minute)
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Issuer{o: o, ring: &keyring{store: o.Keys, now: o.Now}}
}

// wire is the token's body. Docker's clients read "access"; "knd", "epc" and "scr" are ours.
type wire struct {
	jwt.Claims
	Access []Access `json:"access"`
	Kind   Kind     `json:"knd"`
	Epoch  int64    `json:"epc,omitempty"`
	Secret int64    `json:"scr,omitempty"`
}

// maxToken bounds what is looked at: 100 scopes of the longest names fit.
const maxToken = 64 << 10

// leeway is how far the clocks of a hub's nodes may be apart.
const leeway = 10 * time.Second

// Issue makes a token of c, whose ID, Issued and Expires it sets. A zero lifetime is the issuer's own.
func (i *Issuer) Issue(ctx context.Context, c Claims, lifetime time.Duration) (string, Claims, error) {
	k, err := i.ring.signing(ctx)
	if err != nil {
		return "", Claims{}, err
	}
	if lifetime == 0 && i.o.Setting != nil {
		lifetime = i.o.Setting(ctx)
	}
	now := i.o.Now().Truncate(time.Second)
	c.ID, c.Issued, c.Expires = rand.Text(), now, now.Add(cmp.Or(lifetime, i.o.Lifetime))
	if c.Access == nil {
		c.Access = []Access{} // clients read a list
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: k.Private, KeyID: k.ID}},
		(&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", Claims{}, err
	}
	raw, err := jwt.Signed(signer).Claims(wire{
		Claims: jwt.Claims{Issuer: i.o.Issuer, Subject: c.Subject, Audience: jwt.Audience{i.o.Service}, ID: c.ID,
			Expiry: jwt.NewNumericDate(c.Expires), NotBefore: jwt.NewNumericDate(now), IssuedAt: jwt.NewNumericDate(now)},
		Access: c.Access, Kind: c.Kind, Epoch: c.Epoch, Secret: c.Secret,
	}).Serialize()
	return raw, c, err
}

// Sign makes a JWT of claims, which are an object in JSON, for another audience than the service: Verify refuses it. It also says
// when it ends.
func (i *Issuer) Sign(ctx context.Context, audience string, claims any, life time.Duration) (raw string, ends time.Time, err error) {
	k, err := i.ring.signing(ctx)
	if err != nil {
		return "", time.Time{}, err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: k.Private, KeyID: k.ID}},
		(&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", time.Time{}, err
	}
	now := i.o.Now().Truncate(time.Second)
	ends = now.Add(life)
	raw, err = jwt.Signed(signer).Claims(jwt.Claims{Issuer: i.o.Issuer, Audience: jwt.Audience{audience}, Expiry: jwt.NewNumericDate(ends),
		IssuedAt: jwt.NewNumericDate(now)}).Claims(claims).Serialize()
	return raw, ends, err
}

// ErrInvalid is the class of what Verify refuses. The text says why, and nothing of the token.
var ErrInvalid = errors.New("the token is not accepted")

// Verify checks a token: the signature by a key of this hub, ES256 alone, the issuer, the service and the time. An
// error that is not ErrInvalid means that it could not be checked.
func (i *Issuer) Verify(ctx context.Context, raw string) (Claims, error) {
	if len(raw) > maxToken {
		return Claims{}, fmt.Errorf("%w: it is too long", ErrInvalid)
	}
	sum := sha256.Sum256([]byte(raw))
	k, ok := i.seen.find(sum)
	if !ok {
		var err error
		if k, err = i.signed(ctx, raw); err != nil {
			return Claims{}, err
		}
		i.seen.keep(sum, k)
	} else if _, err := i.key(ctx, k.key); err != nil { // it signs no more
		return Claims{}, err
	}
	w := k.wire
	err := w.ValidateWithLeeway(jwt.Expected{Issuer: i.o.Issuer, AnyAudience: jwt.Audience{i.o.Service}, Time: i.o.Now()}, leeway)
	if err != nil || w.Expiry == nil || w.IssuedAt == nil {
		return Claims{}, fmt.Errorf("%w: it is of another time or for another service", ErrInvalid)
	}
	return Claims{Subject: w.Subject, Kind: w.Kind, Epoch: w.Epoch, Secret: w.Secret, Access: w.Access, ID: w.ID,
		Issued: w.IssuedAt.Time(), Expires: w.Expiry.Time()}, nil
}

// signed reads a token that a key of this hub signed. When it is for, and for what, is not looked at.
func (i *Issuer) signed(ctx context.Context, raw string) (signed, error) {
	t, err := jwt.ParseSigned(raw, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil || len(t.Headers) != 1 {
		return signed{}, fmt.Errorf("%w: it is no token of this hub", ErrInvalid)
	}
	out := signed{key: t.Headers[0].KeyID}
	k, err := i.key(ctx, out.key)
	if err != nil {
		return signed{}, err
	}
	if err := t.Claims(&k.Private.PublicKey, &out.wire); err != nil {
		return signed{}, fmt.Errorf("%w: its signature is wrong", ErrInvalid)
	}
	return out, nil
}

// key finds one of this hub's keys.
func (i *Issuer) key(ctx context.Context, id string) (Key, error) {
	k, err := i.ring.find(ctx, id)
	if errors.Is(err, errUnknownKey) {
		err = fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return k, err
}

// signed is a token whose signature was right.
type signed struct {
	key  string
	wire wire
}

// verified remembers tokens whose signature was right, by the hashes of all their bytes: clients show one with each request for
// minutes, and the signature is most of what looking at it costs.
type verified struct {
	mu   sync.Mutex
	kept map[[sha256.Size]byte]signed
}

// maxVerified bounds what is remembered: beyond that it begins anew.
const maxVerified = 4096

func (v *verified) find(sum [sha256.Size]byte) (signed, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	s, ok := v.kept[sum]
	return s, ok
}

func (v *verified) keep(sum [sha256.Size]byte, s signed) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.kept == nil || len(v.kept) >= maxVerified {
		v.kept = map[[sha256.Size]byte]signed{}
	}
	v.kept[sum] = s
}

// PublicKeys is the JWK set (RFC 7517) with which others check tokens.
func (i *Issuer) PublicKeys(ctx context.Context) (jose.JSONWebKeySet, error) {
	keys, err := i.ring.all(ctx)
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, k := range keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: &k.Private.PublicKey, KeyID: k.ID, Algorithm: string(jose.ES256), Use: "sig"})
	}
	return set, err
}
