package e2e

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/tests/harness"
)

func TestLifeOfAContainer(t *testing.T) {
	beside(t)
	id := container(t, "--name", "life", "busybox", "sh", "-c", "echo one; sleep 36000")
	if got := inspect(t, "life", "{{.State.Status}} {{.Id}}"); got != "running "+id {
		t.Fatalf("inspect: %q", got)
	}
	if got := docker(t, "ps", "--format", "{{.Names}} {{.Image}}"); !strings.Contains(got, "life busybox\n") {
		t.Fatalf("ps: %q", got)
	}
	docker(t, "stop", "-t", "1", "life")
	if got := inspect(t, id, "{{.State.Status}} {{.State.ExitCode}}"); got != "exited 137" {
		t.Fatalf("after stop: %q", got)
	}
	if got := docker(t, "logs", "life"); got != "one\n" {
		t.Fatalf("logs of a stopped container: %q", got)
	}
	docker(t, "start", "life")
	if got := inspect(t, id, "{{.State.Running}}"); got != "true" {
		t.Fatalf("after start: running %s", got)
	}
	docker(t, "rename", "life", "life2")
	docker(t, "restart", "-t", "1", "life2")
	docker(t, "kill", "life2")
	if got := strings.TrimSpace(docker(t, "wait", "life2")); got != "137" {
		t.Fatalf("wait: %q", got)
	}
	if got := docker(t, "ps", "-a", "--filter", "name=life2", "--filter", "status=exited", "-q", "--no-trunc"); strings.TrimSpace(got) != id {
		t.Fatalf("ps with filters: %q", got)
	}
	docker(t, "rm", "life2")
	if r := dockerRun(t.Context(), nil, "inspect", id); r.Code == 0 || !strings.Contains(strings.ToLower(r.Stderr), "no such object") {
		t.Fatalf("inspect after rm: %d %q", r.Code, r.Stderr)
	}
}

func TestFilesSurviveARestart(t *testing.T) {
	beside(t)
	id := container(t, "busybox", "sh", "-c", "[ -f /kept ] && cat /kept && exit 0; echo kept-data > /kept; sync; sleep 36000")
	await(t, func() string {
		if r := dockerRun(t.Context(), nil, "exec", id, "cat", "/kept"); r.Stdout != "kept-data\n" {
			return r.Stdout + r.Stderr
		}
		return ""
	})
	docker(t, "restart", "-t", "1", id)
	docker(t, "wait", id)
	if got := docker(t, "logs", id); got != "kept-data\n" {
		t.Fatalf("logs: %q", got)
	}
}

func TestLogs(t *testing.T) {
	beside(t)
	begun := time.Now()
	id := container(t, "busybox", "sh", "-c", "for i in 1 2 3 4 5; do echo line $i; done; sleep 2; echo last")
	followed := make(chan harness.Result, 1)
	go func() { followed <- dockerRun(context.Background(), nil, "logs", "-f", id) }()
	docker(t, "wait", id)
	want := "line 1\nline 2\nline 3\nline 4\nline 5\nlast\n"
	if r := <-followed; r.Stdout != want {
		t.Fatalf("logs -f: %q (%s)", r.Stdout, r.Stderr)
	}
	if got := docker(t, "logs", "--tail", "2", id); got != "line 5\nlast\n" {
		t.Fatalf("logs --tail 2: %q", got)
	}
	stamped := docker(t, "logs", "-t", "--tail", "1", id)
	stamp, rest, _ := strings.Cut(stamped, " ")
	at, err := time.Parse(time.RFC3339Nano, stamp)
	if err != nil || rest != "last\n" {
		t.Fatalf("logs -t: %q", stamped)
	}
	between(t, "the guest", begun, at, time.Now(), stepped)
	if got := docker(t, "logs", "--since", at.Add(-time.Second).Format(time.RFC3339Nano), id); got != "last\n" {
		t.Fatalf("logs --since: %q", got)
	}
}

func TestExec(t *testing.T) {
	beside(t)
	id := container(t, "busybox", "sleep", "36000")
	if got := docker(t, "exec", "-e", "X=y", "-w", "/tmp", id, "sh", "-c", "echo $X $(pwd)"); got != "y /tmp\n" {
		t.Fatalf("exec: %q", got)
	}
	if r := dockerRun(t.Context(), []byte("in\n"), "exec", "-i", id, "cat"); r.Stdout != "in\n" {
		t.Fatalf("exec -i: %+v", r)
	}
	if r := dockerRun(t.Context(), nil, "exec", id, "sh", "-c", "exit 5"); r.Code != 5 {
		t.Fatalf("exec exit: %+v", r)
	}
	docker(t, "exec", "-d", id, "sh", "-c", "echo done > /tmp/flag")
	await(t, func() string {
		if r := dockerRun(t.Context(), nil, "exec", id, "cat", "/tmp/flag"); r.Stdout != "done\n" {
			return "exec -d has not written its file"
		}
		return ""
	})
	x := onTerminal(t, 24, 80, "exec", "-it", id, "sh")
	x.expect("# ")
	x.send("tty; stty size\n")
	x.expect("24 80")
	x.send("exit 4\n")
	x.cmd.Wait()
	if c := x.cmd.ProcessState.ExitCode(); c != 4 {
		t.Fatalf("exec -it exit %d", c)
	}
	if r := dockerRun(t.Context(), nil, "exec", id, "nosuch"); r.Code != 127 && r.Code != 126 {
		t.Fatalf("exec of a missing command: %+v", r)
	}
}

func TestAttach(t *testing.T) {
	beside(t)
	id := container(t, "busybox", "sh", "-c", "while [ ! -e /end ]; do echo tick; usleep 100000; done; echo seen; exit 6")
	var out syncBuffer
	attach := theLab.DockerCmd(t.Context(), "attach", id)
	attach.Stdout = &out
	if err := attach.Start(); err != nil {
		t.Fatal(err)
	}
	await(t, func() string { return wantText(out.String(), "tick\n") })
	docker(t, "exec", id, "touch", "/end")
	_ = attach.Wait()
	if code := attach.ProcessState.ExitCode(); code != 6 || !strings.HasSuffix(out.String(), "tick\nseen\n") {
		t.Fatalf("attach: exit code %d, %q", code, out.String())
	}
}

func TestEvents(t *testing.T) {
	beside(t)
	since := now()
	docker(t, "run", "--rm", "--name", "eventful", "busybox", "true")
	var got []string
	await(t, func() string {
		out := docker(t, "events", "--since", since, "--until", now(),
			"--filter", "container=eventful", "--format", "{{.Action}}")
		got = strings.Fields(out)
		for _, want := range []string{"create", "start", "die", "destroy"} {
			if !strings.Contains(" "+strings.Join(got, " ")+" ", " "+want+" ") {
				return "no " + want + " in " + out
			}
		}
		return ""
	})
}

func TestNetworkOfTheBridge(t *testing.T) {
	beside(t)
	if got := docker(t, "network", "ls", "--format", "{{.Name}} {{.Driver}}"); !strings.Contains(got, "bridge bridge\n") {
		t.Fatalf("network ls: %q", got)
	}
	id := container(t, "busybox", "sleep", "36000")
	ip := inspect(t, id, "{{.NetworkSettings.Networks.bridge.IPAddress}}")
	var nets []struct {
		Containers map[string]struct{ IPv4Address string }
	}
	if err := json.Unmarshal([]byte(docker(t, "network", "inspect", "bridge")), &nets); err != nil {
		t.Fatal(err)
	}
	if a := nets[0].Containers[id].IPv4Address; ip == "" || !strings.HasPrefix(a, ip+"/") {
		t.Fatalf("network inspect says %q, inspect %q", a, ip)
	}
}

func TestContainersReachOneAnotherAndTheOutside(t *testing.T) {
	beside(t)
	id := container(t, "busybox", "sh", "-c", "mkdir /www; echo from-neighbour > /www/index.html; httpd -f -p 80 -h /www")
	ip := inspect(t, id, "{{.NetworkSettings.Networks.bridge.IPAddress}}")
	var out string
	await(t, func() string {
		r := dockerRun(t.Context(), nil, "run", "--rm", "busybox", "wget", "-qO-", "http://"+ip+"/")
		out = r.Stdout
		if out != "from-neighbour\n" {
			return r.Stdout + r.Stderr
		}
		return ""
	})
	// The outside is the lab's registry, by name through the bridge's DNS and NAT.
	if got := docker(t, "run", "--rm", "busybox", "wget", "-qO-", "http://"+harness.RegistryHost+"/v2/"); strings.TrimSpace(got) != "{}" {
		t.Fatalf("registry answered %q", got)
	}
}

func TestWhatAVMCannotHaveIsRefused(t *testing.T) {
	beside(t)
	for _, option := range [][]string{{"--device", "/dev/null"}, {"--pid", "host"}, {"--network", "host"}, {"--gpus", "all"}, {"-v", "/etc:/x"}} {
		r := dockerRun(t.Context(), nil, append(append([]string{"create"}, option...), "busybox")...)
		if r.Code == 0 || !strings.Contains(r.Stderr, "Error response from daemon: ") || strings.TrimSpace(r.Stdout) != "" {
			t.Errorf("docker create %v: %+v", option, r)
		}
		progress("docker create %v: %s", option, strings.TrimSpace(r.Stderr))
	}
}

// Output that nobody is to keep comes to those who are attached, and holds nobody up.
func TestLogDriverNone(t *testing.T) {
	beside(t)
	if out := docker(t, "run", "--rm", "--log-driver", "none", "busybox", "sh", "-c", "echo out; echo err >&2"); out != "out\n" {
		t.Errorf("run: %q", out)
	}
	id := container(t, "--log-driver", "none", "busybox", "sh", "-c", "rm -f /done; dd if=/dev/zero bs=1M count=20 2>/dev/null; touch /done; sleep 36000")
	if r := dockerRun(t.Context(), nil, "logs", id); r.Code != 1 || !strings.Contains(r.Stderr, "configured logging driver does not support reading") {
		t.Errorf("logs: %+v", r)
	}
	await(t, func() string { return dockerRun(t.Context(), nil, "exec", id, "ls", "/done").Stderr })
	docker(t, "restart", "-t", "0", id)
	await(t, func() string { return dockerRun(t.Context(), nil, "exec", id, "ls", "/done").Stderr })
	docker(t, "stop", "-t", "0", id)
	if got := inspect(t, id, "{{.State.Status}} {{.State.ExitCode}} {{.HostConfig.LogConfig.Type}}"); got != "exited 137 none" {
		t.Errorf("inspect: %s", got)
	}
}
