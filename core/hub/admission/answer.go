package admission

import (
	"context"
	"time"
)

// Audience is what answers are for: no token for Docker's clients is one, and no answer opens the registry.
const Audience = "vic-admission"

// For how long an answer counts, at most. One who is refused may ask again soon, since somebody may have put it right.
const (
	AllowedFor = 10 * time.Minute
	RefusedFor = time.Minute
)

// Answer is whether an artifact may be run, as the body of a JWT with iss, aud, iat and exp beside.
type Answer struct {
	Allowed    bool   `json:"allowed"`
	Rule       string `json:"rule,omitempty"`
	Text       string `json:"text,omitempty"`
	Repository string `json:"repository"`
	Digest     string `json:"digest"`
	Nonce      string `json:"nonce,omitempty"`

	ends time.Time
}

// Ends is when it does.
func (a Answer) Ends() time.Time { return a.ends }

// Signer signs claims as a JWT for an audience (token.Issuer).
type Signer interface {
	Sign(ctx context.Context, audience string, claims any, life time.Duration) (raw string, ends time.Time, err error)
}

// Answers asks the rules for others, and signs what they say.
type Answers struct {
	Admission *Admission
	Signer    Signer
}

// Answer asks about a subject. The nonce is the caller's.
func (a *Answers) Answer(ctx context.Context, s Subject, nonce string) (Answer, string, error) {
	refusal, s, err := a.Admission.Ask(ctx, s)
	if err != nil {
		return Answer{}, "", err
	}
	out, life := Answer{Allowed: refusal == nil, Repository: s.Artifact.Repository, Digest: s.Artifact.Digest.String(), Nonce: nonce}, AllowedFor
	if refusal != nil {
		out.Rule, out.Text, life = refusal.Rule, refusal.Text(s), RefusedFor
	}
	raw, ends, err := a.Signer.Sign(ctx, Audience, out, life)
	out.ends = ends
	return out, raw, err
}
