package network

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// pendingFor is how long a lease lives whose VM does not come.
const pendingFor = time.Hour

// The files lie in memory: they have to outlive this process, not the endpoint VM.
const (
	leasesFile = "leases.json" // bridges the moment between Join and the making of the VM
	portsFile  = "ports.json"
)

// pending is a lease in the file.
type pending struct {
	Network   string            `json:"network"`
	Container string            `json:"container"`
	Address   netip.Addr        `json:"address"`
	Address6  netip.Addr        `json:"address6"`
	MAC       string            `json:"mac"`
	Names     []string          `json:"names,omitempty"`
	Links     map[string]string `json:"links,omitempty"`
	DNS       []netip.Addr      `json:"dns,omitempty"`
	Given     time.Time         `json:"given"`
}

// savePending is called with d.mu held. A failure only widens the moment again.
func (d *Driver) savePending() {
	var all []pending
	for id, m := range d.nets {
		for c, l := range m.pool.leases {
			if !d.seen[c] {
				all = append(all, pending{Network: id, Container: c, Address: l.addr, Address6: l.addr6, MAC: l.mac, Names: l.names, Links: l.links, DNS: l.dns,
					Given: l.given})
			}
		}
	}
	d.saveFile(leasesFile, all)
}

// loadPending takes over what an earlier process gave to containers without VMs.
func (d *Driver) loadPending() {
	var all []pending
	d.loadFile(leasesFile, &all)
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range all {
		if m := d.nets[p.Network]; m != nil && time.Since(p.Given) < pendingFor {
			m.pool.adopt(p.Container, &lease{addr: p.Address, addr6: p.Address6, mac: p.MAC, names: p.Names, links: p.Links, dns: p.DNS, given: p.Given})
		}
	}
}

func (d *Driver) saveFile(name string, v any) {
	if d.dir == "" {
		return
	}
	file := filepath.Join(d.dir, name)
	data, err := json.Marshal(v)
	if err == nil {
		err = os.WriteFile(file+".new", data, 0o600)
	}
	if err == nil {
		err = os.Rename(file+".new", file)
	}
	if err != nil {
		d.log.Warn("what a new process of the driver should know cannot be kept", "file", name, "err", err)
	}
}

func (d *Driver) loadFile(name string, v any) {
	if d.dir == "" {
		return
	}
	data, err := os.ReadFile(filepath.Join(d.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		d.log.Warn("what an earlier process of the driver knew is lost", "file", name, "err", err)
	}
}
