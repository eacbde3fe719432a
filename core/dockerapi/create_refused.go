package dockerapi

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/docker/docker/api/types/container"
)

// honoured are the fields of HostConfig that the engine takes, or that checkValues looks at. A field
// that is not listed must be empty: whoever asks for it is told that it is not there.
func honoured() []string {
	return []string{
		"PortBindings", "PublishAllPorts", "Links",
		"Binds", "Mounts", "VolumesFrom", "VolumeDriver",
		"ContainerIDFile", "LogConfig", "NetworkMode", "RestartPolicy", "AutoRemove", "ConsoleSize", "Annotations",
		"CgroupnsMode", "DNS", "DNSOptions", "DNSSearch", "ExtraHosts", "GroupAdd", "IpcMode", "ReadonlyRootfs", "Isolation",
		"Memory", "NanoCPUs", "MemorySwap", "MemorySwappiness", "OomKillDisable", "PidsLimit", "Init", "UsernsMode",
		"Privileged", "CapAdd", "CapDrop", "SecurityOpt", "MaskedPaths", "ReadonlyPaths", "Tmpfs", "Ulimits", "Sysctls", "ShmSize",
		"CPUPeriod", "CPUQuota", "CPUShares", "CpusetCpus", "MemoryReservation",
		"Runtime",
	}
}

// flagOf names the option of docker run that sets a field of HostConfig.
func flagOf(field string) string {
	flags := map[string]string{
		"Binds": "-v, --volume", "Mounts": "--mount", "VolumesFrom": "--volumes-from", "VolumeDriver": "--volume-driver",
		"Tmpfs": "--tmpfs", "PortBindings": "-p, --publish", "PublishAllPorts": "-P, --publish-all", "Links": "--link",
		"CapAdd": "--cap-add", "CapDrop": "--cap-drop", "Privileged": "--privileged", "SecurityOpt": "--security-opt",
		"Devices": "--device", "DeviceCgroupRules": "--device-cgroup-rule", "DeviceRequests": "--gpus",
		"PidMode": "--pid", "UTSMode": "--uts", "Cgroup": "--cgroup", "CgroupParent": "--cgroup-parent",
		"OomScoreAdj": "--oom-score-adj", "StorageOpt": "--storage-opt", "ShmSize": "--shm-size", "Sysctls": "--sysctl",
		"Runtime": "--runtime", "Ulimits": "--ulimit", "CPUShares": "-c, --cpu-shares", "CPUPeriod": "--cpu-period",
		"CPUQuota": "--cpu-quota", "CPURealtimePeriod": "--cpu-rt-period", "CPURealtimeRuntime": "--cpu-rt-runtime",
		"CpusetCpus": "--cpuset-cpus", "CpusetMems": "--cpuset-mems", "BlkioWeight": "--blkio-weight",
		"BlkioWeightDevice": "--blkio-weight-device", "BlkioDeviceReadBps": "--device-read-bps",
		"BlkioDeviceWriteBps": "--device-write-bps", "BlkioDeviceReadIOps": "--device-read-iops",
		"BlkioDeviceWriteIOps": "--device-write-iops", "KernelMemory": "--kernel-memory", "MemoryReservation": "--memory-reservation",
	}
	if f, ok := flags[field]; ok {
		return "option " + f + why(field)
	}
	return "option " + field + " of HostConfig"
}

// why says what stands against an option that will not come.
func why(field string) string {
	switch field {
	case "Devices", "DeviceRequests", "DeviceCgroupRules":
		return " (a container is a VM of its own: there is no host whose devices it could be given)"
	case "PidMode", "UTSMode", "Cgroup", "CgroupParent", "Runtime":
		return " (a container is a VM with a kernel of its own: there are no namespaces, control groups or runtimes to choose)"
	}
	return ""
}

// checkHostConfig refuses what the engine would have to ignore.
func checkHostConfig(hc *container.HostConfig) error {
	if field := firstSet(reflect.ValueOf(hc).Elem(), honoured()); field != "" {
		return unsupported(flagOf(field))
	}
	return checkValues(hc)
}

// firstSet returns the first field of a struct that is set and not in skip.
func firstSet(v reflect.Value, skip []string) string {
	t := v.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous && f.Type.Kind() == reflect.Struct {
			if s := firstSet(v.Field(i), skip); s != "" {
				return s
			}
			continue
		}
		if !slices.Contains(skip, f.Name) && !empty(v.Field(i)) {
			return f.Name
		}
	}
	return ""
}

// empty is true for a zero value, an empty list or map, and a pointer to one.
func empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		return v.Len() == 0
	case reflect.Pointer:
		return v.IsNil() || empty(v.Elem())
	default:
		return v.IsZero()
	}
}

// checkValues refuses values of fields that have some harmless ones.
func checkValues(hc *container.HostConfig) error {
	one := func(option, value string, allowed ...string) error {
		if value == "" || slices.Contains(allowed, value) {
			return nil
		}
		return unsupported(fmt.Sprintf("option %s %s", option, value))
	}
	if !hc.IpcMode.Valid() {
		return invalid("invalid IPC mode: %s", hc.IpcMode)
	}
	checks := []error{
		container.ValidateRestartPolicy(hc.RestartPolicy),
		checkResources(&hc.Resources, false),
		one("--ipc", string(hc.IpcMode), "private", "shareable"),
		one("--cgroupns", string(hc.CgroupnsMode), "private"),
		one("--userns", string(hc.UsernsMode), "host"),
		one("--isolation", string(hc.Isolation), "default"),
	}
	for _, err := range checks {
		if err != nil {
			return err
		}
	}
	if hc.Runtime != "" && hc.Runtime != runtimeName {
		return unsupported(flagOf("Runtime"))
	}
	if hc.AutoRemove && !hc.RestartPolicy.IsNone() {
		return invalid("can't create 'AutoRemove' container with restart policy")
	}
	if hc.ShmSize < 0 {
		return invalid("SHM size can not be less than 0")
	}
	_, err := logOptions(hc.LogConfig)
	return err
}

// checkConfig refuses what of a container's own configuration (not the image's) is not there.
func checkConfig(c *container.Config) error {
	if c.NetworkDisabled {
		return unsupported("option NetworkDisabled of Config")
	}
	return nil
}
