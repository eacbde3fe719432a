package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// newNetwork makes a network that is removed at the end of the test, after the containers made later.
func newNetwork(t *testing.T, name string, more ...string) {
	t.Helper()
	docker(t, append(append([]string{"network", "create"}, more...), name)...)
	t.Cleanup(func() { dockerRun(context.Background(), nil, "network", "rm", name) })
}

// sleeper starts a container that does nothing.
func sleeper(t *testing.T, name string, args ...string) string {
	t.Helper()
	return container(t, append(append([]string{"--name", name}, args...), "busybox", "sleep", "36000")...)
}

func fetch(url string) (string, error) {
	c := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := c.Get(url)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	return string(b), err
}

// get asks a web server from inside a container; "" if it does not answer.
func get(t *testing.T, from, host string, port int) string {
	t.Helper()
	return dockerRun(t.Context(), nil, "exec", from, "sh", "-c",
		fmt.Sprintf(`printf 'GET / HTTP/1.0\r\n\r\n' | nc -w 3 %s %d`, host, port)).Stdout
}

// reach tells whether a container gets an answer to ping.
func reach(t *testing.T, from, to string) bool {
	t.Helper()
	return dockerRun(t.Context(), nil, "exec", from, "ping", "-c", "1", "-W", "2", to).Code == 0
}

func wantReach(t *testing.T, from, to string, want bool) {
	t.Helper()
	if got := reach(t, from, to); got != want {
		t.Errorf("%s reaches %s: %v", from, to, got)
	}
}

// What is published still answers when the endpoint VM was reset: TestResetOfTheEndpointVM.
func TestPublishedNginxAnswersThroughTheEndpoint(t *testing.T) {
	beside(t)
	at, err := theLab.Forward(80, 8080)
	if err != nil {
		t.Fatal(err)
	}
	id := container(t, "--name", "web1", "-p", "8080:80", "-p", "90", "nginx")
	answers := func() string {
		text, err := fetch("http://" + at + "/")
		if err != nil || !strings.Contains(text, "nginx") {
			return fmt.Sprintf("%v %.200q", err, text)
		}
		return ""
	}
	progress("nginx answers %.1f s after docker run", await(t, answers).Seconds())
	ports := docker(t, "port", "web1")
	if !strings.Contains(ports, "80/tcp -> 0.0.0.0:8080\n") || !strings.Contains(ports, "90/tcp -> 0.0.0.0:3") {
		t.Errorf("docker port: %s", ports)
	}
	// The same machine reaches it from inside, through the endpoint VM's address.
	gateway := inspect(t, id, "{{.NetworkSettings.Gateway}}")
	sleeper(t, "inside1")
	if out := get(t, "inside1", gateway, 8080); !strings.Contains(out, "nginx") {
		t.Errorf("through the gateway: %.200q", out)
	}
	r := dockerRun(t.Context(), nil, "run", "-d", "--name", "web2", "-p", "8080:80", "nginx")
	if r.Code != 125 || !strings.Contains(r.Stderr, "Bind for 0.0.0.0:8080 failed: port is already allocated") {
		t.Errorf("%+v", r)
	}
	if r := dockerRun(t.Context(), nil, "create", "--name", "web3", "-p", "2376:80", "nginx"); r.Code == 0 ||
		!strings.Contains(r.Stderr, "address already in use") {
		t.Errorf("the endpoint's own port: %+v", r)
	}
	if left := docker(t, "ps", "-aq", "--filter", "name=web2", "--filter", "name=web3"); left != "" {
		t.Errorf("a conflict left a container: %q", left)
	}
	docker(t, "rm", "-f", "web1")
	if text, err := fetch("http://" + at + "/"); err == nil {
		t.Errorf("the port of a container that is gone answers: %.100q", text)
	}
}

// TestNetworksAreSeparate: two networks do not see each other, a container on both sees both, by name;
// it keeps its networks when the endpoint VM's driver was killed.
func TestNetworksAreSeparate(t *testing.T) {
	beside(t)
	newNetwork(t, "red")
	newNetwork(t, "blue", "--internal")
	sleeper(t, "r1", "--network", "red", "--network-alias", "rouge")
	b1 := sleeper(t, "b1", "--network", "blue")
	sleeper(t, "d1")
	both := sleeper(t, "both1", "--network", "red", "--network", "blue", "--link", "r1:linked")
	for _, c := range []struct {
		from, to string
		want     bool
	}{
		{"both1", "r1", true}, {"both1", "b1", true}, {"both1", "rouge", true}, {"both1", "linked", true}, {"r1", "both1", true}, {"b1", "both1", true},
		{"both1", b1[:12], true},
		{"r1", "b1", false}, {"b1", "r1", false}, {"b1", "rouge", false}, {"r1", "linked", false}, {"d1", "r1", false}, {"r1", "d1", false},
		{"r1", inspect(t, "b1", "{{.NetworkSettings.Networks.blue.IPAddress}}"), false},
		{"b1", inspect(t, "r1", "{{.NetworkSettings.Networks.red.IPAddress}}"), false},
		{"d1", inspect(t, "r1", "{{.NetworkSettings.Networks.red.IPAddress}}"), false},
		{"r1", inspect(t, "d1", "{{.NetworkSettings.IPAddress}}"), false},
	} {
		wantReach(t, c.from, c.to, c.want)
	}
	// IPv6 link-local addresses need no network to reach one another on one port group.
	if ll := linkLocal(t, "b1"); dockerRun(t.Context(), nil, "exec", "r1", "ping", "-6", "-c", "1", "-W", "2", ll+"%eth0").Code == 0 {
		t.Errorf("r1 reaches %s of b1", ll)
	}
	if out := docker(t, "exec", "b1", "ip", "route"); strings.Contains(out, "default") {
		t.Errorf("the internal network has a way out: %s", out)
	}
	ip := inspect(t, "r1", "{{.NetworkSettings.Networks.red.IPAddress}}")
	if out := docker(t, "exec", both, "nslookup", ip); !strings.Contains(out, "r1.red") {
		t.Errorf("reverse lookup of %s: %s", ip, out)
	}
	r := dockerRun(t.Context(), nil, "network", "rm", "red")
	if r.Code == 0 || !strings.Contains(r.Stderr, "has active endpoints") {
		t.Errorf("%+v", r)
	}
}

func linkLocal(t *testing.T, name string) string {
	t.Helper()
	out := docker(t, "exec", name, "ip", "-6", "addr", "show", "dev", "eth0", "scope", "link")
	_, rest, ok := strings.Cut(out, "inet6 ")
	a, _, ok2 := strings.Cut(rest, "/")
	if !ok || !ok2 {
		t.Fatalf("%s has no link-local address: %s", name, out)
	}
	return a
}

// TestRunningContainersChangeNetworks: vNICs are hot-plugged, and the container comes up the same way.
func TestRunningContainersChangeNetworks(t *testing.T) {
	beside(t)
	newNetwork(t, "green", "--subnet", "10.99.0.0/24")
	id := sleeper(t, "g1", "--network", "green", "--ip", "10.99.0.9")
	sleeper(t, "m1")
	start := time.Now()
	docker(t, "network", "connect", "--alias", "mover", "--ip", "10.99.0.77", "green", "m1")
	progress("network connect took %.1f s", time.Since(start).Seconds())
	if out := docker(t, "exec", "m1", "ip", "-4", "addr", "show", "dev", "eth1"); !strings.Contains(out, "10.99.0.77/24") {
		t.Errorf("eth1: %s", out)
	}
	wantReach(t, "g1", "mover", true)
	wantReach(t, "m1", "g1", true)
	start = time.Now()
	docker(t, "network", "disconnect", "bridge", "m1") // the link was on that NIC
	progress("network disconnect took %.1f s", time.Since(start).Seconds())
	wantReach(t, "m1", "10.99.0.9", true)
	if out := docker(t, "exec", "m1", "ip", "addr"); strings.Contains(out, "eth0:") || !strings.Contains(out, "eth1:") {
		t.Errorf("after disconnect: %s", out)
	}
	docker(t, "restart", "-t", "0", "m1")
	if out := docker(t, "exec", "m1", "ip", "-4", "addr", "show", "dev", "eth0"); !strings.Contains(out, "10.99.0.77/24") {
		t.Errorf("after a restart: %s", out)
	}
	wantReach(t, "g1", "m1", true)
	docker(t, "network", "disconnect", "green", "m1")
	if out := docker(t, "exec", "m1", "ip", "addr"); strings.Contains(out, "10.99.0.77") {
		t.Errorf("without a network: %s", out)
	}
	wantReach(t, "g1", "10.99.0.77", false)
	docker(t, "rename", "g1", "g2")
	docker(t, "network", "connect", "green", "m1")
	wantReach(t, "m1", "g2", true)
	wantReach(t, "m1", "g1", false)
	if ip := inspect(t, id, "{{.NetworkSettings.Networks.green.IPAddress}}"); ip != "10.99.0.9" {
		t.Errorf("--ip gave %s", ip)
	}
}

func TestNoNetwork(t *testing.T) {
	beside(t)
	out := docker(t, "run", "--rm", "--network", "none", "busybox", "ip", "-o", "link")
	if strings.Contains(out, "eth") || !strings.Contains(out, "lo") {
		t.Errorf("interfaces: %s", out)
	}
}

// TestContainerNetworks: containers on port groups that the administrator mapped.
func TestContainerNetworks(t *testing.T) {
	beside(t)
	c1 := sleeper(t, "c1", "--network", "backend")
	c2 := container(t, "--name", "c2", "--network", "backend", "-p", "80", "busybox", "sh", "-c",
		"echo hello >/index.html; httpd -p 80 -h /; httpd -p 81 -h /; sleep 100000")
	ip := inspect(t, c2, "{{.NetworkSettings.Networks.backend.IPAddress}}")
	if !strings.HasPrefix(ip, "10.77.0.1") {
		t.Errorf("address %s is not of the range", ip)
	}
	await(t, func() string {
		if out := get(t, c1, ip, 80); !strings.HasSuffix(out, "hello\n") {
			return fmt.Sprintf("answer %q", out)
		}
		return ""
	})
	if out := get(t, c1, ip, 81); out != "" {
		t.Errorf("a port that is not published answers %q", out)
	}
	if out := docker(t, "port", "c2"); out != "80/tcp -> "+ip+":80\n" {
		t.Errorf("docker port: %q", out)
	}
	out := docker(t, "run", "--rm", "--network", "outside", "busybox", "sh", "-c", "ip -4 addr show dev eth0; ip route; cat /etc/resolv.conf")
	if !strings.Contains(out, "inet ") || !strings.Contains(out, "default via") || !strings.Contains(out, "nameserver") {
		t.Errorf("with DHCP: %s", out)
	}
	r := dockerRun(t.Context(), nil, "network", "rm", "backend")
	if r.Code == 0 || !strings.Contains(r.Stderr, "backend is a pre-defined network and cannot be removed") {
		t.Errorf("%+v", r)
	}
}
