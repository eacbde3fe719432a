package vch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/sdk/errdef"
)

// RecordKey is the extraConfig key of an endpoint VM that holds its VCH's Record as JSON.
const RecordKey = "vic.vch"

// MarkerFile is the file in the VCH's datastore folder that holds the same Record.
const MarkerFile = "vic-vch.json"

// Record says what a VCH is made of. It holds no secrets.
type Record struct {
	Version    string    `json:"version"`
	Name       string    `json:"name"`
	ID         string    `json:"id"` // a UUID
	Created    time.Time `json:"created"`
	Datacenter string    `json:"datacenter"` // managed object ids, as all that follow
	ParentPool string    `json:"parentPool"`
	Pool       string    `json:"pool,omitempty"`
	PoolType   string    `json:"poolType"`
	Bridge     string    `json:"bridge"`
	BridgeName string    `json:"bridgeName"`
	Public     string    `json:"public"`
	PublicName string    `json:"publicName"`
	Datastore  string    `json:"datastore"`  // by name
	Folder     string    `json:"folder"`     // the VCH's folder on it
	ImageStore string    `json:"imageStore"` // "[datastore] path"
	// StoreDirs are the folders outside Folder that create made for the image store, outermost first.
	// The last is the VCH's alone; the others go when they are empty.
	StoreDirs []string `json:"storeDirs,omitempty"`
	// VolumeStores are the volume stores by label, as VolumeStore.Location; VolumeDirs the folders that
	// create made for them ("[datastore] path"), outermost first: they go when they are empty.
	VolumeStores map[string]string `json:"volumeStores,omitempty"`
	VolumeDirs   []string          `json:"volumeDirs,omitempty"`
	// Cluster (a managed object id) is where the DRS group VMGroup is; both are empty without one.
	Cluster    string `json:"cluster,omitempty"`
	VMGroup    string `json:"vmGroup,omitempty"`
	DockerPort int    `json:"dockerPort"`
	TLS        bool   `json:"tls"`
	VMFolder   string `json:"vmFolder,omitempty"` // managed object id
	NICs       []NIC  `json:"nics,omitempty"`
	// ApplianceISO and BootstrapISO are files in Folder.
	ApplianceISO string `json:"applianceISO,omitempty"`
	BootstrapISO string `json:"bootstrapISO,omitempty"`
	// ImagesSum tells these two images from others of the same version, which hold other plugins for
	// example; empty in records of before there was one.
	ImagesSum string   `json:"imagesSum,omitempty"`
	Settings  Settings `json:"settings,omitzero"`
	// Grants are the permissions that were given to the operations user.
	Grants []Grant `json:"grants,omitempty"`
	// Hub is the hub that knows the VCH; nil: none.
	Hub *HubRecord `json:"hub,omitempty"`
	// Unfinished says, in the marker alone, that create has not ended: the next one takes away what it left.
	Unfinished bool `json:"unfinished,omitempty"`
	// Options are those of create and configure, as they were given.
	Options map[string][]string `json:"options,omitempty"`
}

// ParseRecord reads a Record; ErrInvalid if it is none. Container VMs have a key of the same name
// that is not a Record.
func ParseRecord(s string) (*Record, error) {
	var r Record
	if !strings.HasPrefix(strings.TrimSpace(s), "{") {
		return nil, fmt.Errorf("VCH record: %w: it is not JSON", errdef.ErrInvalid)
	}
	if err := json.Unmarshal([]byte(s), &r); err != nil {
		return nil, fmt.Errorf("VCH record: %w: %w", errdef.ErrInvalid, err)
	}
	if r.ID == "" || r.Name == "" || r.Folder == "" {
		return nil, fmt.Errorf("VCH record: %w: it is not complete", errdef.ErrInvalid)
	}
	return &r, nil
}

func (r *Record) json() (string, error) {
	b, err := json.Marshal(r)
	return string(b), err
}

// annotation marks the vApp as the VCH's, for when nothing else is left.
func (r *Record) annotation() string { return annotationPrefix + r.ID }

const annotationPrefix = "vSphere Integrated Containers host "

// poolRef is the VCH's pool; ok is false if it was not made yet when the record was written.
func (r *Record) poolRef() (types.ManagedObjectReference, bool) {
	return types.ManagedObjectReference{Type: r.PoolType, Value: r.Pool}, r.Pool != ""
}

// writeMarker puts the record into the VCH's folder.
func (r *Record) writeMarker(ctx context.Context, f session.Files) error {
	s, err := r.json()
	if err != nil {
		return err
	}
	return f.Put(ctx, []byte(s), r.Folder+"/"+MarkerFile)
}

// readMarker returns nil if the folder has none.
func readMarker(ctx context.Context, f session.Files, folder string) (*Record, error) {
	b, err := f.Get(ctx, folder+"/"+MarkerFile, 1<<20)
	if errors.Is(err, errdef.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r, err := ParseRecord(string(b))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Path(folder+"/"+MarkerFile), err)
	}
	return r, nil
}
