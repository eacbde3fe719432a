// Package vch makes, lists, inspects and removes virtual container hosts.
//
// A VCH is known by the Record in the extraConfig of its endpoint VM, and by the same Record in a
// file of its datastore folder. Create leaves either a VCH that serves or nothing; Delete removes
// whatever of a VCH is there, so both can be interrupted and run again.
package vch

import (
	"net/netip"
	"time"

	"github.com/vmware/govmomi/object"

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
)

// The ports that an endpoint serves on.
const (
	PortDockerTLS = config.PortDockerTLS
	PortDocker    = config.PortDocker
	PortAdmin     = config.PortAdmin
)

// Spec is what the administrator wants, checked but not yet looked up in vSphere.
type Spec struct {
	Settings
	Name         string
	Version      string
	StateGB      int64 // size of the state disk, which is thin
	ApplianceISO string
	BootstrapISO string
	// Ops is the account that the endpoint uses; without a user it is that of the session.
	Ops      Login
	GrantOps bool // give that account the privileges that it needs
	// RegistryCAs are authorities of registries, PEM.
	RegistryCAs [][]byte
	// Hub is the hub whose projects' resource the VCH becomes; nil: none.
	Hub *HubSpec
	// Options are the options of create as they were given, for inspect config; no secrets.
	Options map[string][]string
}

// Login is an account of vSphere.
type Login struct{ User, Password string }

// DockerPort is where the Docker API will be.
func (s Settings) DockerPort() int {
	if s.NoTLS {
		return PortDocker
	}
	return PortDockerTLS
}

// Gateway is the endpoint's address on the bridge: the first of its range.
func (s Settings) Gateway() netip.Addr { return s.BridgeRange.Masked().Addr().Next() }

// Resources are the vSphere objects that the names of a Spec stand for; package precheck finds them.
type Resources struct {
	Session    *session.Session
	Datacenter *object.Datacenter
	Folder     *object.Folder       // for VMs
	Pool       *object.ResourcePool // the parent of the VCH's own
	Files      session.Files        // the image store's datastore
	StorePath  string               // folder of the image store; empty: the VCH's own folder
	// VolumeStores are where volumes will lie.
	VolumeStores []VolumeStore
	Bridge       object.NetworkReference
	Public       object.NetworkReference
	Client       object.NetworkReference // nil: the public one
	Management   object.NetworkReference // nil: the public one
	Cluster      string                  // managed object id; empty: a single host
	BridgeName   string
	PublicName   string
	Containers   []ContainerNetwork // that containers may join
	Unfinished   *Record            // what an interrupted create of this VCH left, which is removed first
}

// Ready is an endpoint that serves.
type Ready struct {
	VM      string // managed object id of the endpoint VM
	Address netip.Addr
	Port    int
	Took    time.Duration
}
