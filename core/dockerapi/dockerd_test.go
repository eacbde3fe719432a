package dockerapi_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/sdk/compute"
)

// What stands here is what dockerd 28.5.2 answers to the same commands.

func TestInspectHasDockersDefaults(t *testing.T) {
	h := serve(t)
	h.docker("create", "--name", "c1", "busybox")
	for format, want := range map[string]string{
		"{{json .HostConfig.LogConfig}}":                     `{"Type":"json-file","Config":{}}`,
		"{{json .HostConfig.MemorySwappiness}}":              "null",
		"{{json .Config.Volumes}}":                           "null",
		"{{.HostConfig.Runtime}}":                            "vm",
		"{{.ImageManifestDescriptor.Platform.Architecture}}": "amd64",
	} {
		h.want(0, want+"\n", "inspect", "-f", format, "c1")
	}
	h.want(0, "linux/amd64\n", "ps", "-a", "--format", "{{.Platform}}")
	if r := h.docker("create", "--runtime", "vm", "busybox"); r.code != 0 {
		t.Errorf("what inspect shows is not taken again: %s", r.err)
	}
	h.refused("option --runtime", "create", "--runtime", "runc", "busybox")
}

func TestRefusalsAreInDockersWords(t *testing.T) {
	h := serve(t)
	h.docker("run", "-d", "--name", "up", "busybox", "sleep")
	h.docker("create", "--name", "off", "busybox")
	h.docker("network", "create", "--subnet", "10.91.0.0/24", "n1")
	h.docker("create", "--log-driver", "none", "--name", "quiet", "busybox")
	h.want(0, "none\n", "inspect", "-f", "{{.HostConfig.LogConfig.Type}}", "quiet")
	for want, args := range map[string]string{
		`create a b: "a b" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path` + "\n": "create|-v|a b:/x|busybox",
		"configured logging driver does not support reading":                                                                           "logs|quiet",
		"endpoint nosuch not found":                                                                                                    "network|disconnect|-f|n1|nosuch",
		"create a: volume name is too short, names should be at least two alphanumeric characters\n":                                   "volume|create|a",
		`invalid mount config for type "wrong": mount type unknown`:                                                                    "create|--mount|type=wrong,dst=/x|busybox",
		`invalid CapAdd: unknown capability: "CAP_WRONG"`:                                                                              "create|--cap-add|WRONG|busybox",
		`invalid CapDrop: unknown capability: "CAP_WRONG"`:                                                                             "create|--cap-drop|WRONG|busybox",
		"invalid IPC mode: wrong":                                                                                                      "create|--ipc|wrong|busybox",
		"cannot kill container: up: the linux daemon does not support signal 99":                                                       "kill|-s|99|up",
		"Error when allocating new name: Invalid container name (x y), only":                                                           "rename|off|x y",
		`Error when allocating new name: Conflict. The container name "/up" is already in use`:                                         "rename|off|up",
		"Error response from daemon: No such container: nosuch":                                                                        "export|nosuch",
		"Invalid escape keys (wrong-x) provided":                                                                                       "exec|--detach-keys|wrong-x|up|true",
		"cannot connect container to host network - container must be created in host network mode":                                    "network|connect|host|up",
		"unknown log opt 'wrong' for json-file log driver":                                                                             "create|--log-opt|wrong=1|busybox",
		"unknown log opt 'tag' for local log driver":                                                                                   "create|--log-driver|local|--log-opt|tag=x|busybox",
		"option --log-opt: error parsing regexp":                                                                                       "create|--log-opt|labels-regex=(|busybox",
		"option --log-opt: template":                                                                                                   "create|--log-opt|tag={{.Nosuch}}|busybox",
		"invalid mount path: 'rel' mount path must be absolute":                                                                        "create|--tmpfs|rel|busybox",
		"invalid specification: destination can't be '/'":                                                                              "create|--tmpfs|/|busybox",
		"cannot stop container: up: invalid signal: WRONG":                                                                             "stop|-s|WRONG|up",
		"option --log-opt compress":                                                                                                    "create|--log-opt|compress=x|busybox",
		"container cannot be connected to multiple networks with one of the networks in private (none) mode":                           "network|connect|none|up",
		"invalid config for network n1: invalid endpoint settings:\nno configured subnet or ip-range contain the IP address 10.99.0.7": "create|--network|n1|--ip|10.99.0.7|busybox",
	} {
		h.refused(want, strings.Split(args, "|")...)
	}
	h.want(0, "up\n", "pause", "up")
	h.refused("Container up is paused, unpause the container before exec", "exec", "up", "true")
}

func TestNetworksAreAsOldAsTheirHost(t *testing.T) {
	h := serve(t)
	r := h.docker("network", "inspect", "bridge", "none")
	var all []struct {
		Name    string
		Created time.Time
	}
	if err := json.Unmarshal([]byte(r.out), &all); err != nil || len(all) != 2 {
		t.Fatalf("%v: %+v", err, r)
	}
	for _, n := range all {
		if time.Since(n.Created) > time.Hour {
			t.Errorf("%s was created at %s", n.Name, n.Created)
		}
	}
	h.docker("network", "create", "n1")
	h.want(0, "{}\n", "network", "inspect", "-f", "{{json .IPAM.Options}}", "n1")
}

func TestListsOfTheSystemAreNeverNull(t *testing.T) {
	h := serve(t)
	for path, field := range map[string]string{"/info": "Labels", "/system/df": "BuildCache", "/system/df?type=build-cache": "BuildCache"} {
		var got map[string]json.RawMessage
		if err := json.Unmarshal([]byte(h.call("GET", path).out), &got); err != nil || string(got[field]) != "[]" {
			t.Errorf("%s of %s: %s, %v", field, path, got[field], err)
		}
	}
}

// call makes a request of the API itself; code is the status.
func (h *host) call(method, path string) result {
	h.t.Helper()
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", h.sock)
	}}}
	req, err := http.NewRequestWithContext(h.t.Context(), method, "http://docker"+path, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	a, err := c.Do(req)
	if err != nil {
		return result{err: err.Error()}
	}
	defer a.Body.Close()
	body, err := io.ReadAll(a.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return result{out: string(body), code: a.StatusCode}
}

// Clients send the size of their window also for a container without a terminal.
func TestResizeWithoutATerminalIsNoError(t *testing.T) {
	h := serve(t)
	h.docker("run", "-d", "--name", "c1", "busybox", "sleep")
	if r := h.call("POST", "/containers/c1/resize?h=10&w=10"); r.code != 200 {
		t.Errorf("%+v", r)
	}
}

func TestExecEventsHaveDockersForm(t *testing.T) {
	h := serve(t)
	h.docker("run", "-d", "--name", "c1", "busybox", "sleep")
	h.docker("exec", "c1", "env")
	h.want(0, "[]\n", "inspect", "-f", "{{.ExecIDs}}", "c1")        // it has ended
	until := time.Now().Add(time.Second).UTC().Format(time.RFC3339) // in whole seconds: the present one is in it
	if r := h.docker("events", "--since", "1m", "--until", until, "--format", "{{.Action}}|"); !strings.Contains(r.out, "exec_create: env |") {
		t.Errorf("%+v", r)
	}
}

func TestLogsHaveTheDetailsThatWereAskedFor(t *testing.T) {
	h := serve(t)
	h.docker("run", "--name", "c1", "--label", "a=b", "--label", "x=y", "-e", "E=1", "-e", "F=2", "--log-opt", "compress=true",
		"--log-opt", "labels=a", "--log-opt", "env-regex=^E$", "--log-opt", "tag={{.Name}}-{{.ImageName}}", "busybox", "count", "1", "0")
	h.want(0, "E=1,a=b,tag=c1-busybox line 0\n", "logs", "--details", "c1")
	h.want(0, "line 0\n", "logs", "c1")
}

func TestMoreProcessorsThanThereAreAreRefused(t *testing.T) {
	h := serve(t)
	h.world.Compute.Room = compute.Capacity{CPUs: 4}
	const text = "range of CPUs is from 0.01 to 4.00, as there are only 4 CPUs available"
	h.refused(text, "create", "--cpus", "4.5", "busybox")
	if r := h.docker("create", "--cpus", "4", "--name", "c1", "busybox"); r.code != 0 {
		t.Errorf("%+v", r)
	}
	h.refused(text, "update", "--cpus", "5", "c1")
}
