package vch

import (
	"net/netip"
	"strings"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/sdk/guest"
)

// Settings are an administrator's choices that the endpoint's configuration is made of. They are kept
// in the Record, so that one of them can be changed without the others being given again. They hold no
// secrets.
type Settings struct {
	BridgeRange netip.Prefix `json:"bridgeRange"`
	// BridgeWidth is the prefix length of the networks that docker network create makes, and of the
	// default bridge, which is the first of them in BridgeRange; 0: the default bridge has all of it.
	BridgeWidth int               `json:"bridgeWidth,omitempty"`
	Static      map[string]Static `json:"static,omitempty"` // by role; roles that are not there use DHCP
	DNS         []netip.Addr      `json:"dns,omitempty"`

	ContainerNetworks []ContainerNetwork `json:"containerNetworks,omitempty"`

	ContainerMemoryMB int64  `json:"containerMemoryMB"` // of container VMs for which docker run gives no -m
	LayerSizeGB       int64  `json:"layerSizeGB"`       // virtual size of image disks
	VolumeSizeMB      int64  `json:"volumeSizeMB,omitempty"`
	MaxContainers     int    `json:"maxContainers,omitempty"`
	AffinityVMGroup   bool   `json:"affinityVMGroup,omitempty"`
	NamePattern       string `json:"namePattern,omitempty"` // of container VMs; empty: {name}-{short}

	Memory Allocation `json:"memory,omitzero"` // MiB, of all container VMs and the endpoint together
	CPU    Allocation `json:"cpu,omitzero"`    // MHz, likewise

	EndpointCPU      int32 `json:"endpointCPU"`
	EndpointMemoryMB int64 `json:"endpointMemoryMB"`

	NoTLS    bool `json:"noTLS,omitempty"`
	NoVerify bool `json:"noVerify,omitempty"`

	RegistryMirrors    []string `json:"registryMirrors,omitempty"`
	InsecureRegistries []string `json:"insecureRegistries,omitempty"`
	AllowRegistries    []string `json:"allowedRegistries,omitempty"` // empty: all

	HTTPProxy  string `json:"httpProxy,omitempty"`
	HTTPSProxy string `json:"httpsProxy,omitempty"`
	NoProxy    string `json:"noProxy,omitempty"`

	Syslog string `json:"syslog,omitempty"`
	Debug  int    `json:"debug,omitempty"` // 1 and more: vicd logs for developers; create keeps what it made when it fails
}

// BridgeSubnet is the subnet of the default bridge network.
func (s Settings) BridgeSubnet() netip.Prefix {
	if s.BridgeWidth > s.BridgeRange.Bits() {
		return netip.PrefixFrom(s.BridgeRange.Masked().Addr(), s.BridgeWidth)
	}
	return s.BridgeRange.Masked()
}

// The roles of the endpoint's networks. Several may be on one NIC: that has the name of the first.
const (
	RolePublic     = "public"     // registries, vCenter, published ports; default route
	RoleClient     = "client"     // the Docker API
	RoleManagement = "management" // vCenter and the hosts
	RoleBridge     = "bridge"     // the container VMs
)

// Static is an address that DHCP does not give.
type Static struct {
	Address netip.Prefix  `json:"address"`
	Gateway netip.Addr    `json:"gateway,omitzero"` // default route; of the public network alone
	Routes  []guest.Route `json:"routes,omitempty"`
}

// ContainerNetwork is a port group that containers may join directly.
type ContainerNetwork struct {
	Name      string       `json:"name"`      // what docker calls it
	Portgroup string       `json:"portgroup"` // managed object id, or on ESXi the name
	Kind      string       `json:"kind"`      // type of the managed object
	Network   string       `json:"network"`   // the port group's name
	Subnet    netip.Prefix `json:"subnet,omitzero"`
	Gateway   netip.Addr   `json:"gateway,omitzero"`
	Ranges    []string     `json:"ranges,omitempty"` // "first-last" or CIDR
	DNS       []netip.Addr `json:"dns,omitempty"`
	Firewall  string       `json:"firewall,omitempty"`
}

// Allocation bounds what a VCH's VMs use together; 0 or empty is vSphere's default.
type Allocation struct {
	Limit       int64  `json:"limit,omitempty"`
	Reservation int64  `json:"reservation,omitempty"`
	Shares      string `json:"shares,omitempty"` // low, normal, high, or a number
}

// NIC is one of the endpoint VM.
type NIC struct {
	Interface string   `json:"interface"` // its name in the guest: that of its first role
	Roles     []string `json:"roles"`
	Network   string   `json:"network"` // managed object id
	Name      string   `json:"name"`    // of the network
}

// nic is the one that has a role.
func (r *Record) nic(role string) NIC {
	for _, n := range r.NICs {
		for _, have := range n.Roles {
			if have == role {
				return n
			}
		}
	}
	return NIC{}
}

// BridgeRef is the bridge network.
func (r *Record) BridgeRef() types.ManagedObjectReference {
	kind := "Network"
	if strings.HasPrefix(r.Bridge, "dvportgroup-") {
		kind = "DistributedVirtualPortgroup"
	}
	return types.ManagedObjectReference{Type: kind, Value: r.Bridge}
}

// clientInterface is the one on which clients reach the Docker API.
func (r *Record) clientInterface() string {
	if n := r.nic(RoleClient); n.Interface != "" {
		return n.Interface
	}
	return RolePublic
}

// adminInterfaces are those on which the admin API is served: all but the containers' own.
func (r *Record) adminInterfaces() []string {
	var out []string
	for _, n := range r.NICs {
		if n.Interface != RoleBridge {
			out = append(out, n.Interface)
		}
	}
	return out
}

// asks are the interfaces whose addresses DHCP gives.
func (r *Record) asks() []string {
	var out []string
	for _, n := range r.NICs {
		if _, static := r.Settings.Static[n.Interface]; !static && n.Interface != RoleBridge {
			out = append(out, n.Interface)
		}
	}
	return out
}

// allocation makes what vSphere wants of an Allocation; res begins as the default.
func (a Allocation) apply(res *types.ResourceAllocationInfo) error {
	limit := int64(-1)
	if a.Limit > 0 {
		limit = a.Limit
	}
	res.Limit, res.Reservation = &limit, &a.Reservation
	shares, err := ParseShares(a.Shares)
	res.Shares = shares
	return err
}

func (s Settings) resources() (types.ResourceConfigSpec, error) {
	res := types.DefaultResourceConfigSpec()
	if err := s.Memory.apply(&res.MemoryAllocation); err != nil {
		return res, err
	}
	return res, s.CPU.apply(&res.CpuAllocation)
}
