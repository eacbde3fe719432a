package dockerapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// option is an option of docker create and run that a VM cannot have as a container of dockerd has it.
type option struct {
	flag string
	// query, host and config are what a client asks for with it: of the address, of HostConfig and of Config.
	query, host, config string
}

func options() []option {
	return []option{
		{flag: "-v /host/path:/path", host: `"Binds":["/host/path:/path"]`},
		{flag: "--mount type=bind,source=/host/path", host: `"Mounts":[{"Type":"bind","Source":"/host/path","Target":"/path"}]`},
		{flag: "--mount volume-subpath=dir", host: `"Mounts":[{"Type":"volume","Source":"vol","Target":"/path","VolumeOptions":{"Subpath":"dir"}}]`},
		{flag: "--volume-driver nfs", host: `"VolumeDriver":"nfs","Binds":["vol:/path"]`},
		{flag: "--network host", host: `"NetworkMode":"host"`},
		{flag: "--network container:web", host: `"NetworkMode":"container:web"`},
		{flag: "--ip 172.16.0.9 (no `--network`)", config: `"NetworkingConfig":{"EndpointsConfig":{"bridge":{"IPAMConfig":{"IPv4Address":"172.16.0.9"}}}}`},
		{flag: "--link-local-ip 169.254.7.7", config: `"NetworkingConfig":{"EndpointsConfig":{"bridge":{"IPAMConfig":{"LinkLocalIPs":["169.254.7.7"]}}}}`},
		{flag: "--device /dev/x", host: `"Devices":[{"PathOnHost":"/dev/x","PathInContainer":"/dev/x"}]`},
		{flag: "--device-cgroup-rule 'c 1:3 r'", host: `"DeviceCgroupRules":["c 1:3 r"]`},
		{flag: "--gpus all", host: `"DeviceRequests":[{"Count":-1,"Capabilities":[["gpu"]]}]`},
		{flag: "--pid host", host: `"PidMode":"host"`},
		{flag: "--uts host", host: `"UTSMode":"host"`},
		{flag: "--ipc host", host: `"IpcMode":"host"`},
		{flag: "--cgroupns host", host: `"CgroupnsMode":"host"`},
		{flag: "--cgroup-parent /x", host: `"CgroupParent":"/x"`},
		{flag: "--runtime other", host: `"Runtime":"other"`},
		{flag: "--isolation hyperv", host: `"Isolation":"hyperv"`},
		{flag: "--platform linux/arm64", query: "platform=linux/arm64"},
		{flag: "--oom-score-adj 100", host: `"OomScoreAdj":100`},
		{flag: "--storage-opt size=1G", host: `"StorageOpt":{"size":"1G"}`},
		{flag: "--blkio-weight 100", host: `"BlkioWeight":100`},
		{flag: "--device-read-bps /dev/x:1mb", host: `"BlkioDeviceReadBps":[{"Path":"/dev/x","Rate":1048576}]`},
		{flag: "--cpuset-mems 0", host: `"CpusetMems":"0"`},
		{flag: "--cpu-rt-runtime 1000", host: `"CpuRealtimeRuntime":1000`},
		{flag: "--log-driver syslog", host: `"LogConfig":{"Type":"syslog"}`},
		{flag: "--log-driver none", host: `"LogConfig":{"Type":"none"}`},
		{flag: "--log-driver local", host: `"LogConfig":{"Type":"local"}`},
		{flag: "--privileged", host: `"Privileged":true`},
		{flag: "--security-opt seccomp=...", host: `"SecurityOpt":["seccomp={}"]`},
		{flag: "--security-opt apparmor=...", host: `"SecurityOpt":["apparmor=x"]`},
		{flag: "--security-opt label=...", host: `"SecurityOpt":["label=type:x"]`},
		{flag: "--memory 50m", host: `"Memory":52428800`},
		{flag: "--memory-swap 1g", host: `"Memory":536870912,"MemorySwap":1073741824`},
		{flag: "--memory-swappiness 10", host: `"MemorySwappiness":10`},
		{flag: "--memory-reservation 256m", host: `"MemoryReservation":268435456`},
		{flag: "--oom-kill-disable", host: `"OomKillDisable":true`},
		{flag: "--cpu-shares 512", host: `"CpuShares":512`},
	}
}

// optionRows asks for a container with each option and tells what is answered.
func optionRows(t *testing.T) (rows []string) {
	c := newClient(t)
	for _, o := range options() {
		body := strings.TrimSuffix(createBody(o.host), "}")
		if o.config != "" {
			body += "," + o.config
		}
		got := c.call(http.MethodPost, "/containers/create?"+o.query, body+"}")
		verdict, text := "taken", ""
		var warnings []string
		if list, ok := got.body["Warnings"].([]any); ok {
			for _, w := range list {
				warnings = append(warnings, fmt.Sprint(w))
			}
		}
		switch {
		case got.code == http.StatusCreated && len(warnings) > 0:
			verdict, text = "taken, with a warning", strings.Join(warnings, " ")
		case got.code == http.StatusCreated:
		case got.code == http.StatusNotImplemented || got.code == http.StatusBadRequest:
			verdict, text = "refused", got.Message
		default:
			t.Errorf("%s: %d %s", o.flag, got.code, got.Message)
		}
		flag := o.flag
		if !strings.Contains(flag, "`") {
			flag = "`" + flag + "`"
		} else {
			first, rest, _ := strings.Cut(flag, " (")
			flag = "`" + first + "` (" + rest
		}
		rows = append(rows, fmt.Sprintf("| %s | %s | %s |", flag, verdict, strings.NewReplacer("\n", " ", "|", "\\|").Replace(text)))
	}
	return rows
}
