// Package compute is the plugin kind that runs container VMs. This file is all a driver's author
// has to read: the interface, its vocabulary and the errors.
//
// # Rules
//
//   - IDs are chosen by the host (64 hexadecimal digits). Every method may be called again with the
//     same arguments, after a crash for example, and then has the same outcome: Create of a VM that
//     is there with the same ID returns it, Start of a running VM and Kill of a stopped one succeed,
//     Remove of one that is gone succeeds.
//   - Calls for different VMs may run at the same time; the host serialises those for one VM.
//   - The truth is in the platform. The driver keeps with the VM all that it was given in
//     CreateRequest and returns it in Get, List and Watch, also after its own restart and for VMs
//     that were changed by others. The host has no database.
//   - A VM outlives the driver's process.
//   - The guest is the project's bootstrap image, whose init is the tether. It takes the entries of
//     CreateRequest.Guest by VMware's RPCI, from the backdoor or from a virtio-serial port
//     (guest.RPCIPort), leaves its records there too, and dials where guest.Link says.
//   - A driver that knows how much its VMs may use is also a Reporter.
//
// # Errors
//
// All of sdk/errdef: ErrNotFound (no VM with this ID), ErrConflict (wrong power state), ErrExhausted
// (the platform has no room), ErrUnavailable (the platform does not answer; the host tries again),
// ErrInvalid (a disk or NIC that cannot be attached).
package compute

import (
	"context"
	"io"
	"net/netip"
	"time"

	"github.com/openvic/vic/sdk/device"
)

// Driver makes and runs VMs.
type Driver interface {
	// Create makes a VM, powered off, or leaves nothing behind.
	Create(ctx context.Context, req CreateRequest) (VM, error)
	// Start powers a VM on and returns when the platform says that it is on; the guest boots
	// afterwards.
	Start(ctx context.Context, id string) error
	// Stop asks the guest to shut down and returns at once; ErrUnsupported if the guest cannot be
	// asked now.
	Stop(ctx context.Context, id string) error
	// Kill powers a VM off at once and returns when it is off.
	Kill(ctx context.Context, id string) error
	// Remove destroys a VM that is off, with the disks that were made for it alone
	// (device.KindVMDKDelta). ErrConflict if it is running. Other disks stay.
	Remove(ctx context.Context, id string) error
	// Get returns one VM; ErrNotFound.
	Get(ctx context.Context, id string) (VM, error)
	// List returns all VMs that this driver manages.
	List(ctx context.Context) ([]VM, error)
	// Update changes the fields that are set.
	Update(ctx context.Context, req UpdateRequest) error
	// Watch calls fn with an EventSnapshot of all VMs first and then with every change, in order
	// for each VM, until ctx ends or fn returns an error; it returns that error. Changes that
	// others make to the platform are reported too.
	Watch(ctx context.Context, fn func(Event) error) error
	// Connect returns a byte stream to the tether of a VM: the tether's own connection, after its
	// preface line. It waits until there is one or ctx ends. Each tether connection is handed out
	// once; closing it makes the tether dial again. A second Connect for the same VM replaces
	// (closes) the stream of the first. A driver that returns a handover.NewConn of its socket is
	// spared the bytes: the host gets the socket itself.
	Connect(ctx context.Context, id string) (io.ReadWriteCloser, error)
}

// CreateRequest describes a VM.
type CreateRequest struct {
	ID       string
	Name     string // the container's name; the driver makes the platform's name from it
	CPUs     int32
	MemoryMB int64
	// Disks are attached in this order: disk i is found by the guest at SCSI target
	// guest.SCSITarget(i) of the first controller.
	Disks []device.Disk
	// NICs are attached in this order.
	NICs []device.NIC
	// Guest is handed to the guest: the driver stores each entry under "guestinfo.vic.<key>". It
	// adds the key "link" (guest.Link): where the tether dials.
	Guest map[string]string
	// Metadata is the host's; persisted with the VM and returned as it was.
	Metadata []byte
}

// UpdateRequest changes a VM. Nil or zero fields stay as they are.
type UpdateRequest struct {
	ID       string
	Name     string
	Metadata []byte
	CPUs     int32
	MemoryMB int64
	// Guest entries are set; an empty value removes the key.
	Guest map[string]string
	// NICs is the complete list of the NICs that the VM shall have, told apart by their MACs, which
	// must be given; nil leaves them as they are. It works on a running VM too. The driver keeps
	// the link whole: where it needs a NIC for that, it stays or comes beside these.
	NICs *[]device.NIC
}

// State is a VM's power state.
type State string

// The power states.
const (
	StateOff       State = "off"
	StateRunning   State = "running"
	StateSuspended State = "suspended"
)

// VM is what a driver knows of one VM.
type VM struct {
	ID       string
	Name     string // the platform's name
	State    State
	CPUs     int32
	MemoryMB int64
	Metadata []byte
	// Exit is the guest's own record of the last run, if it left one; Start removes it.
	Exit *Exit
	// Addresses as the guest reported them.
	Addresses []netip.Addr
	// PoweredOn is when the VM was last powered on; zero if not known.
	PoweredOn time.Time
	// Locator is the platform's own identifier, for people ("vm-42").
	Locator string
}

// Exit is the end of a container's process.
type Exit struct {
	Code     int32
	OOM      bool
	Error    string // why the process could not be started; empty otherwise
	Started  time.Time
	Finished time.Time
}

// EventKind is the kind of an Event.
type EventKind string

// The kinds of Event.
const (
	EventSnapshot EventKind = "snapshot" // VMs holds all VMs; sent first, and again after a gap
	EventPut      EventKind = "put"      // VM is new or has changed
	EventRemove   EventKind = "remove"   // VM.ID is gone
)

// Event is one message of Watch.
type Event struct {
	Kind EventKind
	VM   VM
	VMs  []VM
}
