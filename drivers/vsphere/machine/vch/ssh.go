package vch

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/vmware/govmomi/object"
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
	// PortSSH is that of an appliance's SSH server while it is on.
	PortSSH = 22
	// MaxSSH is how long it may be on.
	MaxSSH = 24 * time.Hour
)

// SSHHost is an appliance whose SSH server can be switched on and off: an endpoint or a hub. vSphere alone is asked, so that
// it works when the services of the appliance do not.
type SSHHost struct {
	Name    string // which its shell shows
	VM      *object.VirtualMachine
	Iface   string // on which administrators reach it
	Program string // in the VM: its command ssh is the server
	What    string // for messages: "endpoint" or "hub"
}

// SSH says who may log in to an appliance, as root, and for how long.
type SSH struct {
	AuthorizedKeys []byte // the text of an authorized_keys file
	Password       string // empty: none
	Time           time.Duration
}

// SSHAccess is how the appliance is reached.
type SSHAccess struct {
	Address netip.AddrPort
	HostKey string // SHA-256 fingerprint, as ssh shows it
}

// service makes what the appliance is told. ErrInvalid if nobody could log in.
func (s SSH) service(h SSHHost) (guest.Debug, error) {
	c := guest.SSH{Name: h.Name, Interface: h.Iface, Port: PortSSH}
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
		Service: &guest.Service{Name: sshService, Args: []string{h.Program, "ssh", "--config", sshFile}}}, err
}

// Enable switches the SSH server on, and waits until it serves. Who was logged in before is no more.
func (h SSHHost) Enable(ctx context.Context, sess *session.Session, s SSH) (SSHAccess, error) {
	d, err := s.service(h)
	if err != nil {
		return SSHAccess{}, err
	}
	now, err := readSnapshot(ctx, sess.Client(), h.VM.Reference(), h.Iface)
	if err != nil {
		return SSHAccess{}, vsphere.Classify(err)
	}
	if now.power != types.VirtualMachinePowerStatePoweredOn {
		return SSHAccess{}, advice.Wrap(fmt.Errorf("the %s VM is off: %w", h.What, errdef.ErrUnavailable), "power it on")
	}
	snap, err := h.debug(ctx, sess, d, true)
	if err != nil {
		return SSHAccess{}, err
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(snap.status.Debug.Message))
	if err != nil {
		return SSHAccess{}, fmt.Errorf("host key of the %s %q: %w: %w", h.What, snap.status.Debug.Message, errdef.ErrInvalid, err)
	}
	return SSHAccess{Address: netip.AddrPortFrom(snap.address, PortSSH), HostKey: ssh.FingerprintSHA256(key)}, nil
}

// Disable switches it off; who is logged in is no more.
func (h SSHHost) Disable(ctx context.Context, sess *session.Session) error {
	now, err := readSnapshot(ctx, sess.Client(), h.VM.Reference(), h.Iface)
	if err != nil {
		return vsphere.Classify(err)
	}
	_, err = h.debug(ctx, sess, guest.Debug{}, now.power == types.VirtualMachinePowerStatePoweredOn)
	return err
}

// debug tells the appliance and waits until it has done so, if it is on.
func (h SSHHost) debug(ctx context.Context, sess *session.Session, d guest.Debug, on bool) (snapshot, error) {
	d.ID = strconv.FormatInt(time.Now().UnixNano(), 36)
	b, err := json.Marshal(d)
	if err != nil {
		return snapshot{}, err
	}
	task, err := h.VM.Reconfigure(ctx, types.VirtualMachineConfigSpec{ExtraConfig: []types.BaseOptionValue{
		&types.OptionValue{Key: keyDebug, Value: string(b)}}})
	if err := session.Wait(ctx, task, err); err != nil {
		return snapshot{}, advice.Wrap(fmt.Errorf("change the %s VM: %w", h.What, err), "look at the task in vSphere: its description tells more")
	}
	if !on {
		return snapshot{}, nil // nothing runs in it, and nothing will
	}
	want := guest.DebugOff
	if d.Service != nil {
		want = "ready"
	}
	return h.debugged(ctx, sess, d.ID, want)
}

// debugged waits for a state of what has this ID.
func (h SSHHost) debugged(ctx context.Context, sess *session.Session, id, want string) (s snapshot, err error) {
	filter := new(property.WaitFilter).Add(h.VM.Reference(), h.VM.Reference().Type, []string{"runtime.powerState", "guest.ipAddress", "config.extraConfig"})
	filter.Options = &types.WaitOptions{MaxWaitSeconds: types.NewInt32(round)}
	for done := false; !done; {
		var failed error
		err := property.WaitForUpdatesEx(ctx, property.DefaultCollector(sess.Client()), filter, func([]types.ObjectUpdate) bool {
			s, failed = readSnapshot(ctx, sess.Client(), h.VM.Reference(), h.Iface)
			if d := s.status.Debug; failed == nil && d != nil && d.ID == id {
				done = d.State == want
				if strings.HasPrefix(d.State, "exited") || strings.HasPrefix(d.State, "failed") {
					failed = advice.Wrap(fmt.Errorf("the SSH server of the %s: %s: %w", h.What, d.State, errdef.ErrUnavailable),
						"look at the console of its VM; one of an older version may have no SSH server: upgrade it")
				}
			}
			return done || failed != nil
		})
		switch {
		case failed != nil:
			return s, failed
		case ctx.Err() != nil:
			return s, advice.Wrap(fmt.Errorf("the %s has not answered: %w", h.What, context.Cause(ctx)),
				"look at the console of its VM; one of an older version may have no SSH server: upgrade it")
		case err != nil && !done:
			return s, fmt.Errorf("wait for the %s VM: %w", h.What, vsphere.Classify(err))
		}
	}
	return s, nil
}

// SSHHost is the endpoint as one.
func (e *Editor) SSHHost() SSHHost {
	return SSHHost{Name: e.ep.Record.Name, VM: e.vm, Iface: e.ep.managementInterface(), Program: "/usr/bin/vicd", What: "endpoint"}
}

// managementInterface is the one on which administrators reach the endpoint.
func (r *Record) managementInterface() string {
	if n := r.nic(RoleManagement); n.Interface != "" {
		return n.Interface
	}
	return RolePublic
}
