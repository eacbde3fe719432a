package e2e

import (
	"strconv"
	"strings"
	"testing"
)

func TestConfinementOfAContainer(t *testing.T) {
	beside(t)
	id := container(t, "--tmpfs", "/scratch:size=1m", "--mount", "type=tmpfs,target=/m,tmpfs-size=2m", "--shm-size", "3m", "--ulimit", "nofile=77:99",
		"--sysctl", "net.core.somaxconn=321", "--read-only", "--hostname", "box", "--domainname", "example.test", "--label", "a=b",
		"--pids-limit", "50", "--memory", "100m", "--group-add", "7", "-w", "/usr", "--init", "--security-opt", "no-new-privileges",
		"busybox", "sh", "-c", "ulimit -n; cat /proc/sys/net/core/somaxconn; hostname -f; pwd; id -G; sleep 36000")
	await(t, func() string {
		return differs(docker(t, "logs", id), "77\n321\nbox.example.test\n/usr\n0 7\n")
	})
	script := func(s string) string {
		r := dockerRun(t.Context(), nil, "exec", id, "sh", "-c", s)
		return strings.TrimSpace(r.Stdout + r.Stderr)
	}
	for _, c := range []struct{ name, script, want string }{
		{"tmpfs", "df -k /scratch | tail -1 | awk '{print $2}'", "1024"},
		{"tmpfs mount", "df -k /m | tail -1 | awk '{print $2}'", "2048"},
		{"shm", "df -k /dev/shm | tail -1 | awk '{print $2}'", "3072"},
		{"read-only root", "touch /x 2>&1 | grep -c 'Read-only'", "1"},
		{"tmpfs is writable", "echo y > /scratch/f && cat /scratch/f", "y"},
		{"no mount", "mount -t tmpfs none /scratch 2>&1 | grep -c denied", "1"},
		{"capabilities", "grep CapBnd /proc/self/status | awk '{print $2}'", "00000000a80425fb"},
		{"no new privileges", "grep NoNewPrivs /proc/self/status | awk '{print $2}'", "1"},
		{"/proc/sys", "echo 1 > /proc/sys/vm/drop_caches", "sh: can't create /proc/sys/vm/drop_caches: Read-only file system"},
		{"init", "cat /proc/1/comm", "docker-init"},
	} {
		if got := script(c.script); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if got := inspect(t, id, "{{.HostConfig.Memory}} {{.GraphDriver.Data.MemoryMB}} {{.HostConfig.ShmSize}}"); got != "104857600 128 3145728" {
		t.Errorf("inspect: %s", got)
	}
	if out := docker(t, "stats", "--no-stream", "--format", "{{.MemUsage}}", id); !strings.Contains(out, "/ 100MiB") && !strings.Contains(out, "MiB / ") {
		t.Errorf("stats: %q", out)
	}
	docker(t, "stop", "-t", "600", id) // PID 1 is an init that passes SIGTERM on
	if got := inspect(t, id, "{{.State.ExitCode}}"); got != "143" {
		t.Errorf("the init does not pass SIGTERM on: exit code %s", got)
	}
}

func TestPrivileged(t *testing.T) {
	beside(t)
	r := dockerRun(t.Context(), nil, "run", "--rm", "--privileged", "busybox", "sh", "-c",
		"mkdir -p /mnt && mount -t tmpfs none /mnt && grep CapBnd /proc/self/status && echo 1 > /proc/sys/vm/drop_caches && ls /dev/sda")
	if r.Code != 0 || !strings.Contains(r.Stdout, "000001ffffffffff") || !strings.Contains(r.Stdout, "/dev/sda") {
		t.Errorf("%+v", r)
	}
	r = dockerRun(t.Context(), nil, "run", "--rm", "--device", "/dev/null", "busybox", "true")
	if r.Code == 0 || !strings.Contains(r.Stderr, "no host whose devices") {
		t.Errorf("--device: %+v", r)
	}
}

func TestMemoryLimitKills(t *testing.T) {
	beside(t)
	id := container(t, "-m", "128m", "busybox", "sh", "-c", "tail /dev/zero")
	docker(t, "wait", id)
	if got := inspect(t, id, "{{.State.ExitCode}} {{.State.OOMKilled}}"); got != "137 true" {
		t.Errorf("state %s", got)
	}
}

func TestUpdateOfAStoppedAndOfARunningContainer(t *testing.T) {
	beside(t)
	id := container(t, "-m", "200m", "busybox", "sh", "-c", "grep MemTotal /proc/meminfo | awk '{print $2}'; sleep 36000")
	r := dockerRun(t.Context(), nil, "update", "-m", "1g", "--memory-swap", "2g", id)
	if r.Code == 0 || !strings.Contains(r.Stderr, "stop the container first") {
		t.Errorf("growth of a running one: %+v", r)
	}
	docker(t, "update", "-m", "150m", "--memory-swap", "300m", "--restart", "always", id)
	docker(t, "stop", "-t", "1", id)
	docker(t, "update", "-m", "600m", "--memory-swap", "1g", "--restart", "no", id)
	docker(t, "start", id)
	var sizes []string
	await(t, func() string {
		if sizes = strings.Fields(docker(t, "logs", id)); len(sizes) != 2 {
			return "logs: " + strings.Join(sizes, " ")
		}
		return ""
	})
	first, _ := strconv.Atoi(sizes[0])
	second, _ := strconv.Atoi(sizes[1])
	if first >= 200<<10 || second <= 500<<10 {
		t.Errorf("MemTotal %d kB, then %d kB", first, second)
	}
	if got := inspect(t, id, "{{.HostConfig.Memory}} {{.HostConfig.RestartPolicy.Name}}"); got != "629145600 no" {
		t.Errorf("inspect: %s", got)
	}
}

func TestPauseStopsTheClock(t *testing.T) {
	beside(t)
	id := counter(t, "pause-clock")
	await(t, func() string {
		if len(strings.Fields(docker(t, "logs", id))) < 5 {
			return "it does not count"
		}
		return ""
	})
	docker(t, "pause", id)
	if got := docker(t, "ps", "--filter", "status=paused", "--no-trunc", "--format", "{{.ID}} {{.Status}}"); !strings.HasPrefix(got, id+" Up") ||
		!strings.Contains(got, "(Paused)") {
		t.Errorf("ps: %q", got)
	}
	before := docker(t, "logs", id)
	if r := dockerRun(t.Context(), nil, "exec", id, "true"); r.Code == 0 || !strings.Contains(r.Stderr, "is paused, unpause the container before exec") {
		t.Errorf("exec: %+v", r)
	}
	docker(t, "run", "--rm", "busybox", "sleep", "1") // another's second, in which it would have counted
	if after := docker(t, "logs", id); after != before {
		t.Errorf("it counts on while paused: %q, %q", before, after)
	}
	docker(t, "unpause", id)
	await(t, func() string {
		if after := docker(t, "logs", id); len(after) <= len(before) {
			return "it does not go on"
		}
		return ""
	})
	docker(t, "pause", id)
	docker(t, "stop", "-t", "1", id)
	if got := inspect(t, id, "{{.State.Status}} {{.State.Paused}}"); got != "exited false" {
		t.Errorf("after the stop of a paused one: %s", got)
	}
}
