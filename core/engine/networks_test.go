package engine_test

import (
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/openvic/vic/core/engine"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/network"
)

func on(names ...string) option {
	return func(r *engine.CreateRequest) {
		for _, n := range names {
			r.Networks = append(r.Networks, engine.NetworkRequest{Name: n})
		}
	}
}

func publishing(ports ...engine.Port) option {
	return func(r *engine.CreateRequest) { r.Ports = ports }
}

func tcp(host, end, port uint16) engine.Port {
	return engine.Port{Port: network.Port{Protocol: "tcp", HostPort: host, ContainerPort: port}, HostPortEnd: end}
}

func (w *world) makeNetwork(name string) network.Network {
	w.t.Helper()
	n, err := w.Networks.Create(ctx(w.t), network.CreateRequest{Name: name})
	w.must(err)
	return n
}

func TestTheGatewayIsOneNetworks(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.makeNetwork("beta")
		w.makeNetwork("alpha")
		gateways := func(id string) (names []string) {
			for _, n := range w.Tether(id).Network().Networks {
				if n.Gateway.IsValid() {
					names = append(names, n.Name)
				}
			}
			return names
		}
		c := w.create("cc", []string{"sleep"}, on("beta", "alpha"))
		w.must(w.Start(ctx(t), c.ID))
		if g := gateways(c.ID); !slices.Equal(g, []string{"alpha"}) {
			t.Errorf("gateways %v", g)
		}
		p := w.create("pp", []string{"sleep"}, on("alpha"), func(r *engine.CreateRequest) {
			r.Networks = append(r.Networks, engine.NetworkRequest{Name: "beta", Priority: 1})
		})
		w.must(w.Start(ctx(t), p.ID))
		if g := gateways(p.ID); !slices.Equal(g, []string{"beta"}) {
			t.Errorf("with a priority: gateways %v", g)
		}
		w.must(w.Disconnect(ctx(t), "alpha", c.ID, false))
		if g := gateways(c.ID); !slices.Equal(g, []string{"beta"}) {
			t.Errorf("after the gateway's network has gone: %v", g)
		}
	})
}

func TestNetworksOfAContainerSurviveARestart(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		n := w.makeNetwork("front")
		c := w.create("cc", []string{"sleep"})
		w.must(w.Start(ctx(t), c.ID))
		w.must(w.Connect(ctx(t), "front", "cc", engine.NetworkRequest{Aliases: []string{"www"}}))
		w.must(w.Rename(ctx(t), "cc", "dd"))
		w.restart()
		got, err := w.Get("dd")
		w.must(err)
		if len(got.Networks) != 2 || got.Networks[1].NetworkID != n.ID || !slices.Equal(got.Networks[1].Wanted.Aliases, []string{"www"}) {
			t.Errorf("%+v", got.Networks)
		}
		if r, ok := w.World.Network.Joined(n.ID, c.ID); !ok || !slices.Equal(r.Names, []string{"dd", "www", c.ID[:12]}) {
			t.Errorf("names %v", r.Names)
		}
		if req, _ := w.Compute.Request(c.ID); len(req.NICs) != 2 {
			t.Errorf("NICs %v", req.NICs)
		}
		w.must(w.Remove(ctx(t), "dd", engine.RemoveOptions{Force: true}))
		w.must(w.Networks.Remove(ctx(t), "front"))
	})
}

func TestAFailedConnectLeavesNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		n := w.makeNetwork("front")
		c := w.create("cc", []string{"sleep"})
		w.Compute.Fail("Update", errdef.ErrUnavailable)
		if err := w.Connect(ctx(t), "front", "cc", engine.NetworkRequest{}); !errors.Is(err, errdef.ErrUnavailable) {
			t.Error(err)
		}
		if got, _ := w.Get("cc"); len(got.Networks) != 1 {
			t.Errorf("%+v", got.Networks)
		}
		if _, ok := w.World.Network.Joined(n.ID, c.ID); ok {
			t.Error("the place is still taken")
		}
	})
}

func TestAFailedCreateGivesEveryPlaceBack(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.makeNetwork("a"), w.makeNetwork("b")
		w.Compute.Fail("Create", errdef.ErrExhausted)
		_, err := w.Create(ctx(t), engine.CreateRequest{Networks: []engine.NetworkRequest{{Name: "a"}, {Name: "b"}}})
		if !errors.Is(err, errdef.ErrExhausted) {
			t.Error(err)
		}
		w.must(w.Networks.Remove(ctx(t), a.ID))
		w.must(w.Networks.Remove(ctx(t), b.ID[:12]))
	})
}

func TestPortsOfARangeAndOfTheDriver(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		host := func(name string) (ports []uint16) {
			c, err := w.Get(name)
			w.must(err)
			for _, p := range c.Published {
				ports = append(ports, p.HostPort)
			}
			return ports
		}
		for name, want := range map[string][]uint16{"aa": {7000, 7001}, "bb": {7002, 32768}} {
			second := tcp(7000, 7002, 81)
			if name == "bb" {
				second = tcp(0, 0, 81)
				for range 100 { // a first: map order is any
					if _, err := w.Get("aa"); err == nil {
						break
					}
					a := w.create("aa", []string{"sleep"}, publishing(tcp(7000, 7002, 80), tcp(7000, 7002, 81)))
					w.must(w.Start(ctx(t), a.ID))
				}
			}
			if _, err := w.Get(name); err != nil {
				c := w.create(name, []string{"sleep"}, publishing(tcp(7000, 7002, 80), second))
				w.must(w.Start(ctx(t), c.ID))
			}
			if got := host(name); !slices.Equal(got, want) {
				t.Errorf("%s has %v, want %v", name, got, want)
			}
		}
		req := engine.CreateRequest{Spec: engine.Spec{Ports: []engine.Port{tcp(7000, 7002, 80)}}}
		if _, err := w.Create(ctx(t), req); !errors.Is(err, errdef.ErrConflict) {
			t.Errorf("a range without a free port: %v", err)
		}
	})
}

func TestPortsOfARunningContainerArePublishedAgain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.create("cc", []string{"sleep"}, publishing(tcp(0, 0, 80)))
		w.must(w.Start(ctx(t), c.ID))
		before := w.World.Network.Published(c.ID)
		if len(before) != 1 {
			t.Fatal(before)
		}
		w.eventually("the choice is kept with the VM", func() bool {
			vm, err := w.Compute.Get(ctx(t), c.ID)
			w.must(err)
			var d engine.Definition
			w.must(json.Unmarshal(vm.Metadata, &d))
			return slices.Equal(d.Published, before)
		})
		w.restart()
		if got, err := w.Get("cc"); err != nil || !slices.Equal(got.Published, before) {
			t.Errorf("a new engine finds the ports %v (%v), before %v", got.Published, err, before)
		}
		w.must(w.World.Network.Unpublish(ctx(t), network.UnpublishRequest{Container: c.ID})) // the endpoint VM was reset
		w.restart()
		w.eventually("published again", func() bool { return slices.Equal(w.World.Network.Published(c.ID), before) })
		w.must(w.Kill(ctx(t), "cc", 9))
		if p := w.World.Network.Published(c.ID); len(p) != 0 {
			t.Errorf("after the end: %v", p)
		}
	})
}

func TestPortsFollowTheNetwork(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.makeNetwork("front")
		c := w.create("cc", []string{"sleep"}, publishing(tcp(8080, 0, 80)))
		w.must(w.Start(ctx(t), c.ID))
		w.must(w.Disconnect(ctx(t), "bridge", "cc", false))
		if p := w.World.Network.Published(c.ID); len(p) != 0 {
			t.Errorf("on no network: %v", p)
		}
		w.must(w.Connect(ctx(t), "front", "cc", engine.NetworkRequest{Address: netip.MustParseAddr("10.200.0.7")}))
		if p := w.World.Network.Published(c.ID); len(p) != 1 || p[0].HostPort != 8080 {
			t.Errorf("on the new network: %v", p)
		}
	})
}

// As with Docker, a network goes when only containers that are off are on it; they cannot be started then,
// but they can be removed.
func TestContainersThatAreOffDoNotHoldANetwork(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		n := w.makeNetwork("front")
		c := w.create("cc", []string{"sleep"}, on("front"))
		w.must(w.Start(ctx(t), c.ID))
		if err := w.Networks.Remove(ctx(t), "front"); !errors.Is(err, errdef.ErrDenied) || !w.Networks.InUse(n.ID) {
			t.Errorf("while it runs: %v", err)
		}
		zero := 0
		w.must(w.Stop(ctx(t), c.ID, engine.StopOptions{Timeout: &zero}))
		w.World.Network.Fail("Remove", errdef.ErrUnavailable)
		if err := w.Networks.Remove(ctx(t), "front"); !errors.Is(err, errdef.ErrUnavailable) {
			t.Errorf("a network that cannot be removed: %v", err)
		}
		if _, ok := w.World.Network.Joined(n.ID, c.ID); !ok {
			t.Error("the network stays, and the container has lost its place")
		}
		w.must(w.Networks.Remove(ctx(t), "front"))
		err := w.Start(ctx(t), c.ID)
		if !errors.Is(err, errdef.ErrNotFound) || !strings.Contains(err.Error(), "network "+n.ID+" not found") {
			t.Errorf("start without the network: %v", err)
		}
		w.must(w.Remove(ctx(t), c.ID, engine.RemoveOptions{}))
	})
}

// A container whose network has gone is mended by putting it on another one.
func TestAPlaceOnARemovedNetworkCanBeGivenUp(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		n := w.makeNetwork("front")
		w.makeNetwork("back")
		c := w.create("cc", []string{"sleep"}, on("front"))
		w.must(w.Networks.Remove(ctx(t), "front"))
		w.must(w.Connect(ctx(t), "back", "cc", engine.NetworkRequest{}))
		if err := w.Start(ctx(t), c.ID); !errors.Is(err, errdef.ErrNotFound) || !strings.Contains(err.Error(), n.ID) {
			t.Errorf("start with one network of two: %v", err)
		}
		if err := w.Disconnect(ctx(t), "nowhere", "cc", false); !errors.Is(err, errdef.ErrNotFound) {
			t.Errorf("disconnect from what never was: %v", err)
		}
		w.must(w.Disconnect(ctx(t), "front", "cc", false))
		w.must(w.Start(ctx(t), c.ID))
		got := w.Tether(c.ID).Network().Networks
		if len(got) != 1 || got[0].Name != "back" || !got[0].Gateway.IsValid() {
			t.Errorf("the guest has %+v", got)
		}
	})
}
