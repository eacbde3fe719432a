package dockerapi

import (
	"context"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/docker/docker/api"
	"github.com/docker/docker/api/types"
	eventtypes "github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	imagetypes "github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"
	systemtypes "github.com/docker/docker/api/types/system"
	dockerevents "github.com/docker/docker/daemon/events"

	"github.com/openvic/vic/core/engine"
)

// productName is what docker version and info show.
const productName = "vSphere Integrated Containers"

const (
	// runtimeName is what docker info and inspect call the way processes are run.
	runtimeName = "vm"
	// logDriver is the log driver of Docker's whose ways the logs have.
	logDriver = "json-file"
	// noLogDriver keeps no output.
	noLogDriver = "none"
)

// system is the backend of Docker's system router.
type system struct {
	opts       Options
	containers *containers
	started    time.Time
}

// SystemInfo is docker info.
func (b *system) SystemInfo(ctx context.Context) (*systemtypes.Info, error) {
	info := &systemtypes.Info{ID: b.opts.ID, Name: b.opts.Name, Driver: storageDriver, ServerVersion: EngineVersion,
		OSType: "linux", Architecture: "x86_64", OperatingSystem: productName + " " + b.opts.Version, KernelVersion: kernel(),
		NCPU: runtime.NumCPU(), MemTotal: memory(),
		SystemTime: time.Now().Format(time.RFC3339Nano), LoggingDriver: logDriver, CgroupDriver: "none", CgroupVersion: "2",
		DefaultRuntime: runtimeName, Runtimes: map[string]systemtypes.RuntimeWithStatus{runtimeName: {}}, NGoroutines: runtime.NumGoroutine(),
		NEventsListener: b.opts.Events.SubscribersCount(), IndexServerAddress: "https://index.docker.io/v1/",
		MemoryLimit: true, CPUCfsPeriod: true, CPUCfsQuota: true, PidsLimit: true, CPUShares: true, CPUSet: true, SwapLimit: true,
		IPv4Forwarding: true, OomKillDisable: true, LiveRestoreEnabled: true, SecurityOptions: []string{"name=vm"},
		Swarm: noSwarm{}.Info(ctx), RegistryConfig: &registry.ServiceConfig{}, Labels: []string{}, CDISpecDirs: []string{}}
	if b.opts.Registries != nil {
		info.RegistryConfig = b.opts.Registries()
	}
	info.Plugins = systemtypes.PluginsInfo{Volume: []string{engine.VolumeDriver}, Network: []string{"bridge"}, Log: []string{logDriver}}
	info.DriverStatus = [][2]string{{"Compute driver", b.opts.Drivers[0]}, {"Storage driver", b.opts.Drivers[1]}, {"Network driver", b.opts.Drivers[2]}}
	c := b.opts.Engine.Capacity(ctx)
	if c.CPUs > 0 {
		info.NCPU = int(c.CPUs)
	}
	if c.MemoryMB > 0 {
		info.MemTotal = c.MemoryMB << 20
	}
	b.count(ctx, info)
	return info, nil
}

// count fills in the numbers of containers and images.
func (b *system) count(ctx context.Context, info *systemtypes.Info) {
	for _, c := range b.opts.Engine.List() {
		info.Containers++
		switch c.State.Status {
		case engine.StatusRunning:
			info.ContainersRunning++
		case engine.StatusPaused:
			info.ContainersPaused++
		default:
			info.ContainersStopped++
		}
	}
	images, err := b.opts.Images.Images(ctx, imagetypes.ListOptions{})
	if err != nil {
		info.Warnings = append(info.Warnings, "WARNING: images cannot be listed: "+err.Error())
	}
	info.Images = len(images)
}

// SystemVersion is docker version.
func (b *system) SystemVersion(context.Context) (types.Version, error) {
	v := types.Version{Version: EngineVersion, APIVersion: api.DefaultVersion, MinAPIVersion: api.MinSupportedAPIVersion,
		GoVersion: runtime.Version(), Os: runtime.GOOS, Arch: runtime.GOARCH, KernelVersion: kernel()}
	v.Platform.Name = productName + " " + b.opts.Version
	v.Components = []types.ComponentVersion{
		{Name: "Engine", Version: EngineVersion, Details: map[string]string{"ApiVersion": v.APIVersion, "MinAPIVersion": v.MinAPIVersion,
			"GoVersion": v.GoVersion, "Os": v.Os, "Arch": v.Arch, "KernelVersion": v.KernelVersion, "Experimental": "false"}},
		{Name: "vicd", Version: b.opts.Version, Details: map[string]string{"VCH": b.opts.Name}},
	}
	return v, nil
}

// SubscribeToEvents is docker events.
func (b *system) SubscribeToEvents(since, until time.Time, f filters.Args) ([]eventtypes.Message, chan any) {
	return b.opts.Events.SubscribeTopic(since, until, dockerevents.NewFilter(f))
}

// UnsubscribeFromEvents ends SubscribeToEvents.
func (b *system) UnsubscribeFromEvents(ch chan any) { b.opts.Events.Evict(ch) }

// AuthenticateToRegistry is docker login.
func (b *system) AuthenticateToRegistry(ctx context.Context, auth *registry.AuthConfig) (string, string, error) {
	if auth == nil { // a body of "null"
		return "", "", invalid("no credentials")
	}
	return b.opts.Images.AuthenticateToRegistry(ctx, auth)
}

func kernel() string {
	var u syscall.Utsname
	if err := syscall.Uname(&u); err != nil {
		return "unknown"
	}
	var s strings.Builder
	for _, c := range u.Release {
		if c == 0 {
			break
		}
		s.WriteByte(byte(c))
	}
	return s.String()
}

func memory() int64 {
	var i syscall.Sysinfo_t
	if err := syscall.Sysinfo(&i); err != nil {
		return 0
	}
	return int64(i.Totalram) * int64(i.Unit)
}
