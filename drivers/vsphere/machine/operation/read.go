package operation

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/certs"
	"github.com/openvic/vic/drivers/vsphere/machine/option"
	"github.com/openvic/vic/drivers/vsphere/machine/precheck"
	"github.com/openvic/vic/drivers/vsphere/machine/vch"
	"github.com/openvic/vic/sdk/errdef"
)

// layerSizeGB is the virtual size of image disks, VIC's base-image-size.
const layerSizeGB = 8

// wrongOption is the error of an option's value, with what to give instead.
func wrongOption(name, value, why, remedy string) error {
	return advice.Wrap(fmt.Errorf("--%s %q: %s: %w", name, value, why, errdef.ErrInvalid), "%s", remedy)
}

// Local is what an operation takes from where vic-machine runs.
type Local struct {
	Version string
	// Files are the files that options name, and the certificate folder; nil: those on this machine's disk.
	Files certs.Files
}

// ReadCreate reads the options of create.
func ReadCreate(c option.Values, l Local) (precheck.Input, error) {
	in := precheck.Input{
		ComputeResource: c.String("compute-resource"), ImageStore: c.String("image-store"), VolumeStores: c.Trimmed("volume-store"),
		BridgeNetwork: c.String("bridge-network"), PublicNetwork: c.String("public-network"),
		ClientNetwork: c.String("client-network"), ManagementNetwork: c.String("management-network"), Force: c.Bool("force"),
	}
	in.Spec = vch.Spec{
		Name: c.String("name"), Version: l.Version, StateGB: c.Int64("state-size"),
		ApplianceISO: isoFile(c.String("appliance-iso"), "appliance.iso"), BootstrapISO: isoFile(c.String("bootstrap-iso"), "bootstrap.iso"),
		Options: recorded(c),
	}
	err := readSettings(c, &in.Spec.Settings)
	if err != nil {
		return in, err
	}
	if in.Containers, err = containerNetworks(c); err != nil {
		return in, err
	}
	if err := readOps(c, &in.Spec); err != nil {
		return in, err
	}
	if in.Spec.RegistryCAs, err = registryCAs(l.Files, c.Trimmed("registry-ca")); err != nil {
		return in, err
	}
	if err := readHubSpec(c, l, &in.Spec); err != nil {
		return in, err
	}
	if err := checkNames(c); err != nil {
		return in, err
	}
	in.Certs, err = certOptions(c, l.Files)
	return in, err
}

// recorded are the options for the record and inspect config. Options of the target stay out: which vSphere
// a VCH is on is not the VCH's.
func recorded(c option.Values) map[string][]string {
	out := c.Recorded()
	for _, o := range TargetOptions() {
		delete(out, o.Name)
	}
	return out
}

// readSettings reads all options that the endpoint's configuration depends on, but for networks and
// datastores that have to be looked up.
func readSettings(c option.Values, s *vch.Settings) error {
	s.EndpointCPU, s.EndpointMemoryMB, s.LayerSizeGB = int32Of(c.Int64("endpoint-cpu")), c.Int64("endpoint-memory"), layerSizeGB
	s.NoTLS, s.NoVerify = c.Bool("no-tls"), c.Bool("no-tlsverify")
	for _, read := range []func(option.Values, *vch.Settings) error{readBridge, readAddresses, readLimits, readVolumeSize, readImages, readLogs, readNamePattern} {
		if err := read(c, s); err != nil {
			return err
		}
	}
	return nil
}

func readBridge(c option.Values, s *vch.Settings) error {
	const name = "bridge-network-range"
	p, err := netip.ParsePrefix(c.String(name))
	if err != nil {
		return wrongOption(name, c.String(name), "not a network", "give it a network such as 172.16.0.0/16")
	}
	s.BridgeRange = p.Masked()
	if w := c.Int64("bridge-network-width"); w != 0 && (w < int64(p.Bits()) || w > 29) {
		return wrongOption("bridge-network-width", fmt.Sprint(w), "not a prefix length of networks in "+p.String(),
			fmt.Sprintf("give it a number from %d to 29", p.Bits()))
	}
	s.BridgeWidth = int(c.Int64("bridge-network-width"))
	return nil
}

// readLimits reads the options of limitFlags.
func readLimits(c option.Values, s *vch.Settings) error {
	for _, name := range []string{"memory", "memory-reservation", "cpu", "cpu-reservation", "containers"} {
		if c.Int64(name) < 0 {
			return wrongOption(name, fmt.Sprint(c.Int64(name)), "less than nothing", "give it a number, or 0 for none")
		}
	}
	s.Memory = vch.Allocation{Limit: c.Int64("memory"), Reservation: c.Int64("memory-reservation"), Shares: c.String("memory-shares")}
	s.CPU = vch.Allocation{Limit: c.Int64("cpu"), Reservation: c.Int64("cpu-reservation"), Shares: c.String("cpu-shares")}
	s.AffinityVMGroup = c.Bool("affinity-vm-group")
	s.MaxContainers, s.ContainerMemoryMB = int(c.Int64("containers")), c.Int64("container-memory")
	for name, al := range map[string]vch.Allocation{"memory": s.Memory, "cpu": s.CPU} {
		if _, err := vch.ParseShares(al.Shares); err != nil {
			return wrongOption(name+"-shares", al.Shares, "not a share", "give it low, normal, high or a number")
		}
		if al.Limit > 0 && al.Reservation > al.Limit {
			return wrongOption(name+"-reservation", fmt.Sprint(al.Reservation), fmt.Sprintf("more than the limit of %d", al.Limit), "give it no more than --"+name)
		}
	}
	return nil
}

func readVolumeSize(c option.Values, s *vch.Settings) error {
	const name, most = "default-volume-size", config.MaxVolumeMB
	if s.VolumeSizeMB = c.Int64(name); s.VolumeSizeMB < 0 || s.VolumeSizeMB > most {
		return wrongOption(name, fmt.Sprint(s.VolumeSizeMB), "not a size that a disk can have", fmt.Sprintf("give it a size in MiB, at most %d, or 0 for 1024", most))
	}
	return nil
}

// readImages reads the options of imageFlags.
func readImages(c option.Values, s *vch.Settings) error {
	s.RegistryMirrors, s.InsecureRegistries = c.Trimmed("registry-mirror"), c.Trimmed("insecure-registry")
	s.AllowRegistries = c.Trimmed("allow-registry")
	s.HTTPProxy, s.HTTPSProxy, s.NoProxy = c.String("http-proxy"), c.String("https-proxy"), c.String("no-proxy")
	for name, values := range map[string][]string{"registry-mirror": s.RegistryMirrors, "http-proxy": {s.HTTPProxy}, "https-proxy": {s.HTTPSProxy}} {
		for _, v := range values {
			u, err := url.Parse(v)
			if v != "" && (err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https")) {
				return wrongOption(name, v, "not a URL", "give it a URL such as http://proxy.example.com:3128")
			}
			if name == "registry-mirror" && err == nil && (u.User != nil || u.RawQuery != "" || u.Fragment != "") {
				return wrongOption(name, u.Redacted(), "Docker takes no account, query or fragment in it", "give it as http://mirror.example.com:5000")
			}
		}
	}
	return checkRegistryNames(s.InsecureRegistries, s.AllowRegistries)
}

// readLogs reads the options of logFlags.
func readLogs(c option.Values, s *vch.Settings) error {
	s.Syslog, s.Debug = c.String("syslog-address"), c.Int("debug")
	if s.Debug < 0 {
		return wrongOption("debug", fmt.Sprint(s.Debug), "less than nothing", "give it 1, or 0 for none")
	}
	proto, rest, _ := strings.Cut(s.Syslog, "://")
	host, port, err := net.SplitHostPort(rest)
	if s.Syslog != "" && (err != nil || host == "" || port == "" || (proto != "udp" && proto != "tcp")) {
		return wrongOption("syslog-address", s.Syslog, "neither udp://host:port nor tcp://host:port", "give it as udp://syslog.example.com:514")
	}
	return nil
}

// readNamePattern makes sure that the VMs' names differ.
func readNamePattern(c option.Values, s *vch.Settings) error {
	const name = "container-name-convention"
	p := c.String(name)
	rest := regexp.MustCompile(`\{(name|short|id)\}`).ReplaceAllString(p, "")
	switch {
	case p == "":
		return nil
	case strings.ContainsAny(rest, `{}/\%`):
		return wrongOption(name, p, "it holds another token, or a character that vSphere does not take", "use {name}, {short} and {id}")
	case !strings.Contains(p, "{short}") && !strings.Contains(p, "{id}"):
		return wrongOption(name, p, "two containers could get the same name for their VMs", "put {short} or {id} into it")
	}
	s.NamePattern = p
	return nil
}

// registryCAs reads the files of registries' authorities.
func registryCAs(from certs.Files, files []string) ([][]byte, error) {
	var all [][]byte
	for _, f := range files {
		b, err := from.ReadAuthorities("--registry-ca", []string{f})
		if err != nil {
			return nil, err
		}
		all = append(all, b)
	}
	return all, nil
}

func readOps(c option.Values, s *vch.Spec) error {
	s.Ops = vch.Login{User: c.String("ops-user"), Password: c.String("ops-password")}
	s.GrantOps = c.Bool("ops-grant-perms")
	switch {
	case s.Ops.User == "" && (s.Ops.Password != "" || s.GrantOps):
		return wrongOption("ops-user", "", "--ops-password and --ops-grant-perms are of no use without it", "name the account with --ops-user")
	case s.Ops.User != "" && s.Ops.Password == "":
		return wrongOption("ops-user", s.Ops.User, "its password is not given", "give --ops-password, or VIC_MACHINE_OPS_PASSWORD")
	}
	return nil
}

func certOptions(c option.Values, files certs.Files) (certs.Options, error) {
	o := certsOf(c, c.String("name"), files)
	o.NoTLS, o.NoVerify, o.Force, o.ClientCAs = c.Bool("no-tls"), c.Bool("no-tlsverify"), c.Bool("force"), c.Trimmed("tls-ca")
	given := o.ServerCert != "" || o.ServerKey != "" || len(o.ClientCAs) > 0
	switch {
	case o.NoTLS && o.NoVerify:
		return o, advice.Wrap(fmt.Errorf("--no-tls and --no-tlsverify exclude one another: %w", errdef.ErrInvalid), "give one of them")
	case o.NoTLS && given:
		return o, advice.Wrap(fmt.Errorf("--no-tls and certificates exclude one another: %w", errdef.ErrInvalid), "leave one of them out")
	case (o.ServerCert == "") != (o.ServerKey == ""):
		return o, advice.Wrap(fmt.Errorf("--tls-server-cert and --tls-server-key belong together: %w", errdef.ErrInvalid), "give both, or neither")
	case o.NoVerify && len(o.ClientCAs) > 0:
		return o, advice.Wrap(fmt.Errorf("--tls-ca is of no use with --no-tlsverify: %w", errdef.ErrInvalid), "leave one of them out")
	}
	return o, nil
}

// isoFile is the file that the option names, or the default if it is anywhere.
func isoFile(given, name string) string {
	if given != "" {
		return given
	}
	places := []string{filepath.Join("iso", name)}
	if exe, err := os.Executable(); err == nil {
		d := filepath.Dir(exe)
		places = append([]string{filepath.Join(d, name), filepath.Join(d, "iso", name), filepath.Join(d, "..", "iso", name)}, places...)
	}
	for _, p := range places {
		if _, err := os.Stat(p); err == nil {
			return filepath.Clean(p)
		}
	}
	return ""
}
