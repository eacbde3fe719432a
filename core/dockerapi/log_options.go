package dockerapi

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/backend"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/daemon/logger"
	"github.com/docker/docker/daemon/logger/loggerutils"
	units "github.com/docker/go-units"

	"github.com/openvic/vic/core/engine"
	"github.com/openvic/vic/sdk/guest"
)

// logOptions reads --log-driver and --log-opt: output is kept on the container's disk, bounded.
func logOptions(lc container.LogConfig) (guest.Log, error) {
	var l guest.Log
	if lc.Type == noLogDriver {
		return guest.Log{None: true}, nil // whatever the options, as with dockerd
	}
	if lc.Type != "" && lc.Type != logDriver && lc.Type != "local" {
		return l, unsupported("option --log-driver " + lc.Type)
	}
	for _, k := range slices.Sorted(maps.Keys(lc.Config)) {
		v := lc.Config[k]
		var err error
		switch k {
		case "max-size":
			if l.MaxSize, err = units.RAMInBytes(v); err != nil || l.MaxSize <= 0 {
				return l, invalid("option --log-opt max-size: %q is not a size", v)
			}
		case "max-file":
			if l.MaxFiles, err = strconv.Atoi(v); err != nil || l.MaxFiles < 1 {
				return l, invalid("option --log-opt max-file: %q is not a number of files", v)
			}
		case "compress": // how dockerd keeps its files: here there are none of it
			if _, err = strconv.ParseBool(v); err != nil {
				return l, invalid("option --log-opt compress: %v", err)
			}
		case "labels", "labels-regex", "env", "env-regex", "tag":
			if lc.Type == "local" {
				return l, invalid("unknown log opt '%s' for local log driver", k)
			}
		default:
			return l, invalid("unknown log opt '%s' for %s log driver", k, or(lc.Type, logDriver))
		}
	}
	// A text or a template that cannot be read shows at once.
	some := strings.Repeat("0", 64)
	_, err := logDetails(logger.Info{Config: lc.Config, ContainerID: some, ContainerImageID: some, ContainerEnv: []string{"A="}})
	if err != nil {
		return l, invalid("option --log-opt: %v", err)
	}
	return l, nil
}

// logDetails is what docker logs --details shows with each line, by Docker's rules for json-file.
func logDetails(info logger.Info) ([]backend.LogAttr, error) {
	attrs, err := info.ExtraAttributes(nil)
	if err != nil {
		return nil, err
	}
	tag, err := loggerutils.ParseLogTag(info, "")
	if err != nil {
		return nil, err
	}
	if tag != "" {
		attrs["tag"] = tag
	}
	var out []backend.LogAttr
	for _, k := range slices.Sorted(maps.Keys(attrs)) {
		out = append(out, backend.LogAttr{Key: k, Value: attrs[k]})
	}
	return out, nil
}

// detailsOf are those of a container.
func (b *containers) detailsOf(c *engine.Container) []backend.LogAttr {
	d := b.definition(c)
	info := logger.Info{Config: d.HostConfig.LogConfig.Config, ContainerID: c.ID, ContainerName: "/" + c.Name, ContainerArgs: c.Process.Args[1:],
		ContainerEntrypoint: c.Process.Args[0], ContainerImageID: c.Image.ID, ContainerImageName: d.Config.Image, ContainerCreated: c.Created,
		ContainerEnv: d.Config.Env, ContainerLabels: d.Config.Labels, DaemonName: "docker"}
	attrs, err := logDetails(info)
	if err != nil { // create has looked at them
		return nil
	}
	return attrs
}
