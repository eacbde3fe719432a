// Package hubvm makes, lists, describes and removes hubs as VMs on vSphere.
//
// A hub's VM boots hub.iso and runs from memory; what the hub keeps is on its data disk. VM, ISO and data disk lie in one datastore
// folder that has the hub's name. A hub is known by the Record in the extraConfig of its VM, and by the same Record in a
// file of the folder: the folder with the data disk stays when the hub is deleted, unless that is forced, and the next hub of the
// name takes it over.
package hubvm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path"
	"strings"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/machine/certs"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/drivers/vsphere/machine/vch"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/guest/hubguest"
)

// RecordKey is the extraConfig key of a hub's VM that holds its Record; MarkerFile the file in the folder.
const (
	RecordKey  = "vic.hub"
	MarkerFile = "vic-hub.json"
)

// Port is where a hub serves.
const Port = hubguest.Port

// iface is the VM's one NIC.
const iface = hubguest.Interface

// The files of the VM that are looked at here.
const (
	etc           = hubguest.Etc
	fileCert      = hubguest.FileCert
	fileKey       = hubguest.FileKey
	filePassword  = hubguest.FilePassword
	dataDir       = hubguest.DataDir
	modePublic    = hubguest.ModePublic
	modePrivate   = hubguest.ModePrivate
	keyConfig     = guest.Prefix + guest.KeyConfig
	markerBytes   = 1 << 20
	adminPassword = "admin-password" // the file beside the certificates
)

// Spec is what the administrator wants, checked but for what vSphere knows.
type Spec struct {
	Name, Version string
	ISO           string // local file
	CPUs          int32
	MemoryMB      int64
	DataGB        int64
	Static        vch.Static // the zero value: DHCP
	DNS           []netip.Addr
	Password      string // of the first administrator; empty: one is made
	SSODomain     string // the system domain of vCenter Single Sign-On whose users sign in; empty: they do not
	Options       map[string][]string
}

// Record says what a hub is made of. It holds no secrets.
type Record struct {
	Version    string    `json:"version"`
	Name       string    `json:"name"`
	ID         string    `json:"id"` // a UUID
	Created    time.Time `json:"created"`
	Datacenter string    `json:"datacenter"` // managed object id
	Datastore  string    `json:"datastore"`  // by name
	Folder     string    `json:"folder"`
	ISO        string    `json:"iso"` // file in Folder
	Sum        string    `json:"sum"` // sha256 of the ISO
	// Previous is what an upgrade came from; nil: there was none.
	Previous *Image       `json:"previous,omitempty"`
	Network  string       `json:"network"`
	Static   vch.Static   `json:"static,omitzero"`
	DNS      []netip.Addr `json:"dns,omitempty"`
	CPUs     int32        `json:"cpus"`
	MemoryMB int64        `json:"memoryMB"`
	DataGB   int64        `json:"dataGB"`
	// Data is the file of the data disk in Folder, if it has another name than those that create makes: of a hub from the OVA.
	Data    string              `json:"data,omitempty"`
	SSO     *SSO                `json:"sso,omitempty"` // nil: vCenter's users do not sign in
	Options map[string][]string `json:"options,omitempty"`
}

// Image is a version that the VM boots, or booted before.
type Image struct {
	Version string `json:"version"`
	ISO     string `json:"iso"` // file in Folder
	Sum     string `json:"sum"` // sha256
}

// image is what the VM boots now.
func (r *Record) image() Image { return Image{r.Version, r.ISO, r.Sum} }

// sumOf is the sha256 of a local file.
func sumOf(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	_, err = io.Copy(sum, f)
	return hex.EncodeToString(sum.Sum(nil)), err
}

// parseRecord reads a Record; errdef.ErrInvalid if it is none.
func parseRecord(s string) (*Record, error) {
	var r Record
	if err := json.Unmarshal([]byte(s), &r); err != nil {
		return nil, fmt.Errorf("hub record: %w: %w", errdef.ErrInvalid, err)
	}
	if r.ID == "" || r.Name == "" || r.Folder == "" || strings.ContainsAny(r.Folder, `/\`) || strings.Trim(r.Folder, ".") == "" {
		return nil, fmt.Errorf("hub record: %w: it is not complete", errdef.ErrInvalid)
	}
	if strings.ContainsAny(r.Data, `/\`) {
		return nil, fmt.Errorf("hub record: %w: %q is no file of a folder", errdef.ErrInvalid, r.Data)
	}
	if r.SSO != nil && !r.SSO.valid() {
		return nil, fmt.Errorf("hub record: %w: %q is no solution user of a hub's", errdef.ErrInvalid, r.SSO.User+"@"+r.SSO.Domain)
	}
	return &r, nil
}

func (r *Record) json() (string, error) {
	b, err := json.Marshal(r)
	return string(b), err
}

// dataDisk is the file of the data disk, relative to the datastore.
func (r *Record) dataDisk() string {
	if r.Data != "" {
		return path.Join(r.Folder, r.Data)
	}
	return path.Join(r.Folder, r.Name+"-data.vmdk")
}

func (r *Record) writeMarker(ctx context.Context, f session.Files) error {
	s, err := r.json()
	if err != nil {
		return err
	}
	return f.Put(ctx, []byte(s), path.Join(r.Folder, MarkerFile))
}

// readMarker returns nil if the folder has none.
func readMarker(ctx context.Context, f session.Files, folder string) (*Record, error) {
	b, err := f.Get(ctx, path.Join(folder, MarkerFile), markerBytes)
	if errors.Is(err, errdef.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseRecord(string(b))
}

// guestConfig is what the tether of the VM finds in guestinfo. more are files beside those that every hub has.
func (r *Record) guestConfig(mac string, c *certs.Set, password string, more []guest.File) (string, error) {
	h := hubguest.Hub{ID: r.ID, Name: r.Name, Network: r.Network, MAC: mac, Address: r.Static.Address, Gateway: r.Static.Gateway, DNS: r.DNS,
		Cert: c.Server.Cert, Key: c.Server.Key, Password: password, More: more}
	if r.SSO != nil {
		h.Sources = []string{sourceVSphere}
	}
	b, err := json.Marshal(h.Config())
	return string(b), err
}

// sourceVSphere is the identity source of vCenter's users.
const sourceVSphere = "vsphere"

// option makes one value of extraConfig.
func option(key, value string) types.BaseOptionValue {
	return &types.OptionValue{Key: key, Value: value}
}
