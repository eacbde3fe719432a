// Package devicewire converts disks and NICs for the kinds that hand them on. Its functions are pure.
package devicewire

import (
	"github.com/openvic/vic/sdk/device"
	devicev1 "github.com/openvic/vic/sdk/proto/device/v1"
)

// FromDisk makes the wire's form.
func FromDisk(d device.Disk) *devicev1.Disk {
	return &devicev1.Disk{Kind: d.Kind, Locator: d.Locator, ReadOnly: d.ReadOnly}
}

// ToDisk is the way back.
func ToDisk(d *devicev1.Disk) device.Disk {
	return device.Disk{Kind: d.GetKind(), Locator: d.GetLocator(), ReadOnly: d.GetReadOnly()}
}

// FromNIC makes the wire's form.
func FromNIC(n device.NIC) *devicev1.Nic {
	return &devicev1.Nic{Kind: n.Kind, Locator: n.Locator, Mac: n.MAC}
}

// ToNIC is the way back.
func ToNIC(n *devicev1.Nic) device.NIC {
	return device.NIC{Kind: n.GetKind(), Locator: n.GetLocator(), MAC: n.GetMac()}
}
