package dockerapi

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"path"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/backend"
	"github.com/docker/docker/api/types/container"
	"github.com/moby/sys/signal"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/core/engine"
	"github.com/openvic/vic/sdk/guest"
)

// defaultPath is the PATH of a process whose image sets none; Docker's.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// definition is the API's part of a container's metadata.
type definition struct {
	Config     *container.Config     `json:"config"`
	HostConfig *container.HostConfig `json:"hostConfig"`
	// Manifest is the image's; containers of older versions have none.
	Manifest *ocispec.Descriptor `json:"manifest,omitempty"`
}

// ContainerCreate makes a container.
func (b *containers) ContainerCreate(ctx context.Context, cc backend.ContainerCreateConfig) (container.CreateResponse, error) {
	none := container.CreateResponse{}
	if err := checkConfig(cc.Config); err != nil {
		return none, err
	}
	if err := checkHostConfig(cc.HostConfig); err != nil {
		return none, err
	}
	if err := checkPlatform(cc.Platform); err != nil {
		return none, err
	}
	if err := b.checkCPUs(ctx, &cc.HostConfig.Resources); err != nil {
		return none, err
	}
	img, err := b.opts.Images.Resolve(ctx, cc.Config.Image)
	if err != nil {
		return none, wrap(err)
	}
	mergeConfig(cc.Config, &img.Config)
	discarded := resourceWarnings(&cc.HostConfig.Resources) // before the request leaves it out
	req, err := b.request(cc, img)
	if err != nil {
		return none, err
	}
	c, err := b.opts.Engine.Create(ctx, req)
	if err != nil {
		return none, wrap(err)
	}
	w := slices.Concat(discarded, sizeWarning(cc.HostConfig.Memory, &c), securityWarnings(cc.HostConfig))
	return container.CreateResponse{ID: c.ID, Warnings: append([]string{}, w...)}, nil
}

// checkCPUs refuses, as dockerd does, more processors than docker info shows.
func (b *containers) checkCPUs(ctx context.Context, r *container.Resources) error {
	if r.NanoCPUs <= 0 {
		return nil
	}
	most := b.opts.Engine.Capacity(ctx).CPUs
	if most <= 0 || r.NanoCPUs <= int64(most)*1e9 {
		return nil
	}
	return invalid("range of CPUs is from 0.01 to %[1]d.00, as there are only %[1]d CPUs available", most)
}

func checkPlatform(p *ocispec.Platform) error {
	if p == nil || ((p.OS == "" || p.OS == "linux") && (p.Architecture == "" || p.Architecture == "amd64")) {
		return nil
	}
	return unsupported(fmt.Sprintf("option --platform %s/%s (container VMs are linux/amd64)", p.OS, p.Architecture))
}

// request says in the engine's words what a client asks for. Names stay names.
func (b *containers) request(cc backend.ContainerCreateConfig, img Image) (engine.CreateRequest, error) {
	cfg, hc := cc.Config, cc.HostConfig
	req := engine.CreateRequest{Name: cc.Name, CPUs: float64(hc.NanoCPUs) / 1e9, Memory: hc.Memory,
		Spec: engine.Spec{Image: img.Image, Hostname: cfg.Hostname, Domainname: cfg.Domainname, ReadOnly: hc.ReadonlyRootfs,
			Labels: cfg.Labels, AutoRemove: hc.AutoRemove, StopTimeout: cfg.StopTimeout}}
	var err error
	if req.Process, err = process(cfg, hc); err != nil {
		return req, err
	}
	if req.StopSignal, err = stopSignal(cfg.StopSignal); err != nil {
		return req, err
	}
	if req.Guest.Log, err = logOptions(hc.LogConfig); err != nil {
		return req, err
	}
	defaults(hc)
	if err := confine(cfg, hc, &req); err != nil {
		return req, err
	}
	if err := resolver(hc, &req); err != nil {
		return req, err
	}
	if err := b.networksOf(cfg, hc, cc.NetworkingConfig, &req); err != nil {
		return req, err
	}
	if err := mountsOf(cfg, hc, &req); err != nil {
		return req, err
	}
	req.API = func(id, name string) (json.RawMessage, error) {
		if cfg.Hostname == "" {
			cfg.Hostname = id[:12]
		}
		return json.Marshal(definition{Config: cfg, HostConfig: hc, Manifest: img.Manifest})
	}
	return req, nil
}

// defaults fills in what Docker's inspect shows of options that were not given.
func defaults(hc *container.HostConfig) {
	if hc.ShmSize == 0 {
		hc.ShmSize = 64 << 20
	}
	if hc.IpcMode == "" {
		hc.IpcMode = container.IPCModePrivate
	}
	if hc.CgroupnsMode == "" {
		hc.CgroupnsMode = container.CgroupnsModePrivate
	}
	if hc.RestartPolicy.Name == "" {
		hc.RestartPolicy.Name = container.RestartPolicyDisabled
	}
	if hc.LogConfig.Type == "" {
		hc.LogConfig.Type = logDriver
	}
	if hc.LogConfig.Config == nil {
		hc.LogConfig.Config = map[string]string{}
	}
	if hc.Runtime == "" {
		hc.Runtime = runtimeName
	}
	if hc.MaskedPaths == nil && !hc.Privileged {
		hc.MaskedPaths = maskedPaths()
	}
	if hc.ReadonlyPaths == nil && !hc.Privileged {
		hc.ReadonlyPaths = readOnlyPaths()
	}
	if r := &hc.Resources; r.OomKillDisable != nil && *r.OomKillDisable {
		r.OomKillDisable = nil
	}
	if r := &hc.Resources; r.MemorySwappiness != nil && *r.MemorySwappiness == -1 { // what the CLI says for "not given"
		r.MemorySwappiness = nil
	}
}

func stopSignal(s string) (int, error) {
	if s == "" {
		return 0, nil
	}
	n, err := signal.ParseSignal(s)
	if err != nil {
		return 0, invalid("%v", err)
	}
	return int(n), nil
}

// process is the container's process as the tether starts it.
func process(cfg *container.Config, hc *container.HostConfig) (guest.Process, error) {
	if len(cfg.Entrypoint) == 1 && cfg.Entrypoint[0] == "" {
		cfg.Entrypoint = nil // --entrypoint "": none, not the image's either
	}
	p := guest.Process{Args: append(slices.Clone([]string(cfg.Entrypoint)), cfg.Cmd...), User: cfg.User, Groups: hc.GroupAdd,
		TTY: cfg.Tty, Stdin: cfg.OpenStdin, StdinOnce: cfg.StdinOnce, Height: uint16(hc.ConsoleSize[0]), Width: uint16(hc.ConsoleSize[1])}
	if len(p.Args) == 0 || (len(p.Args) == 1 && p.Args[0] == "") {
		return p, invalid("no command specified")
	}
	if cfg.WorkingDir != "" {
		cfg.WorkingDir = path.Clean(cfg.WorkingDir)
		if !path.IsAbs(cfg.WorkingDir) {
			return p, invalid("the working directory '%s' is invalid, it needs to be an absolute path", cfg.WorkingDir)
		}
	}
	p.Dir = cfg.WorkingDir
	env, err := environment(cfg)
	p.Env = env
	return p, err
}

// environment is Docker's: PATH, HOSTNAME and TERM, then what image and user say.
func environment(cfg *container.Config) ([]string, error) {
	env := []string{"PATH=" + defaultPath}
	if cfg.Hostname != "" {
		env = append(env, "HOSTNAME="+cfg.Hostname)
	}
	if cfg.Tty {
		env = append(env, "TERM=xterm")
	}
	for _, e := range cfg.Env {
		if strings.HasPrefix(e, "=") || e == "" {
			return nil, invalid("invalid environment variable: %s", e)
		}
	}
	return setEnv(env, cfg.Env), nil
}

// setEnv overrides variables of base; an entry without "=" removes one.
func setEnv(base, set []string) []string {
	out := slices.Clone(base)
	for _, e := range set {
		key, _, value := strings.Cut(e, "=")
		i := slices.IndexFunc(out, func(o string) bool { return strings.HasPrefix(o, key+"=") })
		switch {
		case !value && i >= 0:
			out = slices.Delete(out, i, i+1)
		case !value:
		case i >= 0:
			out[i] = e
		default:
			out = append(out, e)
		}
	}
	return out
}

// hostGateway is what --add-host takes for the address of the host, which is the endpoint VM.
const hostGateway = "host-gateway"

// resolver reads --dns*, and --add-host.
func resolver(hc *container.HostConfig, req *engine.CreateRequest) error {
	for _, s := range hc.DNS {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return invalid("invalid DNS address: %s", s)
		}
		req.DNS.Servers = append(req.DNS.Servers, a)
	}
	req.DNS.Search, req.DNS.Options = hc.DNSSearch, hc.DNSOptions
	for _, h := range hc.ExtraHosts {
		name, addr, ok := strings.Cut(h, ":")
		a, err := netip.ParseAddr(strings.Trim(addr, "[]"))
		if ok && name != "" && addr == hostGateway {
			req.GatewayNames = append(req.GatewayNames, name)
			continue
		}
		if !ok || name == "" || err != nil {
			return invalid("bad format for add-host: %q", h)
		}
		req.Hosts = append(req.Hosts, guest.Host{Address: a, Names: []string{name}})
	}
	return nil
}

// mergeConfig fills what the user left open from the image, as Docker does.
func mergeConfig(user, image *container.Config) {
	user.User = or(user.User, image.User)
	user.WorkingDir = or(user.WorkingDir, image.WorkingDir)
	user.StopSignal = or(user.StopSignal, image.StopSignal)
	if user.ExposedPorts == nil {
		user.ExposedPorts = maps.Clone(image.ExposedPorts)
	} else {
		maps.Copy(user.ExposedPorts, image.ExposedPorts)
	}
	mergeEnv(user, image)
	labels := maps.Clone(image.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, user.Labels)
	user.Labels = labels
	if len(user.Entrypoint) == 0 {
		if len(user.Cmd) == 0 {
			user.Cmd = image.Cmd
		}
		if user.Entrypoint == nil {
			user.Entrypoint = image.Entrypoint
		}
	}
	user.Healthcheck = mergeHealth(user.Healthcheck, image.Healthcheck)
	user.Volumes = mergeVolumes(user.Volumes, image.Volumes)
}

// mergeVolumes is nil, as with Docker, when neither declares any.
func mergeVolumes(user, image map[string]struct{}) map[string]struct{} {
	if len(user)+len(image) == 0 {
		return nil
	}
	all := map[string]struct{}{}
	maps.Copy(all, image)
	maps.Copy(all, user)
	return all
}

func mergeEnv(user, image *container.Config) {
	for _, e := range image.Env {
		key, _, _ := strings.Cut(e, "=")
		if !slices.ContainsFunc(user.Env, func(u string) bool { k, _, _ := strings.Cut(u, "="); return k == key }) {
			user.Env = append(user.Env, e)
		}
	}
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
