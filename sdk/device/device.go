// Package device names what a VM is made of across the borders between plugin kinds: a storage
// driver hands out disks and a network driver hands out NICs that a compute driver attaches.
// The host passes them on without looking inside; it only compares the kind with what the compute
// driver says it can attach.
package device

// Disk is something that a compute driver can attach as a block device.
type Disk struct {
	// Kind says how to read Locator. Compute drivers list the kinds they attach in their
	// capabilities as "disk:<kind>".
	Kind string
	// Locator is opaque to the host, e.g. "[datastore1] vch/volumes/db/db.vmdk".
	Locator string
	// ReadOnly asks for a disk that the guest cannot write.
	ReadOnly bool
}

// The kinds of disk that this project's drivers know.
const (
	// KindVMDK is an existing virtual disk; Locator is its datastore path.
	KindVMDK = "vmdk"
	// KindVMDKDelta is a disk that the compute driver makes in the VM's own folder when it makes
	// the VM, as a child of the existing disk that Locator names. It goes when the VM goes.
	KindVMDKDelta = "vmdk-delta"
	// KindNFS is a network share, which the guest mounts and compute drivers never see. Locator is
	// "nfs://host/path", with the protocol version and mount options of nfs(5) as its query:
	// "nfs://filer/export?vers=4.1&soft".
	KindNFS = "nfs"
)

// NIC is a network card and what it is connected to.
type NIC struct {
	// Kind says how to read Locator; in capabilities "nic:<kind>".
	Kind string
	// Locator is opaque to the host, e.g. a distributed port group's key "dvportgroup-12".
	Locator string
	// MAC is the card's address, "02:42:ac:10:00:02"; empty lets the platform choose. A network driver
	// always gives one, the same at each Join: the guest finds the card by it.
	MAC string
}

// The kinds of NIC that this project's drivers know.
const (
	// KindPortgroup is a distributed port group; Locator is its managed object id.
	KindPortgroup = "portgroup"
)

// How drivers say in their capabilities which kinds they attach and which they hand out; the kind
// follows: "disk:vmdk". A storage driver that says "makes-disk:x" needs a compute driver that says
// "disk:x".
const (
	CapDisk      = "disk:"
	CapNIC       = "nic:"
	CapMakesDisk = "makes-disk:"
	CapMakesNIC  = "makes-nic:"
)
