package network

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"time"
)

// pendingFor is how long a lease lives whose VM does not come.
const pendingFor = time.Hour

// pending is a lease in the file. The file lies in memory: it has to outlive this process, not the
// endpoint VM, because it bridges the moment between Join and the making of the VM.
type pending struct {
	Address netip.Addr `json:"address"`
	MAC     string     `json:"mac"`
	Given   time.Time  `json:"given"`
}

// savePending is called with d.mu held. A failure only widens the moment again.
func (d *Driver) savePending() {
	if d.file == "" {
		return
	}
	all := map[string]pending{}
	for c, l := range d.pool.leases {
		if !d.seen[c] {
			all[c] = pending{Address: l.addr, MAC: l.mac, Given: l.given}
		}
	}
	data, err := json.Marshal(all)
	if err == nil {
		err = os.WriteFile(d.file+".new", data, 0o600)
	}
	if err == nil {
		err = os.Rename(d.file+".new", d.file)
	}
	if err != nil {
		d.log.Warn("leases of new containers cannot be kept", "err", err)
	}
}

// loadPending takes over what an earlier process gave to containers without VMs.
func (d *Driver) loadPending() {
	if d.file == "" {
		return
	}
	data, err := os.ReadFile(d.file)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var all map[string]pending
	if err == nil {
		err = json.Unmarshal(data, &all)
	}
	if err != nil {
		d.log.Warn("leases of new containers are lost", "err", err)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for c, p := range all {
		if time.Since(p.Given) < pendingFor {
			d.pool.adopt(c, lease{addr: p.Address, mac: p.MAC, given: p.Given})
		}
	}
}
