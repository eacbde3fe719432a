package engine

import (
	"context"
	"encoding/json"
	"net/netip"
	"time"

	"github.com/openvic/vic/core/link"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/network"
)

// Status is where a container is in its life, in Docker's words.
type Status string

// The statuses.
const (
	StatusCreated Status = "created"
	StatusRunning Status = "running"
	StatusPaused  Status = "paused"
	// StatusRestarting: the process has ended and will be started again.
	StatusRestarting Status = "restarting"
	StatusExited     Status = "exited"
	StatusRemoving   Status = "removing"
)

// State is how a container is.
type State struct {
	Status   Status
	Pid      int
	ExitCode int
	OOM      bool
	Error    string // why the last start failed
	Started  time.Time
	Finished time.Time
	Restarts int          // by the policy, since the container was started
	Health   *link.Health // nil: no health check; never changed in place
}

// Running says whether the container's process runs, or is suspended with its VM, or will run again
// without anybody's doing.
func (s State) Running() bool {
	return s.Status == StatusRunning || s.Status == StatusPaused || s.Status == StatusRestarting
}

// Image is what a container is made from.
type Image struct {
	ID    string
	Ref   string // as the user wrote it
	Layer string // chain ID of the top layer; empty if there is none
}

// Images is what the engine needs of the image service.
type Images interface {
	// Hold keeps a layer from being removed while a container stands on it.
	Hold(ctx context.Context, containerID, layer string) error
	// Release ends Hold; no error if there is none.
	Release(ctx context.Context, containerID string) error
}

// Run is the record of a container's last run that the engine keeps itself, for when the guest
// could not leave one.
type Run struct {
	Started  time.Time `json:"started,omitzero"`
	Finished time.Time `json:"finished,omitzero"`
	ExitCode int       `json:"exitCode,omitempty"`
	Restarts int       `json:"restarts,omitempty"`
}

// Spec is what the maker of a container decides and its definition keeps as it was given.
type Spec struct {
	Image       Image             `json:"image"`
	Process     guest.Process     `json:"process"`
	Labels      map[string]string `json:"labels,omitempty"`
	AutoRemove  bool              `json:"autoRemove,omitempty"`
	StopSignal  int               `json:"stopSignal,omitempty"`
	StopTimeout *int              `json:"stopTimeout,omitempty"` // seconds
	NoNetwork   bool              `json:"noNetwork,omitempty"`   // it is on none and can never be
	Hostname    string            `json:"hostname,omitempty"`    // empty in a request: the short ID
	Domainname  string            `json:"domainname,omitempty"`
	Hosts       []guest.Host      `json:"hosts,omitempty"`
	DNS         guest.DNS         `json:"dns,omitzero"` // empty: the network's
	Ports       []Port            `json:"ports,omitempty"`
	ReadOnly    bool              `json:"readOnly,omitempty"` // the root file system
	Restart     guest.Restart     `json:"restart,omitzero"`
	Limits      guest.Limits      `json:"limits,omitzero"`
}

// Definition is all that the engine knows of a container apart from its state. It is kept with the
// VM as its metadata.
type Definition struct {
	Version int       `json:"version"`
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
	Spec
	CPUs     int32        `json:"cpus"`
	MemoryMB int64        `json:"memoryMB"`
	Networks []Attachment `json:"networks,omitempty"`
	// Published are Ports as they were bound at the last start.
	Published []network.Port `json:"published,omitempty"`
	Mounts    []MountPoint   `json:"mounts,omitempty"`
	LastRun   Run            `json:"lastRun,omitzero"`
	// ManuallyStopped: a user ended it, so that the policy unless-stopped leaves it alone.
	ManuallyStopped bool `json:"manuallyStopped,omitempty"`
	HealthCheck     bool `json:"healthCheck,omitempty"`
	// Update is what was last written to the guest's KeyUpdate.
	Update guest.Update `json:"update,omitzero"`
	// API is the API layer's own: the request that made the container.
	API json.RawMessage `json:"api,omitempty"`
}

// Container is a view of one container at one moment.
type Container struct {
	Definition
	State   State
	ExecIDs []string
	Locator string // the platform's name of the VM
	// Addresses as the guest reports them.
	Addresses []netip.Addr
}

// CreateRequest describes a container to make. What else there is, it names: see Create.
type CreateRequest struct {
	Name string // empty: one is made up
	Spec
	// Guest is what the guest alone is told: Log, Health, Security, Tmpfs, Sysctl and ShmSize. The rest of
	// it is the engine's to fill in.
	Guest  guest.Config
	CPUs   float64 // rounded up; 0: the default
	Memory int64   // bytes, rounded up; 0: the default
	// Networks are those to be on, the default one if there are none, unless NoNetwork is set.
	Networks []NetworkRequest
	// GatewayNames stand for the host, which is the gateway of the first network.
	GatewayNames []string
	// Replaces: the container will be started in the place of another, whose ports it may ask for
	// though that one still has them.
	Replaces    bool
	Mounts      []MountRequest
	VolumesFrom []VolumesFrom
	// API makes the API layer's part of the definition, with the final name and ID.
	API func(id, name string) (json.RawMessage, error)
}
