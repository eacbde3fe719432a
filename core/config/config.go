// Package config reads vicd.toml, its drop-ins and the files of plugin_dir. It is strict: a key that nobody knows,
// or a value that cannot be, is an error that names the file, the line or the key, and what to do.
package config

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/serve/strict"
)

// Config is vicd.toml; conf/vicd.toml explains every key.
type Config struct {
	Name   string `toml:"name"`
	Docker Docker `toml:"docker"`
	Admin  Admin  `toml:"admin"`
	Link   Link   `toml:"link"`
	Images Images `toml:"images"`
	Engine Engine `toml:"engine"`
}

// Docker is the Docker API's listener.
type Docker struct {
	Listen []string `toml:"listen"`
	// Interface limits tcp listeners to what comes in on one network interface.
	Interface string `toml:"interface"`
	TLSCA     string `toml:"tls_ca"`
	TLSCRL    string `toml:"tls_crl"`
	TLSCert   string `toml:"tls_cert"`
	TLSKey    string `toml:"tls_key"`
}

// Admin is the administrator's API.
type Admin struct {
	Socket string `toml:"socket"`
	Listen string `toml:"listen"`
	// Interfaces limits listen to what comes in on these network interfaces; none: all.
	Interfaces []string `toml:"interfaces"`
	TLSCA      string   `toml:"tls_ca"`
	TLSCRL     string   `toml:"tls_crl"`
}

// Link holds the authority of the links to the tethers.
type Link struct {
	CACert string `toml:"ca_cert"`
	CAKey  string `toml:"ca_key"`
}

// Images is the image service.
type Images struct {
	Root               string   `toml:"root"`
	RegistryMirrors    []string `toml:"registry_mirrors"`
	InsecureRegistries []string `toml:"insecure_registries"`
	RegistryCA         []string `toml:"registry_ca"`
	AllowRegistries    []string `toml:"allow_registries"`
	DenyRegistries     []string `toml:"deny_registries"`
}

// Engine says which plugins run the containers and what a container is given by default.
type Engine struct {
	Compute         string `toml:"compute"`
	Storage         string `toml:"storage"`
	Network         string `toml:"network"`
	DefaultCPUs     int32  `toml:"default_cpus"`
	DefaultMemoryMB int64  `toml:"default_memory_mb"`
	MaxContainers   int    `toml:"max_containers"`
	PluginDir       string `toml:"plugin_dir"`
}

// MinMemoryMB is the least memory that a container VM boots with.
const MinMemoryMB = 64

// Default holds the values of keys that vicd.toml leaves out.
func Default() Config {
	return Config{
		Docker: Docker{Listen: []string{"tcp://0.0.0.0:2376"}},
		Admin:  Admin{Socket: "/run/vic/admin.sock"},
		Link:   Link{CACert: "/etc/vic/tls/link-ca.pem", CAKey: "/etc/vic/tls/link-ca-key.pem"},
		Images: Images{Root: "/var/lib/vic/images"},
		Engine: Engine{
			Compute: "vsphere", Storage: "vsphere", Network: "vsphere",
			DefaultCPUs: 1, DefaultMemoryMB: 256, PluginDir: "/etc/vic/plugins.d",
		},
	}
}

// Load reads and checks vicd.toml and its drop-ins.
func Load(path string) (Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("configuration: %w", err)
	}
	c, err := Parse(path, string(text))
	if err != nil {
		return Config{}, err
	}
	files, err := DropIns(DropInDir(path))
	if err == nil {
		err = c.Engine.Apply(files)
	}
	if err != nil {
		return Config{}, fmt.Errorf("configuration: %w", err)
	}
	return c, nil
}

// Parse reads and checks the text of a vicd.toml; path is for messages.
func Parse(path, text string) (Config, error) {
	c := Default()
	if err := strict.Decode(path, text, &c); err != nil {
		return Config{}, err
	}
	if err := c.validate(); err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

func (c Config) validate() error {
	return errors.Join(
		required("name", c.Name, "the VCH's name"),
		c.Docker.validate(), c.Admin.validate(c.Docker),
		required("link.ca_cert", c.Link.CACert, "the file with the certificate of the links' authority"),
		required("link.ca_key", c.Link.CAKey, "the file with the key of the links' authority"),
		required("images.root", c.Images.Root, "a directory on the state disk"),
		c.Engine.validate(),
	)
}

func (d Docker) validate() error {
	var errs []error
	if len(d.Listen) == 0 {
		errs = append(errs, invalid("docker.listen", "is empty: nobody could reach the Docker API; for example [\"tcp://0.0.0.0:2376\"]"))
	}
	for _, l := range d.Listen {
		errs = append(errs, address("docker.listen", l))
	}
	if (d.TLSCert == "") != (d.TLSKey == "") {
		errs = append(errs, invalid("docker.tls_cert and docker.tls_key", "belong together: set both, or neither for no TLS"))
	}
	if d.TLSCA != "" && d.TLSCert == "" {
		errs = append(errs, invalid("docker.tls_ca", "verifies clients and needs TLS: set docker.tls_cert and docker.tls_key too"))
	}
	if d.TLSCRL != "" && d.TLSCA == "" {
		errs = append(errs, invalid("docker.tls_crl", "lists revoked certificates of docker.tls_ca: set that too"))
	}
	return errors.Join(errs...)
}

func (a Admin) validate(d Docker) error {
	if a.TLSCRL != "" && a.TLSCA == "" {
		return invalid("admin.tls_crl", "lists revoked certificates of admin.tls_ca: set that too")
	}
	if a.Listen == "" {
		return nil
	}
	if a.TLSCA == "" || d.TLSCert == "" {
		return invalid("admin.listen", "needs admin.tls_ca, docker.tls_cert and docker.tls_key: administrators are known by their certificate; leave it empty to have the socket alone")
	}
	return address("admin.listen", a.Listen)
}

func (e Engine) validate() error {
	var errs []error
	if e.DefaultCPUs < 1 {
		errs = append(errs, invalid("engine.default_cpus", "is %d: a VM needs at least 1", e.DefaultCPUs))
	}
	if e.DefaultMemoryMB < MinMemoryMB {
		errs = append(errs, invalid("engine.default_memory_mb", "is %d: a VM boots with %d or more", e.DefaultMemoryMB, MinMemoryMB))
	}
	if e.MaxContainers < 0 {
		errs = append(errs, invalid("engine.max_containers", "is %d: give a number, or 0 for no limit", e.MaxContainers))
	}
	errs = append(errs, e.validateRoles(),
		required("engine.plugin_dir", e.PluginDir, "the directory with one TOML file for each plugin"))
	return errors.Join(errs...)
}

func (e Engine) validateRoles() error {
	return errors.Join(
		required("engine.compute", e.Compute, "the name of a plugin in engine.plugin_dir"),
		required("engine.storage", e.Storage, "the name of a plugin in engine.plugin_dir"),
		required("engine.network", e.Network, "the name of a plugin in engine.plugin_dir"))
}

func address(key, s string) error {
	proto, rest, ok := strings.Cut(s, "://")
	switch {
	case ok && proto == "unix" && strings.HasPrefix(rest, "/"):
		return nil
	case ok && proto == "tcp":
		if _, port, err := net.SplitHostPort(rest); err == nil && port != "" {
			return nil
		}
	}
	return invalid(key, "%q is neither tcp://host:port nor unix:///path", s)
}

func required(key, value, what string) error {
	if value != "" {
		return nil
	}
	return invalid(key, "is empty: give %s", what)
}

func invalid(key, format string, args ...any) error {
	return fmt.Errorf("%s %s: %w", key, fmt.Sprintf(format, args...), errdef.ErrInvalid)
}
