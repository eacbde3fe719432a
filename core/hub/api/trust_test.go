package api

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/openvic/vic/core/hub/trust/trusttest"
)

func TestKeysThatAProjectTrusts(t *testing.T) {
	eachRig(t, func(r *rig) {
		t := r.t
		const at = "/projects/private/trust/keys"
		body, err := json.Marshal(trustKeyRequest{Name: "release", Kind: "cosign-key", PEM: trusttest.NewKey(t).PEM(t)})
		must(t, err)
		r.api("developer", "POST", at, string(body), 403, nil)
		header := r.api("devops-admin", "POST", at, string(body), 201, nil)
		r.api("devops-admin", "POST", at, string(body), 409, nil)
		r.api("devops-admin", "POST", at, `{"name":"x","kind":"cosign-key","pem":"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"}`, 400, nil)
		one := strings.TrimPrefix(header.Get("Location"), Prefix)
		var list []trustKeyForm
		r.api("viewer", "GET", at, "", 200, &list)
		if len(list) != 1 || list[0].Name != "release" || list[0].By != "devops-admin" || !strings.HasPrefix(list[0].Fingerprint, "sha256:") || list[0].Revoked != "" {
			t.Errorf("%+v", list)
		}
		r.api("none", "GET", at, "", 404, nil)
		r.api("developer", "PUT", one, `{"revoked":true}`, 403, nil)
		r.api("devops-admin", "PUT", one, `{}`, 400, nil)
		r.api("devops-admin", "PUT", one, `{"revoked":true}`, 200, nil)
		r.api("viewer", "GET", at, "", 200, &list)
		if len(list) != 1 || list[0].Revoked == "" {
			t.Errorf("%+v", list)
		}
		r.api("devops-admin", "DELETE", "/projects/public/trust/keys"+one[strings.LastIndex(one, "/"):], "", 404, nil)
		r.api("devops-admin", "DELETE", one, "", 200, nil)
		r.api("devops-admin", "DELETE", one, "", 404, nil)
		var signatures []signatureForm
		r.api("viewer", "GET", "/projects/private/repositories/app/artifacts/1/signatures", "", 200, &signatures)
		if signatures == nil || len(signatures) != 0 {
			t.Errorf("%+v", signatures)
		}
	})
}
