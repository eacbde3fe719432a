package client

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
)

// TrustKey is a key, root or revocation list by which a project trusts signatures.
type TrustKey struct {
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

// TrustKeyRequest adds one.
type TrustKeyRequest struct {
	Name    string   `json:"name"`
	Kind    string   `json:"kind"`
	PEM     string   `json:"pem"`
	Signers []string `json:"signers,omitempty"` // of a root: the names in certificates that may sign, or "*"
}

// Signature is one of an artifact, which the hub has verified.
type Signature struct {
	Digest      string `json:"digest"`
	Format      string `json:"format"` // cosign, notation or docker
	Tag         string `json:"tag,omitempty"`
	State       string `json:"state"` // verified, or what is wrong
	Why         string `json:"why,omitempty"`
	Signer      string `json:"signer,omitempty"`
	Key         string `json:"key,omitempty"` // the project's name of what it was verified by
	Fingerprint string `json:"fingerprint,omitempty"`
	Signed      string `json:"signing_time"`
}

func trustKeys(project string) string { return "/projects/" + url.PathEscape(project) + "/trust/keys" }

// TrustKeys are those of a project.
func (c *Client) TrustKeys(ctx context.Context, project string) iter.Seq2[TrustKey, error] {
	return pages[TrustKey](ctx, c, trustKeys(project), nil)
}

// AddTrustKey gives a project another one.
func (c *Client) AddTrustKey(ctx context.Context, project string, k TrustKeyRequest) error {
	_, err := c.call(ctx, http.MethodPost, trustKeys(project), nil, k, nil)
	return err
}

// RevokeTrustKey says of a project's key that its signatures do not count any more, or that they do again.
func (c *Client) RevokeTrustKey(ctx context.Context, project string, id int64, revoked bool) error {
	_, err := c.call(ctx, http.MethodPut, fmt.Sprintf("%s/%d", trustKeys(project), id), nil, map[string]bool{"revoked": revoked}, nil)
	return err
}

// DeleteTrustKey takes one from a project.
func (c *Client) DeleteTrustKey(ctx context.Context, project string, id int64) error {
	_, err := c.call(ctx, http.MethodDelete, fmt.Sprintf("%s/%d", trustKeys(project), id), nil, nil, nil)
	return err
}

// Signatures verifies those of an artifact.
func (c *Client) Signatures(ctx context.Context, project, repository, ref string) (list []Signature, err error) {
	path := fmt.Sprintf("/projects/%s/repositories/%s/artifacts/%s/signatures", url.PathEscape(project), url.PathEscape(repository), url.PathEscape(ref))
	_, err = c.call(ctx, http.MethodGet, path, nil, nil, &list)
	return list, err
}

// SetMetadata sets one thing of a project, in Harbor's words.
func (c *Client) SetMetadata(ctx context.Context, project, name, value string) error {
	_, err := c.call(ctx, http.MethodPut, "/projects/"+url.PathEscape(project)+"/metadatas/"+name, nil, map[string]string{name: value}, nil)
	return err
}
