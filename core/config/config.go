// Package config reads vicd.toml, its drop-ins and the files that name the plugins. It is strict: a key that nobody knows,
// or a value that cannot be, is an error that names the file, the line or the key, and what to do.
package config

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/openvic/vic/core/kinds"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/serve/strict"
)

// Config is vicd.toml; conf/vicd.toml explains every key.
type Config struct {
	Name    string  `toml:"name"`
	TLS     TLS     `toml:"tls"`
	Admin   Admin   `toml:"admin"`
	Plugins Plugins `toml:"plugins"`
	Roles   Roles   `toml:"roles"`
	// What follows is for a host with an engine.
	Docker Docker `toml:"docker"`
	Link   Link   `toml:"link"`
	Images Images `toml:"images"`
	Engine Engine `toml:"engine"`
}

// TLS is what the host shows to the clients of all its listeners.
type TLS struct {
	Cert string `toml:"cert"`
	Key  string `toml:"key"`
}

// Plugins says where the plugins are named.
type Plugins struct {
	Dir string `toml:"dir"`
}

// Docker is the Docker API's listener.
type Docker struct {
	Listen []string `toml:"listen"`
	// Interface limits tcp listeners to what comes in on one network interface.
	Interface string `toml:"interface"`
	TLSCA     string `toml:"tls_ca"`
	TLSCRL    string `toml:"tls_crl"`
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

// Engine says what a container is given by default, and how many there may be.
type Engine struct {
	DefaultCPUs     int32 `toml:"default_cpus"`
	DefaultMemoryMB int64 `toml:"default_memory_mb"`
	MaxContainers   int   `toml:"max_containers"`
}

// MinMemoryMB is the least memory that a container VM boots with.
const MinMemoryMB = 64

// Default holds the values of keys that vicd.toml leaves out.
func Default() Config {
	return Config{
		Admin:   Admin{Socket: "/run/vic/admin.sock"},
		Plugins: Plugins{Dir: "/etc/vic/plugins.d"},
		Docker:  Docker{Listen: []string{"tcp://0.0.0.0:2376"}},
		Link:    Link{CACert: "/etc/vic/tls/link-ca.pem", CAKey: "/etc/vic/tls/link-ca-key.pem"},
		Images:  Images{Root: "/var/lib/vic/images"},
		Engine:  Engine{DefaultCPUs: 1, DefaultMemoryMB: 256},
	}
}

// Load reads vicd.toml and its drop-ins and checks what comes of them.
func Load(path string) (Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("configuration: %w", err)
	}
	c, err := decode(path, string(text))
	if err != nil {
		return Config{}, err
	}
	files, err := DropIns(DropInDir(path))
	if err == nil {
		err = c.Roles.Apply(files)
	}
	if err != nil {
		return Config{}, fmt.Errorf("configuration: %w", err)
	}
	return c, c.checked(path)
}

// Parse reads and checks the text of a vicd.toml without drop-ins; path is for messages.
func Parse(path, text string) (Config, error) {
	c, err := decode(path, text)
	if err != nil {
		return Config{}, err
	}
	return c, c.checked(path)
}

func decode(path, text string) (Config, error) {
	c := Default()
	if err := strict.Decode(path, text, &c); err != nil {
		return Config{}, err
	}
	return c, nil
}

func (c Config) checked(path string) error {
	if err := c.validate(); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// HasEngine tells whether the host runs containers: its engine's roles are named. Otherwise it serves
// what its other plugins are for, and the tables docker, link, images and engine mean nothing.
func (c Config) HasEngine() bool { return len(c.Roles[kinds.Engine()[0]]) > 0 }

func (c Config) validate() error {
	errs := []error{
		required("name", c.Name, "the host's name"),
		c.TLS.validate(), c.Admin.validate(c.TLS),
		required("plugins.dir", c.Plugins.Dir, "the directory with one TOML file for each plugin"),
		c.Roles.validate(), c.Roles.whole(),
	}
	if !c.HasEngine() {
		if c.Admin.Socket == "" && c.Admin.Listen == "" {
			errs = append(errs, invalid("admin.socket and admin.listen", "are empty, and no role needs the Docker API: nobody could reach this host; set one of them"))
		}
		return errors.Join(errs...)
	}
	return errors.Join(append(errs, c.Docker.validate(c.TLS),
		required("link.ca_cert", c.Link.CACert, "the file with the certificate of the links' authority"),
		required("link.ca_key", c.Link.CAKey, "the file with the key of the links' authority"),
		required("images.root", c.Images.Root, "a directory on the state disk"),
		c.Engine.validate())...)
}

func (t TLS) validate() error {
	if (t.Cert == "") != (t.Key == "") {
		return invalid("tls.cert and tls.key", "belong together: set both, or neither for no TLS")
	}
	return nil
}

func (d Docker) validate(t TLS) error {
	var errs []error
	if len(d.Listen) == 0 {
		errs = append(errs, invalid("docker.listen", "is empty: nobody could reach the Docker API; for example [\"tcp://0.0.0.0:2376\"]"))
	}
	for _, l := range d.Listen {
		errs = append(errs, address("docker.listen", l))
	}
	if d.TLSCA != "" && t.Cert == "" {
		errs = append(errs, invalid("docker.tls_ca", "verifies clients and needs TLS: set tls.cert and tls.key too"))
	}
	if d.TLSCRL != "" && d.TLSCA == "" {
		errs = append(errs, invalid("docker.tls_crl", "lists revoked certificates of docker.tls_ca: set that too"))
	}
	return errors.Join(errs...)
}

func (a Admin) validate(t TLS) error {
	if a.TLSCRL != "" && a.TLSCA == "" {
		return invalid("admin.tls_crl", "lists revoked certificates of admin.tls_ca: set that too")
	}
	if a.Listen == "" {
		return nil
	}
	if a.TLSCA == "" || t.Cert == "" {
		return invalid("admin.listen", "needs admin.tls_ca, tls.cert and tls.key: administrators are known by their certificate; "+
			"leave it empty to have the socket alone")
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
	return errors.Join(errs...)
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
