package e2e

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// counter runs a container that prints a numbered line ten times a second and writes it to a volume,
// serves a page on a published port, and is to be started again when its process ends, which it does
// when there is a file /end.
func counter(t *testing.T, name string) string {
	t.Helper()
	return container(t, "-v", volume(t, name)+":/data", "-p", "8077:80", "--restart", "always", "busybox", "sh", "-c",
		"mkdir -p /www; echo page >/www/index.html; httpd -p 80 -h /www; "+
			"i=0; while [ ! -e /end ]; do i=$((i+1)); echo $i; echo $i >/data/n; usleep 100000; done; rm /end; exit 1")
}

// allStillWorks checks what else a counter has: its volume, its port and its policy.
func allStillWorks(t *testing.T, id, port string) {
	t.Helper()
	if text, err := fetch("http://" + port + "/"); err != nil || text != "page\n" {
		t.Errorf("the published port: %q %v", text, err)
	}
	written := func() int {
		n, _ := strconv.Atoi(strings.TrimSpace(docker(t, "exec", id, "cat", "/data/n")))
		return n
	}
	was := written()
	await(t, func() string {
		if is := written(); was < 10 || is <= was {
			return fmt.Sprintf("the volume has %d and then %d", was, is)
		}
		return ""
	})
	if got := inspect(t, id, "{{.RestartCount}}"); got != "0" {
		t.Errorf("restarts so far: %s", got)
	}
	docker(t, "exec", id, "touch", "/end")
	await(t, func() string {
		return differs(inspect(t, id, "{{.RestartCount}} {{.State.Status}}"), "1 running")
	})
}

// everyLineOnce tells what is wrong with lines that should count up from the first one.
func everyLineOnce(text string) string {
	lines := strings.Fields(text)
	if len(lines) == 0 {
		return "no lines"
	}
	first, err := strconv.Atoi(lines[0])
	if err != nil {
		return fmt.Sprintf("the first line is %q", lines[0])
	}
	for i, l := range lines {
		if n, err := strconv.Atoi(l); err != nil || n != first+i {
			return fmt.Sprintf("line %d is %q after %q", first+i, l, lines[max(i-1, 0)])
		}
	}
	return ""
}

// killStory does harm while a container prints and checks that nothing of it is lost.
func killStory(t *testing.T, harm func(t *testing.T), attached bool) {
	port, err := theLab.Forward(77, 8077)
	if err != nil {
		t.Fatal(err)
	}
	id := counter(t, strings.ToLower(t.Name()))
	vm := vmOf(t, id)
	out := &syncBuffer{}
	reader := theLab.DockerCmd(context.Background(), "logs", "-f", id)
	if attached {
		reader = theLab.DockerCmd(context.Background(), "attach", "--no-stdin", "--sig-proxy=false", id)
	}
	reader.Stdout = out
	if err := reader.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { reader.Process.Kill(); reader.Wait() }()
	await(t, func() string {
		if len(strings.Fields(out.String())) < 10 {
			return "the container prints nothing"
		}
		return ""
	})
	boot, ports := uptime(t, id), docker(t, "port", id)
	harm(t)
	start := time.Now()
	serving(t)
	progress("%s: the Docker API serves again after %.1f s", t.Name(), time.Since(start).Seconds())
	took := await(t, func() string {
		r := dockerRun(t.Context(), nil, "ps", "--no-trunc", "-q")
		if !strings.Contains(r.Stdout, id) {
			return "docker ps: " + r.Stdout + r.Stderr
		}
		r = dockerRun(t.Context(), nil, "logs", "--tail", "1", id)
		if strings.TrimSpace(r.Stdout) == "" {
			return "docker logs: " + r.Stderr
		}
		return ""
	})
	progress("%s: docker ps and logs are right %.1f s later", t.Name(), took.Seconds())
	if again := docker(t, "port", id); again != ports {
		t.Errorf("docker port says %q, before %q", again, ports)
	}
	if b := uptime(t, id); b <= boot {
		t.Errorf("the container's VM was started again: uptime %v, before %v", b, boot)
	}
	seen := len(strings.Fields(docker(t, "logs", id)))
	var logs string
	await(t, func() string {
		if logs = docker(t, "logs", id); len(strings.Fields(logs)) < seen+10 {
			return "the container prints no more lines"
		}
		return ""
	})
	if msg := everyLineOnce(logs); msg != "" || !strings.HasPrefix(logs, "1\n") {
		t.Errorf("docker logs from %.20q: %s", logs, msg)
	}
	if attached {
		// An attached client sees what comes after it; it must go on to see it.
		last := strings.TrimSpace(logs[strings.LastIndex(strings.TrimSpace(logs), "\n")+1:])
		await(t, func() string {
			if !strings.Contains(out.String(), "\n"+last+"\n") {
				return "the attached client has not seen line " + last
			}
			return ""
		})
	}
	if msg := everyLineOnce(completeLines(out.String())); msg != "" {
		t.Errorf("the reader: %s", msg)
	}
	if s, err := theLab.Govc("object.collect", "-s", vm, "runtime.powerState"); err != nil || strings.TrimSpace(s) != "poweredOn" {
		t.Errorf("power state %q %v", s, err)
	}
	allStillWorks(t, id, port)
}

// completeLines drops the tail after the last line end.
func completeLines(s string) string {
	return s[:strings.LastIndex(s, "\n")+1]
}

func uptime(t *testing.T, id string) float64 {
	t.Helper()
	var f float64
	await(t, func() string {
		r := dockerRun(t.Context(), nil, "exec", id, "cut", "-d ", "-f1", "/proc/uptime")
		v, err := strconv.ParseFloat(strings.TrimSpace(r.Stdout), 64)
		if err != nil {
			return r.Stderr
		}
		f = v
		return ""
	})
	return f
}

func TestKillOfTheDriverPlugin(t *testing.T) {
	alone(t)
	killStory(t, func(t *testing.T) {
		out, err := theLab.Vic("exec", "--", "sh", "-c", "kill -9 $(pidof vic-driver-vsphere)")
		if err != nil {
			t.Fatal(err, out)
		}
	}, true)
}

func TestKillOfVicd(t *testing.T) {
	alone(t)
	killStory(t, func(t *testing.T) {
		// The answer may be lost with vicd.
		theLab.Vic("exec", "--", "sh", "-c", "kill -9 $(pidof vicd)")
	}, false)
}

func TestResetOfTheEndpointVM(t *testing.T) {
	alone(t)
	killStory(t, resetEndpoint, false)
}

func TestPluginLs(t *testing.T) {
	beside(t)
	out, err := theLab.Vic("plugin", "ls")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"vsphere", "compute", "storage", "network"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in:\n%s", want, out)
		}
	}
}
