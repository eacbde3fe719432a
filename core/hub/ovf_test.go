package hub

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/openvic/vic/core/config"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/guest/hubguest"
)

// TestAnOVFEnvironmentBecomesWhatTheHubReads compares the writer of the VM's files with their reader.
func TestAnOVFEnvironmentBecomesWhatTheHubReads(t *testing.T) {
	const begin = `<Environment xmlns="http://schemas.dmtf.org/ovf/environment/1" xmlns:oe="http://schemas.dmtf.org/ovf/environment/1"><PropertySection>`
	var out, errs bytes.Buffer
	in := strings.NewReader(begin + `<Property oe:key="hub.hostname" oe:value="hub.example.com"/>` +
		`<Property oe:key="hub.admin_password" oe:value="correct-horse"/></PropertySection></Environment>`)
	if code := ovfConfig(in, &out, &errs); code != exitWell {
		t.Fatalf("%d %s", code, errs.String())
	}
	var c guest.Config
	must(t, json.Unmarshal(out.Bytes(), &c))
	var found bool
	for _, f := range c.Appliance.Files {
		if f.Path == hubguest.FileHub {
			found = true
			h, err := config.ParseHub(f.Path, string(f.Data))
			must(t, err)
			if h.Name != "hub" || len(h.TLS.Names) != 1 || h.TLS.Names[0] != "hub.example.com" || h.Data != hubguest.DataDir || len(h.Roles["auth"]) != 1 {
				t.Errorf("%+v", h)
			}
		}
	}
	if !found {
		t.Error("there is no hub.toml")
	}
	for _, text := range []string{"", begin + `</PropertySection></Environment>`, strings.Repeat("x", hubguest.MaxEnvironment+2)} {
		out.Reset()
		errs.Reset()
		if code := ovfConfig(strings.NewReader(text), &out, &errs); code != exitWrong || out.Len() > 0 || !strings.Contains(errs.String(), "OVF") {
			t.Errorf("%.40q: %d %s", text, code, errs.String())
		}
	}
}
