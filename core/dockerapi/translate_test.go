package dockerapi

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/go-units"

	"github.com/openvic/vic/core/engine"
	"github.com/openvic/vic/core/link"
	"github.com/openvic/vic/sdk/guest"
)

func TestCapabilitiesFollowDockersRules(t *testing.T) {
	names := func(numbers []int) string {
		var out []string
		for _, n := range numbers {
			out = append(out, capabilityNames()[n])
		}
		return strings.Join(out, " ")
	}
	for name, c := range map[string]struct {
		add, drop []string
		want      string // "" with err
		count     int
	}{
		"default":           {count: 14},
		"add one":           {add: []string{"cap_sys_admin"}, count: 15},
		"drop one":          {drop: []string{"MKNOD"}, count: 13},
		"add all":           {add: []string{"all"}, count: 41},
		"add all, drop one": {add: []string{"ALL"}, drop: []string{"CAP_NET_RAW"}, count: 40},
		"drop all":          {drop: []string{"ALL"}, count: 0},
		"drop all, add one": {add: []string{"CHOWN"}, drop: []string{"ALL"}, want: "CHOWN", count: 1},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := capabilities(c.add, c.drop)
			if err != nil || len(got) != c.count || (c.want != "" && names(got) != c.want) {
				t.Errorf("%d: %s, %v", len(got), names(got), err)
			}
		})
	}
	if _, err := capabilities([]string{"NONSENSE"}, nil); err == nil || err.Error() != `invalid CapAdd: unknown capability: "CAP_NONSENSE"` {
		t.Error(err)
	}
}

func TestConfinementOfARequest(t *testing.T) {
	yes := true
	cfg := &container.Config{Healthcheck: &container.HealthConfig{Test: []string{"CMD-SHELL", "true"}, Retries: 2}}
	hc := &container.HostConfig{SecurityOpt: []string{"no-new-privileges"}, Tmpfs: map[string]string{"/tmp": "size=1m,exec"}, Init: &yes,
		Mounts:  []mount.Mount{{Type: mount.TypeTmpfs, Target: "/cache", TmpfsOptions: &mount.TmpfsOptions{SizeBytes: 1 << 20}}},
		Sysctls: map[string]string{"net.core.somaxconn": "1"}, RestartPolicy: container.RestartPolicy{Name: "on-failure", MaximumRetryCount: 3},
		Resources: container.Resources{NanoCPUs: 15e8, Memory: 100 << 20, Ulimits: []*units.Ulimit{{Name: "nofile", Soft: 10, Hard: -1}}}}
	var req engine.CreateRequest
	if err := confine(cfg, hc, &req); err != nil {
		t.Fatal(err)
	}
	if !req.Guest.Security.Confined || !req.Guest.Security.NoNewPrivileges || len(req.Guest.Security.Masked) == 0 ||
		!slices.Contains(req.Guest.Security.ReadOnly, "/proc/sys") {
		t.Errorf("security %+v", req.Guest.Security)
	}
	if len(req.Guest.Tmpfs) != 2 || strings.Join(req.Guest.Tmpfs[0].Options, ",") != "nosuid,nodev,size=1m,exec" ||
		req.Guest.Tmpfs[1].Target != "/cache" || !slices.Contains(req.Guest.Tmpfs[1].Options, "size=1m") {
		t.Errorf("tmpfs %+v", req.Guest.Tmpfs)
	}
	if l := req.Process.Rlimits; len(l) != 1 || l[0].Resource != 7 || l[0].Soft != 10 || l[0].Hard != 1<<64-1 {
		t.Errorf("rlimits %+v", l)
	}
	if req.CPUs != 1.5 || req.Limits != (guest.Limits{Memory: 100 << 20, NanoCPUs: 15e8}) || !req.Process.Init {
		t.Errorf("CPUs %v, limits %+v", req.CPUs, req.Limits)
	}
	if req.Restart != (guest.Restart{Policy: guest.PolicyOnFailure, Max: 3}) {
		t.Errorf("policy %+v", req.Restart)
	}
	if h := req.Guest.Health; h == nil || strings.Join(h.Args, " ") != "/bin/sh -c true" || h.Retries != 2 {
		t.Errorf("health %+v", h)
	}
}

func TestWhatMakesNoSenseIsRefusedInDockersWords(t *testing.T) {
	for want, hc := range map[string]*container.HostConfig{
		"Minimum memory limit allowed is 6MB":                             {Resources: container.Resources{Memory: 1}},
		"Conflicting options: Nano CPUs and CPU Quota cannot both be set": {Resources: container.Resources{NanoCPUs: 1, CPUQuota: 1000}},
		"can't create 'AutoRemove' container with restart policy":         {AutoRemove: true, RestartPolicy: container.RestartPolicy{Name: "always"}},
		"invalid restart policy: maximum retry count can only be used with 'on-failure'": {RestartPolicy: container.RestartPolicy{Name: "always",
			MaximumRetryCount: 2}},
		"option --device is not supported": {},
	} {
		if want == "option --device is not supported" {
			hc.Devices = []container.DeviceMapping{{PathOnHost: "/dev/sda"}}
			want = "there is no host whose devices it could be given"
		}
		if err := checkHostConfig(hc); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestStatusTexts(t *testing.T) {
	now := time.Now()
	for want, s := range map[string]engine.State{
		"Up 5 seconds":                    {Status: engine.StatusRunning, Started: now.Add(-5 * time.Second)},
		"Up 5 seconds (healthy)":          {Status: engine.StatusRunning, Started: now.Add(-5 * time.Second), Health: &link.Health{Status: "healthy"}},
		"Up 5 seconds (health: starting)": {Status: engine.StatusRunning, Started: now.Add(-5 * time.Second), Health: &link.Health{Status: "starting"}},
		"Up 5 seconds (Paused)":           {Status: engine.StatusPaused, Started: now.Add(-5 * time.Second)},
		"Restarting (3) 5 seconds ago":    {Status: engine.StatusRestarting, ExitCode: 3, Finished: now.Add(-5 * time.Second)},
		"Exited (3) 5 seconds ago":        {Status: engine.StatusExited, ExitCode: 3, Finished: now.Add(-5 * time.Second)},
	} {
		if got := statusText(s, now); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestFormsOfTop(t *testing.T) {
	now := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	p := link.Process{PID: 7, PPID: 1, User: "redis", State: "Ssl", TTY: "?", Started: now.Add(-100 * time.Second), CPU: 61 * time.Second,
		RSS: 10 << 20, VSize: 20 << 20, Command: "redis-server", Args: []string{"redis-server", "*:6379"}}
	all := link.Processes{Processes: []link.Process{p}, Time: now, Memory: 100 << 20}
	for args, want := range map[string]string{
		"-ef":                    "UID=redis PID=7 PPID=1 C=61 STIME=15:02 TTY=? TIME=00:01:01 CMD=redis-server *:6379",
		"-e -f":                  "UID=redis PID=7 PPID=1 C=61 STIME=15:02 TTY=? TIME=00:01:01 CMD=redis-server *:6379",
		"aux":                    "USER=redis PID=7 %CPU=61.0 %MEM=10.0 VSZ=20480 RSS=10240 TTY=? STAT=Ssl START=15:02 TIME=1:01 COMMAND=redis-server *:6379",
		"-eo pid,comm":           "PID=7 COMMAND=redis-server",
		"-o pid,etime -o rss=KB": "PID=7 ELAPSED=01:40 KB=10240",
	} {
		columns, err := psColumns(args)
		if err != nil {
			t.Errorf("%s: %v", args, err)
			continue
		}
		var got []string
		for _, c := range columns {
			got = append(got, c.title+"="+c.value(p, all))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got %s", args, strings.Join(got, " "))
		}
	}
	for _, args := range []string{"--forest", "-o nosuch", "-Z"} {
		if _, err := psColumns(args); err == nil {
			t.Errorf("%s is understood", args)
		}
	}
	if err := checkPSArgs("-o comm=PID"); err == nil {
		t.Error("a column may be called PID")
	}
}
