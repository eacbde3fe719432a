package vsphere

import (
	"fmt"
	"strings"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/sdk/guest"
)

// answer replies to a line of a VM's guestinfo port, as VMware's RPCI does.
func (s *Server) answer(ref types.ManagedObjectReference, line string) string {
	cmd, rest, _ := strings.Cut(line, " ")
	key, _, _ := strings.Cut(rest, " ") // values may be secret
	s.cfg.Log.Debug("guest asks", "vm", ref.Value, "command", cmd, "key", key)
	switch {
	case cmd == "info-get":
		if v, ok := s.guestGet(ref, strings.TrimSpace(rest)); ok {
			return "1 " + v
		}
		return "0 No value found"
	case cmd == "info-set":
		k, v, _ := strings.Cut(rest, " ")
		if !strings.HasPrefix(k, "guestinfo.") {
			return "0 Permission denied"
		}
		s.guestSet(ref, k, v)
		return "1 "
	case line == guest.TimeCommand:
		now := time.Now()
		return fmt.Sprintf("1 %d %d", now.Unix(), now.Nanosecond()/1000)
	case strings.HasPrefix(cmd, "tools."):
		s.withVM(ref, func(ctx *simulator.Context, vm *simulator.VirtualMachine) {
			setTools(ctx, vm, true, vm.Guest.IpAddress)
		})
		return "1 "
	}
	return "0 Unknown command"
}

func (s *Server) withVM(ref types.ManagedObjectReference, f func(*simulator.Context, *simulator.VirtualMachine)) {
	if vm := s.vm(ref); vm != nil {
		ctx := s.context()
		ctx.WithLock(vm, func() { f(ctx, vm) })
	}
}

func (s *Server) guestGet(ref types.ManagedObjectReference, key string) (v string, ok bool) {
	if !strings.HasPrefix(key, "guestinfo.") {
		return "", false
	}
	s.withVM(ref, func(_ *simulator.Context, vm *simulator.VirtualMachine) {
		for _, o := range vm.Config.ExtraConfig {
			if o.GetOptionValue().Key == key {
				v, ok = fmt.Sprint(o.GetOptionValue().Value), true
			}
		}
		if key == keyOVFEnvironment && !ok {
			v, ok = ovfEnvironment(vm)
		}
	})
	return v, ok
}

func (s *Server) guestSet(ref types.ManagedObjectReference, key, value string) {
	s.withVM(ref, func(ctx *simulator.Context, vm *simulator.VirtualMachine) {
		if key == guest.IPKey {
			setTools(ctx, vm, true, value)
		}
		setExtraConfig(ctx, vm, key, value)
	})
}

// setExtraConfig sets one key and reports it as a change of the list and of the key.
func setExtraConfig(ctx *simulator.Context, vm *simulator.VirtualMachine, key, value string) {
	opt := &types.OptionValue{Key: key, Value: value}
	ec := append([]types.BaseOptionValue(nil), vm.Config.ExtraConfig...)
	found := false
	for i, o := range ec {
		if o.GetOptionValue().Key == key {
			ec[i], found = opt, true
		}
	}
	if !found {
		ec = append(ec, opt)
	}
	f := mo.Field{Path: "config.extraConfig", Key: key}
	ctx.Update(vm, []types.PropertyChange{{Name: f.Path, Val: ec}, {Name: f.String(), Val: opt}})
}

// setTools reports the state of VMware Tools and the address. The paths are leaves: a waiter on
// "guest.ipAddress" does not see a change of "guest".
func setTools(ctx *simulator.Context, vm *simulator.VirtualMachine, running bool, ip string) {
	st, rs := types.VirtualMachineToolsStatusToolsNotRunning, types.VirtualMachineToolsRunningStatusGuestToolsNotRunning
	state := types.VirtualMachineGuestStateNotRunning
	if running {
		st, rs = types.VirtualMachineToolsStatusToolsOk, types.VirtualMachineToolsRunningStatusGuestToolsRunning
		state = types.VirtualMachineGuestStateRunning
	}
	nics := append([]types.GuestNicInfo(nil), vm.Guest.Net...)
	if len(nics) > 0 {
		nics[0].IpAddress, nics[0].Connected = nil, running
		if ip != "" {
			nics[0].IpAddress = []string{ip}
		}
	}
	ctx.Update(vm, []types.PropertyChange{
		{Name: "guest.toolsStatus", Val: st},
		{Name: "guest.toolsRunningStatus", Val: string(rs)},
		{Name: "guest.guestState", Val: string(state)},
		{Name: "summary.guest.toolsStatus", Val: st},
		{Name: "summary.guest.toolsRunningStatus", Val: string(rs)},
		{Name: "guest.ipAddress", Val: ip},
		{Name: "summary.guest.ipAddress", Val: ip},
		{Name: "guest.net", Val: nics},
	})
}
