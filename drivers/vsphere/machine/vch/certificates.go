package vch

import (
	"context"
	"path"

	"github.com/openvic/vic/drivers/vsphere/machine/certs"
)

// Certificates describes those of the endpoint, by file name.
func (e *Editor) Certificates() map[string]certs.Info {
	out := map[string]certs.Info{}
	for _, f := range e.ep.keep {
		if i, err := certs.Describe(f.Data); err == nil {
			out[path.Base(f.Path)] = i
		}
	}
	return out
}

// ServerCert is the endpoint's own certificate; nil without TLS.
func (e *Editor) ServerCert() []byte { return e.ep.file(fileCert) }

// RevocationList is that of the docker clients, or of the administrators; nil if nobody is revoked.
func (e *Editor) RevocationList(k certs.Kind) []byte { return e.ep.file(listOf(k)) }

func listOf(k certs.Kind) string {
	if k == certs.Administrators() {
		return fileAdminCR
	}
	return fileCRL
}

// SetServer gives the endpoint another certificate; connections that are open stay.
func (e *Editor) SetServer(ctx context.Context, p certs.Pair) error {
	e.ep.setFile(fileCert, modePublic, p.Cert)
	e.ep.setFile(fileKey, modePrivate, p.Key)
	_, err := e.Apply(ctx)
	return err
}

// SetRevocationList makes the endpoint refuse those on the list from their next connection on.
func (e *Editor) SetRevocationList(ctx context.Context, k certs.Kind, list []byte) error {
	e.ep.setFile(listOf(k), modePublic, list)
	_, err := e.Apply(ctx)
	return err
}

// Authorities are the texts of those that were given by options, by the option's name.
func (e *Editor) Authorities() map[string][]string {
	out := map[string][]string{}
	for _, f := range e.ep.keep {
		if isRegistryCA(f) {
			out["registry-ca"] = append(out["registry-ca"], string(f.Data))
		}
		if f.Path == fileCA && len(e.ep.Options["tls-ca"]) > 0 {
			out["tls-ca"] = []string{string(f.Data)}
		}
	}
	return out
}
