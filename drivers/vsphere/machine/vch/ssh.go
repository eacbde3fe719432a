package vch

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/types"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/ssh"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	vsphere "github.com/openvic/vic/drivers/vsphere/session"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
)

const (
	keyDebug   = guest.Prefix + guest.KeyDebug
	sshFile    = "/run/vic/ssh.json"
	sshService = "ssh"
	// PortSSH is that of the endpoint's SSH server while it is on.
	PortSSH = 22
	// MaxSSH is how long it may be on.
	MaxSSH = 24 * time.Hour
)

// SSH says who may log in to the endpoint VM, as root, and for how long.
type SSH struct {
	AuthorizedKeys []byte // the text of an authorized_keys file
	Password       string // empty: none
	Time           time.Duration
}

// SSHAccess is how the endpoint is reached.
type SSHAccess struct {
	Address netip.AddrPort
	HostKey string // SHA-256 fingerprint, as ssh shows it
}

// service makes what the endpoint is told. ErrInvalid if nobody could log in.
func (s SSH) service(r *Record) (guest.Debug, error) {
	c := guest.SSH{Name: r.Name, Interface: r.managementInterface(), Port: PortSSH}
	for rest := s.AuthorizedKeys; len(strings.TrimSpace(string(rest))) > 0; {
		key, comment, _, next, err := ssh.ParseAuthorizedKey(rest)
		if err != nil {
			return guest.Debug{}, advice.Wrap(fmt.Errorf("--authorized-key: %w: %w", errdef.ErrInvalid, err), "give a public key, for example ~/.ssh/id_ed25519.pub")
		}
		c.AuthorizedKeys = append(c.AuthorizedKeys, strings.TrimSpace(strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))+" "+comment))
		rest = next
	}
	if s.Password != "" {
		hash, err := bcrypt.GenerateFromPassword([]byte(s.Password), bcrypt.DefaultCost)
		if err != nil {
			return guest.Debug{}, advice.Wrap(fmt.Errorf("--rootpw: %w: %w", errdef.ErrInvalid, err), "give another")
		}
		c.PasswordHash = string(hash)
	}
	if len(c.AuthorizedKeys) == 0 && c.PasswordHash == "" {
		return guest.Debug{}, advice.Wrap(fmt.Errorf("nobody could log in: %w", errdef.ErrInvalid), "give --authorized-key or --rootpw")
	}
	if s.Time < time.Minute || s.Time > MaxSSH {
		return guest.Debug{}, advice.Wrap(fmt.Errorf("--ssh-time %s: %w", s.Time, errdef.ErrInvalid), "give 1m to 24h")
	}
	b, err := json.Marshal(c)
	return guest.Debug{Minutes: int(s.Time.Round(time.Minute) / time.Minute), Files: []guest.File{{Path: sshFile, Data: b}},
		Service: &guest.Service{Name: sshService, Args: []string{"/usr/bin/vicd", "ssh", "--config", sshFile}}}, err
}

// EnableSSH switches the endpoint's SSH server on, and waits until it serves. Who was logged in before is
// no more.
func (e *Editor) EnableSSH(ctx context.Context, s SSH) (SSHAccess, error) {
	d, err := s.service(e.ep.Record)
	if err != nil {
		return SSHAccess{}, err
	}
	if !e.on {
		return SSHAccess{}, advice.Wrap(fmt.Errorf("the endpoint VM is off: %w", errdef.ErrUnavailable), "power it on")
	}
	snap, err := e.debug(ctx, d)
	if err != nil {
		return SSHAccess{}, err
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(snap.status.Debug.Message))
	if err != nil {
		return SSHAccess{}, fmt.Errorf("host key of the endpoint %q: %w: %w", snap.status.Debug.Message, errdef.ErrInvalid, err)
	}
	return SSHAccess{Address: netip.AddrPortFrom(snap.address, PortSSH), HostKey: ssh.FingerprintSHA256(key)}, nil
}

// DisableSSH switches it off; who is logged in is no more.
func (e *Editor) DisableSSH(ctx context.Context) error {
	_, err := e.debug(ctx, guest.Debug{})
	return err
}

// debug tells the endpoint and waits until it has done so.
func (e *Editor) debug(ctx context.Context, d guest.Debug) (snapshot, error) {
	d.ID = strconv.FormatInt(time.Now().UnixNano(), 36)
	b, err := json.Marshal(d)
	if err != nil {
		return snapshot{}, err
	}
	task, err := e.vm.Reconfigure(ctx, types.VirtualMachineConfigSpec{ExtraConfig: []types.BaseOptionValue{
		&types.OptionValue{Key: keyDebug, Value: string(b)}}})
	if err := session.Wait(ctx, task, err); err != nil {
		return snapshot{}, advice.Wrap(fmt.Errorf("change the endpoint VM: %w", err), "look at the task in vSphere: its description tells more")
	}
	if !e.on {
		return snapshot{}, nil // nothing runs in it, and nothing will
	}
	want := guest.DebugOff
	if d.Service != nil {
		want = "ready"
	}
	return e.debugged(ctx, d.ID, want)
}

// debugged waits for a state of what has this ID.
func (e *Editor) debugged(ctx context.Context, id, want string) (s snapshot, err error) {
	filter := new(property.WaitFilter).Add(e.vm.Reference(), e.vm.Reference().Type, []string{"runtime.powerState", "guest.ipAddress", "config.extraConfig"})
	filter.Options = &types.WaitOptions{MaxWaitSeconds: types.NewInt32(round)}
	for done := false; !done; {
		var failed error
		err := property.WaitForUpdatesEx(ctx, property.DefaultCollector(e.sess.Client()), filter, func([]types.ObjectUpdate) bool {
			s, failed = readSnapshot(ctx, e.sess.Client(), e.vm.Reference(), e.ep.managementInterface())
			if d := s.status.Debug; failed == nil && d != nil && d.ID == id {
				done = d.State == want
				if strings.HasPrefix(d.State, "exited") || strings.HasPrefix(d.State, "failed") {
					failed = fmt.Errorf("the endpoint's SSH server: %s: %w", d.State, errdef.ErrUnavailable)
				}
			}
			return done || failed != nil
		})
		switch {
		case failed != nil:
			return s, failed
		case ctx.Err() != nil:
			return s, advice.Wrap(fmt.Errorf("the endpoint has not answered: %w", context.Cause(ctx)),
				"endpoints of versions before this one have no SSH server: upgrade it")
		case err != nil && !done:
			return s, fmt.Errorf("wait for the endpoint VM: %w", vsphere.Classify(err))
		}
	}
	return s, nil
}

// managementInterface is the one on which administrators reach the endpoint.
func (r *Record) managementInterface() string {
	if n := r.nic(RoleManagement); n.Interface != "" {
		return n.Interface
	}
	return RolePublic
}
