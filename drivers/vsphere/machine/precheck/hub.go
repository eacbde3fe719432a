package precheck

import (
	"context"
	"fmt"
	"strings"

	"github.com/openvic/vic/drivers/vsphere/machine/hub"
	"github.com/openvic/vic/sdk/errdef"
)

// checkHub asks the hub whether it would take the VCH, and makes sure that the hub can get a certificate.
func (c *checker) checkHub(ctx context.Context) {
	const check = "hub"
	h := c.Spec.Hub
	if h == nil {
		return
	}
	if c.Spec.NoTLS {
		c.fail(check, fmt.Errorf("the hub speaks to VCHs over TLS alone: %w", errdef.ErrInvalid), "leave out --no-tls, or --hub")
		return
	}
	if c.out.Certs == nil {
		c.skip(check, "certificates")
		return
	}
	if !c.Spec.NoVerify && len(c.out.Certs.CA.Key) == 0 {
		c.fail(check, fmt.Errorf("the hub needs a client certificate, and the key to sign it with is not at hand: %w", errdef.ErrInvalid),
			"leave out --tls-ca, or give with --cert-path the folder that holds ca-key.pem too")
		return
	}
	// The VCH has no ID yet; any will do for the question.
	only, err := h.Client.Check(ctx, hub.Registration{UID: "check", Name: c.Spec.Name, Projects: h.Projects})
	if err == nil {
		_, err = h.Limit(c.Spec.AllowRegistries, only)
	}
	if err != nil {
		c.fail(check, err, "check --hub")
		return
	}
	limit := ""
	if only {
		limit = ", and has it take images of the hub alone"
	}
	c.ok(check, "%s takes the VCH as a resource of %s%s", h.Client.URL(), strings.Join(h.Projects, ", "), limit)
}
