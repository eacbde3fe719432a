package vch

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"path"
	"slices"

	"github.com/BurntSushi/toml"
	"github.com/vmware/govmomi/object"

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
)

const (
	modePublic  = 0o644
	modePrivate = 0o600
)

// endpointConfig is all that an endpoint's configuration is made of: the Record, and what must not be
// in it. It is the same after create and after configure and upgrade, which read it back.
type endpointConfig struct {
	*Record
	vm              string            // managed object id of the endpoint VM
	macs            map[string]string // by interface
	url, thumbprint string            // of vSphere
	login           Login
	keep            []guest.File // certificates
}

// readEndpoint is the other way round: it takes apart what json made. ErrUnsupported if the VCH was
// made by a version that did not record its settings.
func readEndpoint(r *Record, vm, text string) (*endpointConfig, error) {
	if len(r.NICs) == 0 {
		return nil, fmt.Errorf("VCH %s was made by version %s, which did not record its settings: %w", r.Name, r.Version, errdef.ErrUnsupported)
	}
	var c guest.Config
	if err := json.Unmarshal([]byte(text), &c); err != nil || c.Appliance == nil {
		return nil, fmt.Errorf("the configuration of the endpoint VM cannot be read: %w", errdef.ErrInvalid)
	}
	e := &endpointConfig{Record: r, vm: vm, macs: map[string]string{}}
	for _, n := range c.Networks {
		e.macs[n.Interface] = n.MAC
	}
	for _, f := range c.Appliance.Files {
		switch f.Path {
		case vicdTOML:
		case vsphereTOML:
			var v config.Config
			if err := toml.Unmarshal(f.Data, &v); err != nil {
				return nil, fmt.Errorf("%s of the endpoint VM: %w: %w", vsphereTOML, errdef.ErrInvalid, err)
			}
			e.url, e.thumbprint, e.login = v.VCenter.URL, v.VCenter.Thumbprint, Login{v.VCenter.User, v.VCenter.Password}
		default:
			e.keep = append(e.keep, f)
		}
	}
	return e, nil
}

// inFolder is a file of the VCH's folder, as vSphere writes it.
func (e *endpointConfig) inFolder(name string) string {
	return (&object.DatastorePath{Datastore: e.Datastore, Path: path.Join(e.Folder, name)}).String()
}

// file returns one of the kept files.
func (e *endpointConfig) file(name string) []byte {
	for _, f := range e.keep {
		if f.Path == name {
			return f.Data
		}
	}
	return nil
}

// setFile puts a file in; nil data takes it away.
func (e *endpointConfig) setFile(name string, mode uint32, data []byte) {
	e.keep = slices.DeleteFunc(e.keep, func(f guest.File) bool { return f.Path == name })
	if data != nil {
		e.keep = append(e.keep, guest.File{Path: name, Mode: mode, Data: data})
	}
}

// json is what the tether of the endpoint VM finds in guestinfo.
func (e *endpointConfig) json() (string, error) {
	vicd, err := e.vicd()
	if err != nil {
		return "", err
	}
	vsphere, err := e.vsphere()
	if err != nil {
		return "", err
	}
	c := guest.Config{
		Version: 1, ID: e.ID, Name: e.Name, Hostname: e.Name,
		Mounts:   []guest.Mount{{Disk: 0, Target: stateDir, Format: "vic-state"}},
		Networks: e.networks(),
		DNS:      guest.DNS{Servers: e.Settings.DNS},
		Appliance: &guest.Appliance{
			Files: append([]guest.File{{Path: vicdTOML, Mode: modePublic, Data: vicd}, {Path: vsphereTOML, Mode: modePrivate, Data: vsphere}},
				e.keep...),
			Services: []guest.Service{e.service()},
			Sysctl:   map[string]string{"net.ipv4.ip_forward": "1"},
			Syslog:   e.Settings.Syslog,
		},
	}
	b, err := json.Marshal(c)
	return string(b), err
}

// service is vicd; its pulls go through the proxies.
func (e *endpointConfig) service() guest.Service {
	s := guest.Service{Name: "vicd", Args: []string{"/usr/bin/vicd", "--config", vicdTOML}}
	if e.Settings.Debug > 0 {
		s.Args = append(s.Args, "--debug")
	}
	for _, v := range []struct{ name, value string }{
		{"HTTP_PROXY", e.Settings.HTTPProxy}, {"HTTPS_PROXY", e.Settings.HTTPSProxy}, {"NO_PROXY", e.Settings.NoProxy},
	} {
		if v.value != "" {
			s.Env = append(s.Env, v.name+"="+v.value)
		}
	}
	return s
}

func (e *endpointConfig) networks() []guest.Network {
	var all []guest.Network
	for _, n := range e.NICs {
		g := guest.Network{Name: n.Name, MAC: e.macs[n.Interface], Interface: n.Interface}
		if n.Interface == RoleBridge {
			g.Addresses = []netip.Prefix{netip.PrefixFrom(e.Settings.Gateway(), e.Settings.BridgeSubnet().Bits()),
				netip.PrefixFrom(config.LinkAddress(), 64)}
			all = append(all, g)
			continue
		}
		g.DHCP, g.NoGateway = true, n.Interface != RolePublic
		for _, role := range n.Roles {
			if s, ok := e.Settings.Static[role]; ok {
				g.DHCP, g.Addresses, g.Gateway, g.Routes = false, []netip.Prefix{s.Address}, s.Gateway, s.Routes
			}
		}
		all = append(all, g)
	}
	return all
}

const prefixRegistryCA = tlsDir + "registry-ca-"

// registryCAs are the files of the registries' authorities.
func registryCAs(all [][]byte) []guest.File {
	var files []guest.File
	for i, b := range all {
		files = append(files, guest.File{Path: fmt.Sprintf("%s%d.pem", prefixRegistryCA, i+1), Mode: modePublic, Data: b})
	}
	return files
}
