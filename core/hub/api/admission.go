package api

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/openvic/vic/core/hub/admission"
	"github.com/openvic/vic/core/hub/role"
)

func admissionRoutes() []route {
	return []route{
		{method: "POST", path: "/projects/{project}/admission", id: "askAdmission", needs: role.ArtifactPull, run: (*api).askAdmission, told: true,
			says:  "Say whether the project's rules let an artifact be run, for one who is about to; the answer is signed and ends",
			takes: admissionRequest{}, gives: admissionForm{}, status: http.StatusOK},
		{method: "GET", path: "/admission/keys", id: "getAdmissionKeys", run: (*api).admissionKeys, media: "application/jwk-set+json",
			says: "The public keys that answers are signed with, as a JWK set (RFC 7517)"},
	}
}

// admissionRequest names an artifact of the project; ours.
type admissionRequest struct {
	Repository string `json:"repository"` // with the project
	Digest     string `json:"digest"`     // of the manifest, not of an index
	Tag        string `json:"tag,omitempty"`
	// Nonce is a text of the caller's, which the signed answer repeats: an answer cannot be another's.
	Nonce string `json:"nonce,omitempty"`
}

// admissionForm is the answer; ours.
type admissionForm struct {
	Allowed bool   `json:"allowed"`
	Rule    string `json:"rule,omitempty"`
	Text    string `json:"text,omitempty"` // for people: what is wrong, and what to do
	Expires string `json:"expires"`
	// Token says the same, signed as tokens for Docker's clients are: a JWT whose body is of type admission.Answer.
	Token string `json:"token"`
}

// maxNonce bounds a nonce.
const maxNonce = 128

func (a *api) askAdmission(c *call) error {
	var q admissionRequest
	if err := c.body(&q); err != nil {
		return err
	}
	d, err := digest.Parse(q.Digest)
	if err != nil {
		return badRequest("digest: %.100q is none", q.Digest)
	}
	project, _, _ := strings.Cut(q.Repository, "/")
	if project != c.project.Name || len(q.Nonce) > maxNonce {
		return badRequest("repository: want one of the project %s; nonce: at most %d characters", c.project.Name, maxNonce)
	}
	ctx, err := a.DB.Moment(c.r.Context())
	if err != nil {
		return err
	}
	repo, err := a.Registry.Repository(ctx, q.Repository)
	if err != nil {
		return err
	}
	m, err := a.Registry.Manifest(ctx, repo, d.String())
	if err != nil {
		return err
	}
	x := m.Artifact
	x.ProjectID = c.project.ID
	s := admission.Subject{Purpose: admission.Run, ProjectID: c.project.ID, Artifact: x, Tag: q.Tag, Caller: c.who.Name}
	answer, raw, err := a.Answers.Answer(ctx, s, q.Nonce)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, admissionForm{Allowed: answer.Allowed, Rule: answer.Rule, Text: answer.Text, Expires: stamp(answer.Ends()), Token: raw})
}

func (a *api) admissionKeys(c *call) error {
	set, err := a.Keys(c.r.Context())
	if err != nil {
		return err
	}
	c.w.Header().Set("Content-Type", "application/jwk-set+json")
	return json.NewEncoder(c.w).Encode(set)
}
