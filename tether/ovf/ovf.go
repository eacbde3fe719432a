// Package ovf configures a VM that was deployed from an OVA: vSphere gives it an OVF environment instead of a Config, and a program
// in its image makes the one of the other. The tether itself reads no XML.
package ovf

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
)

// Translator is the program of the image, if VMs of it may come from an OVA: it reads the text of an OVF environment and writes a
// guest.Config as JSON. What it writes to stderr is for the administrator.
const Translator = "/usr/lib/vic/ovf-config"

// The guestinfo key of the OVF environment, how long the program may take, and how much it may write, in bytes.
const (
	key       = "guestinfo.ovfEnv"
	patience  = time.Minute
	maxConfig = 1 << 20
	maxReason = 4 << 10
)

// Possible says whether this image has a translator.
func Possible(translator string) bool {
	_, err := os.Stat(translator)
	return err == nil
}

// Transport is rpci's.
type Transport interface {
	Call(ctx context.Context, command string) (answer string, ok bool, err error)
}

// Config asks the host for the OVF environment and has it translated. errdef.ErrNotFound if there is none, errdef.ErrInvalid with the
// translator's words if it is not good.
func Config(ctx context.Context, t Transport, translator string) (c guest.Config, err error) {
	text, ok, err := t.Call(ctx, "info-get "+key)
	if err != nil {
		return c, err
	}
	if !ok || strings.TrimSpace(text) == "" {
		return c, fmt.Errorf("this VM has neither a configuration nor an OVF environment: deploy it from the OVA by a vCenter, or make it with vic-machine: %w",
			errdef.ErrNotFound)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	out, reason := &bounded{most: maxConfig}, &bounded{most: maxReason}
	cmd := exec.CommandContext(ctx, translator)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(text), out, reason
	if err := cmd.Run(); err != nil {
		if why := strings.TrimSpace(reason.buf.String()); why != "" {
			return c, fmt.Errorf("%s: %w", why, errdef.ErrInvalid)
		}
		return c, fmt.Errorf("translate the OVF environment: %w", err)
	}
	if err := json.Unmarshal(out.buf.Bytes(), &c); err != nil || c.Appliance == nil {
		return c, fmt.Errorf("translate the OVF environment: the program wrote no configuration of an appliance: %w", errors.Join(errdef.ErrInvalid, err))
	}
	return c, nil
}

// bounded is a buffer that drops what is too much.
type bounded struct {
	buf  bytes.Buffer // not embedded: its ReadFrom knows no bound
	most int
}

// Write implements io.Writer; it never fails.
func (b *bounded) Write(p []byte) (int, error) {
	b.buf.Write(p[:min(len(p), b.most-b.buf.Len())])
	return len(p), nil
}

var _ io.Writer = (*bounded)(nil)
