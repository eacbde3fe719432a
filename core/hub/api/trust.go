package api

import (
	"net/http"
	"time"

	"github.com/openvic/vic/core/hub/notary"
	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/hub/trust"
)

func trustRoutes() []route {
	const keys = "/projects/{project}/trust/keys"
	return []route{
		{method: "GET", path: keys, id: "listTrustKeys", needs: role.SignatureRead, run: (*api).listTrustKeys,
			says: "List the keys, roots and revocation lists by which a project trusts signatures", gives: []trustKeyForm{}},
		{method: "POST", path: keys, id: "addTrustKey", needs: role.ProjectWrite, run: (*api).addTrustKey,
			says: "Add a public key, an authority's certificates or its revocation list to what a project trusts", takes: trustKeyRequest{}},
		{method: "PUT", path: keys + "/{key}", id: "revokeTrustKey", needs: role.ProjectWrite, run: (*api).revokeTrustKey,
			says: "Revoke a key or root, so that its signatures do not count and say why, or trust it again", takes: trustRevocation{}},
		{method: "DELETE", path: keys + "/{key}", id: "deleteTrustKey", needs: role.ProjectWrite, run: (*api).deleteTrustKey,
			says: "Remove a key, root or revocation list"},
		{method: "GET", path: "/projects/{project}/repositories/{repository}/artifacts/{reference}/signatures", id: "listSignatures",
			needs: role.SignatureRead, run: (*api).listSignatures, whole: true,
			says: "Verify the signatures of an artifact, and tell who made them", gives: []signatureForm{}},
	}
}

// trustKeyForm is a key, a root or a revocation list of a project. All of it is public.
type trustKeyForm struct {
	ID          int64    `json:"id"`
	Name        string   `json:"name"`
	Kind        string   `json:"kind"` // cosign-key, cosign-root, notation-root or crl
	PEM         string   `json:"pem"`
	Fingerprint string   `json:"fingerprint"`
	Signers     []string `json:"signers"` // of a root
	Revoked     string   `json:"revocation_time,omitempty"`
	Added       string   `json:"creation_time"`
	By          string   `json:"created_by"`
}

// trustKeyRequest adds one.
type trustKeyRequest struct {
	Name    string   `json:"name"`
	Kind    string   `json:"kind"` // cosign-key, cosign-root, notation-root or crl
	PEM     string   `json:"pem"`
	Signers []string `json:"signers"` // of a root: the names in certificates that may sign, or "*"
}

// trustRevocation revokes a key, or trusts it again.
type trustRevocation struct {
	Revoked *bool `json:"revoked"`
}

// signatureForm is a signature of an artifact, verified.
type signatureForm struct {
	Digest      string `json:"digest"`        // of the manifest that carries it; of Docker Content Trust: of the artifact
	Format      string `json:"format"`        // cosign, notation, or docker
	Tag         string `json:"tag,omitempty"` // that Docker Content Trust signed
	State       string `json:"state"`         // verified, unknown_signer, tampered, other_artifact, revoked, expired or unreadable
	Why         string `json:"why,omitempty"`
	Signer      string `json:"signer,omitempty"`
	Key         string `json:"key,omitempty"` // the project's name of what it was verified by
	Fingerprint string `json:"fingerprint,omitempty"`
	Signed      string `json:"signing_time"`
}

func trustKeyOf(k trust.Key) trustKeyForm {
	out := trustKeyForm{ID: k.ID, Name: k.Name, Kind: string(k.Kind), PEM: k.PEM, Fingerprint: k.Fingerprint(), Signers: k.Signers,
		Added: stamp(k.Added), By: k.By}
	if !k.Revoked.IsZero() {
		out.Revoked = stamp(k.Revoked)
	}
	return out
}

func (a *api) listTrustKeys(c *call) error {
	p, err := c.page()
	if err != nil {
		return err
	}
	list, err := a.TrustKeys.List(c.r.Context(), c.project.ID)
	if err != nil {
		return err
	}
	out := []trustKeyForm{}
	for i := p.offset(); i < len(list) && i < p.offset()+p.size; i++ {
		out = append(out, trustKeyOf(list[i]))
	}
	return c.list(p, len(list), out)
}

func (a *api) addTrustKey(c *call) error {
	var q trustKeyRequest
	if err := c.body(&q); err != nil {
		return err
	}
	k := trust.Key{Project: c.project.ID, Name: q.Name, Kind: trust.Kind(q.Kind), PEM: q.PEM, Signers: q.Signers, By: c.who.Name}
	id, err := a.TrustKeys.Add(c.r.Context(), k)
	if err != nil {
		return err
	}
	c.detail = q.Name + " " + k.Fingerprint()
	return c.created("/projects/%d/trust/keys/%d", c.project.ID, id)
}

func (a *api) revokeTrustKey(c *call) error {
	id, err := c.number("key")
	if err != nil {
		return err
	}
	var q trustRevocation
	if err := c.body(&q); err != nil {
		return err
	}
	if q.Revoked == nil {
		return badRequest("revoked: want true or false")
	}
	if err := a.TrustKeys.Revoke(c.r.Context(), c.project.ID, id, *q.Revoked); err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}

func (a *api) deleteTrustKey(c *call) error {
	id, err := c.number("key")
	if err != nil {
		return err
	}
	if err := a.TrustKeys.Remove(c.r.Context(), c.project.ID, id); err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}

func (a *api) listSignatures(c *call) error {
	x, m, err := a.artifact(c)
	if err != nil {
		return err
	}
	list, _, err := a.Trust.Signatures(c.r.Context(), c.project.ID, m.Artifact)
	if err != nil {
		return err
	}
	out := []signatureForm{}
	for _, s := range list {
		out = append(out, signatureOf(s))
	}
	docker, err := notary.Targets(c.r.Context(), a.DB, x.Name, m.Digest.String())
	if err != nil {
		return err
	}
	for _, s := range docker {
		out = append(out, a.dockerSignature(m.Digest.String(), s))
	}
	return c.answer(http.StatusOK, out)
}

func signatureOf(s trust.Signature) signatureForm {
	return signatureForm{Digest: s.Digest.String(), Format: string(s.Format), State: string(s.State), Why: s.Why, Signer: s.Signer, Key: s.Key,
		Fingerprint: s.Fingerprint, Signed: s.Signed.UTC().Format(time.RFC3339)}
}

// dockerSignature is one of Docker Content Trust, which the hub verified when it was published, by the keys of the repository's own
// root.
func (a *api) dockerSignature(digest string, t notary.Target) signatureForm {
	f := signatureForm{Digest: digest, Format: "docker", Tag: t.Tag, State: string(trust.Verified), Signer: t.Role, Fingerprint: t.Keys,
		Signed: t.Made.UTC().Format(time.RFC3339)}
	if !a.Now().Before(t.Expires) {
		f.State, f.Why = string(trust.Expired), "it ended on "+t.Expires.UTC().Format(time.DateTime)
	}
	return f
}
