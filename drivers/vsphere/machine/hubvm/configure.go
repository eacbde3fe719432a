package hubvm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/certs"
	"github.com/openvic/vic/drivers/vsphere/machine/progress"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/drivers/vsphere/machine/vch"
	vsphere "github.com/openvic/vic/drivers/vsphere/session"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/guest/hubguest"
)

// Change is what configure changes; the zero values change nothing.
type Change struct {
	CPUs     int32
	MemoryMB int64
	Static   vch.Static
	DNS      []netip.Addr
	Server   certs.Pair
	Patience time.Duration // how long the hub may take to serve before the old settings come back

	authorities []byte // of vCenter, in PEM; nil: not asked
}

// Configure puts a Change, and a certificate of vCenter's that has changed, into effect by booting the hub's VM anew, and returns
// what changed. If the hub does not serve with it in time, what was before comes back, which is an error all the same.
func Configure(ctx context.Context, s *session.Session, q Query, ch Change, log *progress.Log) (changed []string, err error) {
	e, err := open(ctx, s, q, log)
	if err != nil {
		return nil, err
	}
	before, err := e.settings(ctx)
	if err != nil {
		return nil, err
	}
	after := settings{record: *e.record, cpus: before.cpus, memoryMB: before.memoryMB}
	if err := json.Unmarshal([]byte(before.config), &after.guest); err != nil || after.guest.Appliance == nil || len(after.guest.Networks) != 1 {
		return nil, fmt.Errorf("the configuration of the hub's VM cannot be read: %w", errdef.ErrInvalid)
	}
	if e.record.SSO != nil {
		if ch.authorities, err = s.Target.Authorities(ctx); err != nil {
			return nil, err
		}
	}
	if changed = after.apply(ch); len(changed) == 0 {
		return nil, nil
	}
	text, err := json.Marshal(after.guest)
	if err != nil {
		return nil, err
	}
	after.config = string(text)
	e.log.Printf("changing the hub %s: %s", e.record.Name, strings.Join(changed, ", "))
	err = e.reboot(ctx, after, ch.Patience)
	if err == nil {
		return changed, nil
	}
	err = fmt.Errorf("the hub does not serve with its new settings: %w", err)
	e.log.Printf("%v; putting the old ones back", err)
	back, cancel := context.WithTimeout(context.WithoutCancel(ctx), ch.Patience+2*cleanupTime)
	defer cancel()
	look := e.path(e.record.Name, config.ConsoleLog)
	if berr := e.reboot(back, before, ch.Patience+cleanupTime); berr != nil {
		return nil, errors.Join(err, advice.Wrap(fmt.Errorf("the old ones could not be put back: %w", berr), "look at the console of the VM, %s", look))
	}
	return nil, advice.Wrap(fmt.Errorf("%w; the old ones are back", err), "look at the console of the VM, %s", look)
}

// settings are what configure can change.
type settings struct {
	record   Record
	cpus     int32
	memoryMB int64
	config   string // for guestinfo
	guest    guest.Config
}

// settings reads those of now; somebody may have changed the hardware in vSphere.
func (e *editor) settings(ctx context.Context) (settings, error) {
	var m mo.VirtualMachine
	err := property.DefaultCollector(e.vm.Client()).RetrieveOne(ctx, e.vm.Reference(),
		[]string{"config.extraConfig", "config.hardware.numCPU", "config.hardware.memoryMB"}, &m)
	if err != nil {
		return settings{}, fmt.Errorf("read the VM: %w", vsphere.Classify(err))
	}
	out := settings{record: *e.record}
	if m.Config != nil {
		out.config, _ = object.OptionValueList(m.Config.ExtraConfig).GetString(keyConfig)
		out.cpus, out.memoryMB = m.Config.Hardware.NumCPU, int64(m.Config.Hardware.MemoryMB)
	}
	return out, nil
}

// apply makes the changes and names them.
func (s *settings) apply(ch Change) (changed []string) {
	note := func(name string, differs bool) bool {
		if differs {
			changed = append(changed, name)
		}
		return differs
	}
	if note("cpu", ch.CPUs != 0 && ch.CPUs != s.cpus) {
		s.cpus, s.record.CPUs = ch.CPUs, ch.CPUs
	}
	if note("memory", ch.MemoryMB != 0 && ch.MemoryMB != s.memoryMB) {
		s.memoryMB, s.record.MemoryMB = ch.MemoryMB, ch.MemoryMB
	}
	if note("public-network-ip", ch.Static.Address.IsValid() && (ch.Static.Address != s.record.Static.Address || ch.Static.Gateway != s.record.Static.Gateway)) {
		s.record.Static = ch.Static
		n := &s.guest.Networks[0]
		n.DHCP, n.Addresses, n.Gateway = false, []netip.Prefix{ch.Static.Address}, ch.Static.Gateway
	}
	if note("dns-server", len(ch.DNS) > 0 && !slices.Equal(ch.DNS, s.record.DNS)) {
		s.record.DNS, s.guest.DNS.Servers = ch.DNS, ch.DNS
	}
	differs := false
	for i, f := range s.guest.Appliance.Files {
		if want, ok := map[string][]byte{fileCert: ch.Server.Cert, fileKey: ch.Server.Key}[f.Path]; ok && len(want) > 0 && !bytes.Equal(f.Data, want) {
			s.guest.Appliance.Files[i].Data, differs = want, true
		}
	}
	if !differs && len(ch.Server.Cert) > 0 {
		differs = hubguest.SetCertificate(&s.guest, ch.Server.Cert, ch.Server.Key)
	}
	note("tls-server-cert", differs)
	note("vCenter's certificate", s.renewTrust(ch.authorities))
	return changed
}

// reboot boots the VM with these settings.
func (e *editor) reboot(ctx context.Context, s settings, patience time.Duration) error {
	*e.record = s.record
	return e.bootWith(ctx, patience, types.VirtualMachineConfigSpec{NumCPUs: s.cpus, MemoryMB: s.memoryMB,
		ExtraConfig: []types.BaseOptionValue{option(keyConfig, s.config)}})
}
