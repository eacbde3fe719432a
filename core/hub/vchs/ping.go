package vchs

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/openvic/vic/sdk/errdef"
)

// pingTime bounds the question whether a VCH answers.
const pingTime = 10 * time.Second

// Version is what a VCH's Docker API says of itself.
type Version struct {
	Version    string `json:"Version"`
	APIVersion string `json:"ApiVersion"`
}

// Ping asks a VCH's Docker API for its version; errdef.ErrUnavailable with the reason if it does not answer,
// errdef.ErrConflict before Connect.
func (v *VCHs) Ping(ctx context.Context, x VCH) (Version, error) {
	cfg, err := v.TLS(x)
	if err != nil {
		return Version{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, pingTime)
	defer cancel()
	// One question, no proxy of the hub's, and no other address: what a VCH redirects to is none of ours.
	transport := &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+x.Address+"/version", nil)
	if err != nil {
		return Version{}, err
	}
	res, err := client.Do(req)
	if err != nil {
		return Version{}, fmt.Errorf("the VCH %s does not answer: %w: %w", x.Name, errdef.ErrUnavailable, err)
	}
	defer res.Body.Close()
	const most = 64 << 10
	var out Version
	text, err := io.ReadAll(io.LimitReader(res.Body, most))
	if err == nil && res.StatusCode == http.StatusOK {
		err = json.Unmarshal(text, &out)
	}
	if err != nil || res.StatusCode != http.StatusOK {
		return Version{}, fmt.Errorf("the VCH %s answers %s: %w", x.Name, res.Status, errdef.ErrUnavailable)
	}
	return out, nil
}
