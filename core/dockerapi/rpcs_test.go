package dockerapi_test

import (
	"context"
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/openvic/vic/core/engine/enginetest"
	"github.com/openvic/vic/sdk/compute"
	"github.com/openvic/vic/sdk/network"
	"github.com/openvic/vic/sdk/storage"
)

// rpcs counts the RPCs that an engine makes of its plugins, by service and method. What it records in
// the background (compute.Update) comes when it comes, and is left out.
type rpcs struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *rpcs) add(method string) {
	service, name := path.Split(method) // "/vic.network.v1.NetworkService/", "List"
	service = strings.TrimSuffix(service[strings.LastIndex(service, ".")+1:], "Service/")
	if name == "Update" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n[strings.ToLower(service)+"."+name]++
}

// take returns what was counted since the last take, sorted, one word a call: "network.List".
func (c *rpcs) take() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []string
	for _, name := range slices.Sorted(maps.Keys(c.n)) {
		for range c.n[name] {
			all = append(all, name)
		}
	}
	clear(c.n)
	return strings.Join(all, " ")
}

// counted puts a wire between the engines of a world and its platform, and counts what crosses it.
func counted(t *testing.T, w *enginetest.World) *rpcs {
	t.Helper()
	c := &rpcs{n: map[string]int{}}
	w.Drivers = func(vms compute.Driver, disks storage.Driver, nets network.Driver) (compute.Driver, storage.Driver, network.Driver) {
		srv := grpc.NewServer(
			grpc.UnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
				c.add(info.FullMethod)
				return next(ctx, req)
			}),
			grpc.StreamInterceptor(func(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
				c.add(info.FullMethod)
				return next(srv, s)
			}))
		compute.Register(srv, func() (compute.Driver, error) { return vms, nil })
		storage.Register(srv, func() (storage.Driver, error) { return disks, nil })
		network.Register(srv, func() (network.Driver, error) { return nets, nil })
		l := bufconn.Listen(1 << 20)
		go func() { _ = srv.Serve(l) }()
		t.Cleanup(srv.Stop)
		conn, err := grpc.NewClient("passthrough:memory", grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return compute.NewClient(conn), storage.NewClient(conn), network.NewClient(conn)
	}
	return c
}

// A create and a start ask the plugins for what they must, once.
func TestRPCsOfACreateAndOfAStart(t *testing.T) {
	w := enginetest.New(t)
	c := counted(t, w)
	a := serveWorld(t, w)
	post := func(path, body string, code int) {
		t.Helper()
		got, err := a.do(t.Context(), http.MethodPost, path, "application/json", body)
		if err != nil || got.code != code {
			t.Fatalf("%s: %+v, %v", path, got, err)
		}
	}
	post("/networks/create", `{"Name":"back","IPAM":{"Config":[{"Subnet":"10.9.0.0/16"}]}}`, http.StatusCreated)
	const (
		create = "compute.Create network.Join network.List"
		disk   = " storage.PrepareDisk"
		start  = "compute.Connect compute.Start"
	)
	for _, x := range []struct{ name, host, networks, create, start string }{
		{"plain", "", "", create + disk, start},
		{"network", `"NetworkMode":"back"`, "", create + disk, start + " network.Get"},
		{"address", `"NetworkMode":"back"`, `"back":{"IPAMConfig":{"IPv4Address":"10.9.7.7"}}`, create + disk, start + " network.Get"},
		{"two-networks", `"NetworkMode":"back"`, `"back":{},"bridge":{}`, "compute.Create network.Join network.Join network.List" + disk, start + " network.Get"},
		{"gateway", `"NetworkMode":"back","ExtraHosts":["me:host-gateway"]`, "", create + disk, start + " network.Get"},
		{"no-network", `"NetworkMode":"none"`, "", "compute.Create" + disk, start},
		{"ports", `"PortBindings":{"80/tcp":[{"HostPort":"8080"}],"443/tcp":[{"HostPort":"8443"}]}`, "",
			create + " network.Publish" + disk, start + " network.Publish"},
		{"range", `"PortBindings":{"80/tcp":[{"HostPort":"7000-7009"}]}`, "", create + " network.Publish" + disk, start + " network.Publish network.Publish"},
		{"volumes", `"Binds":["vol:/v","/anonymous"]`, "", create + " storage.CreateVolume storage.CreateVolume storage.GetVolume" + disk, start},
		{"volumes-from", `"VolumesFrom":["volumes"]`, "", create + " storage.GetVolume storage.GetVolume" + disk, ""},
	} {
		c.take()
		body := `{"Image":"busybox","Cmd":["sleep"],"HostConfig":{` + x.host + `},"NetworkingConfig":{"EndpointsConfig":{` + x.networks + `}}}`
		post("/containers/create?name="+x.name, body, http.StatusCreated)
		if got := c.take(); got != x.create {
			t.Errorf("create %s: %s\nwant %s", x.name, got, x.create)
		}
		if x.start == "" {
			continue
		}
		post("/containers/"+x.name+"/start", "", http.StatusNoContent)
		if got := strings.TrimPrefix(c.take(), "compute.Capacity "); got != x.start { // it is asked every 5 s
			t.Errorf("start %s: %s\nwant %s", x.name, got, x.start)
		}
	}
}

// What is refused before anything was made leaves nothing to be undone.
func TestRPCsOfACreateThatIsRefused(t *testing.T) {
	w := enginetest.New(t)
	c := counted(t, w)
	a := serveWorld(t, w)
	a.container("web", false)
	for _, x := range []struct{ host, networks, text, rpcs string }{
		{`"NetworkMode":"nosuch"`, "", "network nosuch not found", "network.List"},
		{"", `"bridge":{"IPAMConfig":{"IPv4Address":"172.16.7.7"}}`,
			"invalid config for network bridge: invalid endpoint settings:\nuser specified IP address is supported on user defined networks only", "network.List"},
		{"", `"bridge":{"Aliases":["www"]}`,
			"invalid config for network bridge: invalid endpoint settings:\nnetwork-scoped aliases are only supported for user-defined networks", "network.List"},
		{`"NetworkMode":"none","ExtraHosts":["me:host-gateway"]`, "", "the container is on no network: there is no address for me", ""},
		{`"VolumesFrom":["nosuch"]`, "", "No such container: nosuch", ""},
	} {
		c.take()
		got, err := a.do(t.Context(), http.MethodPost, "/containers/create", "application/json",
			`{"Image":"busybox","Cmd":["sleep"],"HostConfig":{`+x.host+`},"NetworkingConfig":{"EndpointsConfig":{`+x.networks+`}}}`)
		var m struct{ Message string }
		_ = json.Unmarshal([]byte(got.body), &m)
		if err != nil || got.code != http.StatusBadRequest || !strings.Contains(m.Message, x.text) {
			t.Errorf("%s %s: %+v, %v; want 400 and %q", x.host, x.networks, got, err, x.text)
		}
		if got := c.take(); got != x.rpcs {
			t.Errorf("%s %s: %s; want %q", x.host, x.networks, got, x.rpcs)
		}
	}
}
