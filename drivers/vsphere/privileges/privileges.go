// Package privileges is the list of vSphere privileges that the driver's account (the operations
// user) needs: derived from the calls that the driver makes, with the object on which vSphere checks
// each of them. docs/operations-user.md is made of it, and a test runs the driver with exactly these
// privileges, and then without each of them, against the lab, which enforces them as vSphere does.
//
// How to grant them: for each Place make a role with Role(place) (vCenter adds System.Anonymous,
// System.View and System.Read to every role by itself), and give it to the user on the objects of that
// place, propagating where Propagates says so.
package privileges

import "slices"

// Place is the kind of object on which privileges are granted.
type Place string

// The places.
const (
	// Datacenter is the datacenter of the VCH.
	Datacenter Place = "datacenter"
	// Datastore is each datastore that holds images, volumes or container VMs.
	Datastore Place = "datastore"
	// Network is the bridge's port group and each container network.
	Network Place = "network"
	// Switch is the distributed switch of each of these port groups. Reading is all that is needed.
	Switch Place = "switch"
	// VCH is the VCH's vApp; its VMs, the endpoint VM among them, inherit from it.
	VCH Place = "vch"
	// Pool is the VCH's resource pool where there are no vApps (a single ESXi host).
	Pool Place = "pool"
	// Folder is the VM folder of the VCH's VMs when it is a resource pool. The permission must not
	// propagate: the folder may hold VMs of others.
	Folder Place = "folder"
	// Cluster is the cluster of a VCH that has a DRS VM group, and only then a place. The permission must
	// not propagate.
	Cluster Place = "cluster"
)

// Places lists the places in which a VCH that is a vApp needs something; with pool those of a VCH
// that is a resource pool.
func Places(pool bool) []Place {
	if pool {
		return []Place{Datacenter, Datastore, Network, Switch, Pool, Folder}
	}
	return []Place{Datacenter, Datastore, Network, Switch, VCH}
}

// Propagates says whether a place's permission must reach the objects below.
func (p Place) Propagates() bool { return p == VCH || p == Pool }

// Privilege is one privilege that is needed.
type Privilege struct {
	ID  string // as vSphere names it, such as Datastore.FileManagement
	For string // what the driver does with it
}

// Needs lists what is needed in a place. System.Read, which every role holds, is not in the list.
func Needs(p Place) []Privilege {
	switch p {
	case Datacenter:
		return []Privilege{
			{"Datastore.Browse", "read image metadata over HTTP; the URL names the datacenter"},
			{"Datastore.FileManagement", "make, copy, read, write and delete files of images; the calls name the datacenter"},
		}
	case Datastore:
		return []Privilege{
			{"Datastore.AllocateSpace", "create container VMs and the disks of containers and images"},
			{"Datastore.Browse", "list images, read their metadata"},
			{"Datastore.FileManagement", "make, copy, read, write and delete files of images"},
		}
	case Network:
		return []Privilege{{"Network.Assign", "connect container VMs"}}
	case VCH:
		return slices.Concat([]Privilege{{"VApp.AssignVM", "create container VMs in the vApp"}}, birth(), life())
	case Pool:
		return slices.Concat([]Privilege{
			{"Resource.AssignVMToPool", "create container VMs in the resource pool"},
			{"VirtualMachine.Inventory.Delete", "remove container VMs"},
		}, disks(), life())
	case Folder:
		return birth()
	case Cluster:
		return []Privilege{{"Host.Inventory.EditCluster", "put container VMs into the VCH's DRS VM group"}}
	}
	return nil
}

// birth lists what is asked for where VMs are made and removed.
func birth() []Privilege {
	return slices.Concat([]Privilege{
		{"VirtualMachine.Inventory.Create", "create container VMs"},
		{"VirtualMachine.Inventory.Delete", "remove container VMs"},
	}, disks())
}

// disks lists what is asked for both when a VM is made and when it is changed.
func disks() []Privilege {
	return []Privilege{
		{"VirtualMachine.Config.AddNewDisk", "give a container its disk; write an image's layer"},
		{"VirtualMachine.Config.AddExistingDisk", "read the disk of a stopped container from the endpoint VM; attach volumes"},
		{"VirtualMachine.Config.AdvancedConfig", "write a container's configuration (guestinfo)"},
	}
}

// life lists what is asked for on VMs that are there.
func life() []Privilege {
	return []Privilege{
		{"VirtualMachine.Config.RemoveDisk", "take disks out of the endpoint VM again; keep volumes when a container is removed"},
		{"VirtualMachine.Config.AddRemoveDevice", "docker network connect and disconnect"},
		{"VirtualMachine.Config.Rename", "docker rename"},
		{"VirtualMachine.Config.CPUCount", "docker update --cpus"},
		{"VirtualMachine.Config.Memory", "docker update --memory"},
		{"VirtualMachine.Interact.PowerOn", "start containers"},
		{"VirtualMachine.Interact.PowerOff", "stop and kill containers"},
	}
}

// Role lists the ids of Needs.
func Role(p Place) []string {
	ids := []string{}
	for _, n := range Needs(p) {
		ids = append(ids, n.ID)
	}
	return ids
}
