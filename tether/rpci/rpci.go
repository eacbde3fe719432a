// Package rpci is the guest's side of VMware's RPCI text commands: "info-get guestinfo.x" and
// "info-set guestinfo.x value". There are two transports: the VMware backdoor on ESXi, and a
// virtio-serial port that carries the same text where the hypervisor is QEMU.
package rpci

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
)

// Transport carries one command and its answer. It is safe for concurrent use.
type Transport interface {
	// Call sends a command and returns the host's answer, and whether the host said yes.
	Call(ctx context.Context, command string) (answer string, ok bool, err error)
	// Time is the host's; errdef.ErrUnsupported where it does not tell.
	Time(ctx context.Context) (time.Time, error)
	// Halt is closed when the host asks the guest to shut down.
	Halt() <-chan struct{}
	// Resumed gets a message when the machine runs again after it was suspended or moved.
	Resumed() <-chan struct{}
}

// The host's requests on its channel (open-vm-tools: OS_Halt of the power plugin, TIMESYNC_SYNCHRONIZE of
// timeSync, which has an argument).
const (
	haltRequest   = "OS_Halt"
	resumeRequest = "Time_Synchronize"
)

// Keys reads and writes guestinfo keys.
type Keys struct{ Transport }

// Get returns the value of guest.Prefix + key; errdef.ErrNotFound if there is none.
func (k Keys) Get(ctx context.Context, key string) (string, error) {
	answer, ok, err := k.Call(ctx, "info-get "+guest.Prefix+key)
	if err != nil {
		return "", err
	}
	if !ok {
		return "", fmt.Errorf("%s%s: %s: %w", guest.Prefix, key, answer, errdef.ErrNotFound)
	}
	return answer, nil
}

// GetJSON decodes the value of guest.Prefix + key into v.
func (k Keys) GetJSON(ctx context.Context, key string, v any) error {
	s, err := k.Get(ctx, key)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(s), v); err != nil {
		return fmt.Errorf("%s%s: %w: %w", guest.Prefix, key, errdef.ErrInvalid, err)
	}
	return nil
}

// Set writes guest.Prefix + key.
func (k Keys) Set(ctx context.Context, key, value string) error {
	return k.SetRaw(ctx, guest.Prefix+key, value)
}

// SetJSON writes v as the value of guest.Prefix + key.
func (k Keys) SetJSON(ctx context.Context, key string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("%s%s: %w", guest.Prefix, key, err)
	}
	return k.Set(ctx, key, string(b))
}

// SetRaw writes a key outside guest.Prefix. A value is one line.
func (k Keys) SetRaw(ctx context.Context, key, value string) error {
	value = strings.NewReplacer("\r", " ", "\n", " ").Replace(value)
	answer, ok, err := k.Call(ctx, "info-set "+key+" "+value)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("%s: host refused: %s: %w", key, answer, errdef.ErrDenied)
	}
	return nil
}

// parseAnswer splits "1 value" or "0 reason".
func parseAnswer(line string) (answer string, ok bool, err error) {
	switch {
	case line == "1", strings.HasPrefix(line, "1 "):
		return strings.TrimPrefix(line[1:], " "), true, nil
	case line == "0", strings.HasPrefix(line, "0 "):
		return strings.TrimPrefix(line[1:], " "), false, nil
	}
	return "", false, fmt.Errorf("RPCI answer %.40q: %w", line, errdef.ErrInvalid)
}
