package inventory

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/sdk/guest"
)

// The extraConfig keys that make a VM one of ours, beside those below guest.Prefix.
const (
	KeyID       = "vic.id"       // the container's ID
	KeyVCH      = "vic.vch"      // the VCH's name
	KeyMetadata = "vic.metadata" // the host's, base64
	KeyLayers   = "vic.layers"   // datastore paths that the VM's delta disks stand on, separated by "|"
	KeyVolumes  = "vic.volumes"  // datastore paths of the volumes that the VM has attached, separated by "|"
	KeyNetwork  = "vic.network"  // what the guest was told of its networks (see NetworkOf)
	keyPrefix   = "vic."
)

// Machine is what the cache knows of one VM. It is never changed once it is in the cache.
type Machine struct {
	Ref      types.ManagedObjectReference
	Name     string
	State    types.VirtualMachinePowerState
	BootTime time.Time
	CPUs     int32
	MemoryMB int64
	Version  string // config.changeVersion
	IP       string
	VMX      string            // datastore path of the .vmx
	Extra    map[string]string // the keys below "vic." and guest.Prefix
}

// ID is the container's ID; empty if the VM is not a container VM.
func (m *Machine) ID() string { return m.Extra[KeyID] }

// Guest returns the value of a guest key.
func (m *Machine) Guest(key string) string { return m.Extra[guest.Prefix+key] }

// NetworkOf returns the guest.NetworkConfig, as JSON, that is in the keys which a guest is given, or "". It is
// kept in KeyNetwork as well, since every process in a VM may write guestinfo keys on ESXi, and must not take
// another container's address or name by that.
func NetworkOf(keys map[string]string) string {
	if s := keys[guest.KeyNetwork]; s != "" {
		return s
	}
	var c guest.Config
	if s := keys[guest.KeyConfig]; s == "" || json.Unmarshal([]byte(s), &c) != nil {
		return ""
	}
	b, err := json.Marshal(c.Network())
	if err != nil {
		return ""
	}
	return string(b)
}

// Network returns what the guest was told of its networks; VMs of earlier versions have it in the guest's
// own keys alone.
func (m *Machine) Network() guest.NetworkConfig {
	s := m.Extra[KeyNetwork]
	if s == "" {
		s = NetworkOf(map[string]string{guest.KeyNetwork: m.Guest(guest.KeyNetwork), guest.KeyConfig: m.Guest(guest.KeyConfig)})
	}
	var n guest.NetworkConfig
	if json.Unmarshal([]byte(s), &n) != nil {
		return guest.NetworkConfig{}
	}
	return n
}

// Layers returns the disks that the VM's own disks stand on.
func (m *Machine) Layers() []string {
	if s := m.Extra[KeyLayers]; s != "" {
		return strings.Split(s, "|")
	}
	return nil
}

// Volumes returns the disks of volumes that the VM has attached.
func (m *Machine) Volumes() []string {
	if s := m.Extra[KeyVolumes]; s != "" {
		return strings.Split(s, "|")
	}
	return nil
}

// Dir is the VM's folder on the datastore, "[ds] dir".
func (m *Machine) Dir() string {
	var p object.DatastorePath
	if !p.FromString(m.VMX) {
		return ""
	}
	dir, _, ok := cutLast(p.Path, "/")
	if !ok {
		return ""
	}
	return (&object.DatastorePath{Datastore: p.Datastore, Path: dir}).String()
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// properties are what the collector reads of each VM.
func properties() []string {
	return []string{"name", "runtime.powerState", "summary.runtime.bootTime", "config.extraConfig", "config.hardware.numCPU",
		"config.hardware.memoryMB", "config.changeVersion", "config.files.vmPathName", "guest.ipAddress"}
}

// with returns a copy of m with one property changed; a nil value clears it.
func (m *Machine) with(changes []types.PropertyChange) *Machine {
	n := *m
	for _, c := range changes {
		n.set(c)
	}
	return &n
}

func (m *Machine) set(c types.PropertyChange) {
	switch c.Name {
	case "name":
		m.Name, _ = c.Val.(string)
	case "runtime.powerState":
		m.State, _ = c.Val.(types.VirtualMachinePowerState)
	case "summary.runtime.bootTime":
		m.BootTime, _ = c.Val.(time.Time)
	case "config.hardware.numCPU":
		m.CPUs, _ = c.Val.(int32)
	case "config.hardware.memoryMB":
		n, _ := c.Val.(int32)
		m.MemoryMB = int64(n)
	case "config.changeVersion":
		m.Version, _ = c.Val.(string)
	case "config.files.vmPathName":
		m.VMX, _ = c.Val.(string)
	case "guest.ipAddress":
		m.IP, _ = c.Val.(string)
	case "config.extraConfig":
		a, _ := c.Val.(types.ArrayOfOptionValue)
		m.Extra = map[string]string{}
		for _, o := range a.OptionValue {
			v := o.GetOptionValue()
			if strings.HasPrefix(v.Key, keyPrefix) || strings.HasPrefix(v.Key, guest.Prefix) {
				m.Extra[v.Key] = fmt.Sprint(v.Value)
			}
		}
	}
}

// same says that nothing that anyone looks at differs.
func (m *Machine) same(o *Machine) bool {
	if m.Ref != o.Ref || m.Name != o.Name || m.State != o.State || !m.BootTime.Equal(o.BootTime) || m.CPUs != o.CPUs ||
		m.MemoryMB != o.MemoryMB || m.Version != o.Version || m.IP != o.IP || m.VMX != o.VMX || len(m.Extra) != len(o.Extra) {
		return false
	}
	for k, v := range m.Extra {
		if w, ok := o.Extra[k]; !ok || v != w {
			return false
		}
	}
	return true
}
