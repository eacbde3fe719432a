package ovf

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openvic/vic/sdk/errdef"
)

// host answers what VMs ask for.
type host map[string]string

func (h host) Call(_ context.Context, command string) (string, bool, error) {
	v, ok := h[command]
	return v, ok, nil
}

func TestAnEnvironmentIsTranslated(t *testing.T) {
	translator := filepath.Join(t.TempDir(), "translator")
	script := func(text string) string {
		if err := os.WriteFile(translator, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		return translator
	}
	if Possible(translator) || !Possible(script("true")) {
		t.Error("it does not know whether there is a translator")
	}
	h := host{"info-get guestinfo.ovfEnv": "<Environment>hub.example.com</Environment>"}
	c, err := Config(t.Context(), h, script(`read line; printf '{"version":1,"name":"%s","appliance":{"services":[]}}' "${line#<Environment>}"`))
	if err != nil || c.Name != "hub.example.com</Environment>" || c.Appliance == nil {
		t.Errorf("%+v %v", c, err)
	}
	for name, x := range map[string]struct {
		host   host
		script string
		class  error
		text   string
	}{
		"no environment": {host{}, "exit 1", errdef.ErrNotFound, "deploy it from the OVA"},
		"refused":        {h, "echo hub.hostname is missing >&2; exit 1", errdef.ErrInvalid, "hub.hostname is missing"},
		"too many words": {h, "head -c 100000 /dev/zero | tr '\\0' x >&2; exit 1", errdef.ErrInvalid, "xxx"},
		"no JSON":        {h, "echo hello", errdef.ErrInvalid, "no configuration"},
		"no appliance":   {h, "echo '{}'", errdef.ErrInvalid, "no configuration"},
		"endless":        {h, "cat /dev/zero | head -c 5000000", errdef.ErrInvalid, "no configuration"},
	} {
		_, err := Config(t.Context(), x.host, script(x.script))
		if !errors.Is(err, x.class) || !strings.Contains(err.Error(), x.text) || len(err.Error()) > 2*maxReason {
			t.Errorf("%s: %v", name, err)
		}
	}
}
