package network

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/openvic/vic/drivers/vsphere/internal/vctest"
	"github.com/openvic/vic/sdk/network"
)

// asks returns the answer in short: "172.17.0.2 fd00::2", "-" for one without records, "refused", or
// "elsewhere".
func (r *rig) asks(from netip.Addr, kind uint16, name string) string {
	m, handled := r.Resolve(from, new(dns.Msg).SetQuestion(dns.Fqdn(name), kind))
	switch {
	case m == nil && handled:
		return "refused"
	case m == nil:
		return "elsewhere"
	}
	var out []string
	for _, rr := range m.Answer {
		switch x := rr.(type) {
		case *dns.A:
			out = append(out, x.A.String())
		case *dns.AAAA:
			out = append(out, x.AAAA.String())
		case *dns.PTR:
			out = append(out, x.Ptr)
		}
	}
	slices.Sort(out)
	if len(out) == 0 {
		return "-"
	}
	return strings.Join(out, " ")
}

func reverse(a netip.Addr) string {
	s, err := dns.ReverseAddr(a.String())
	if err != nil {
		return err.Error()
	}
	return s
}

func TestNamesAreThoseOfCommonNetworks(t *testing.T) {
	v := vctest.New(t)
	r := newRig(t, v)
	front := r.network(t, network.CreateRequest{Name: "front", IPv6: true})
	back := r.network(t, network.CreateRequest{Name: "back", Internal: true})
	at := map[string]netip.Addr{}
	six := map[string]netip.Addr{}
	join := func(c string, n network.Network, links map[string]string, names ...string) {
		id := idOf(c)
		if _, ok := v.Inv.Get(id); !ok {
			v.Container(t, id, v.Base, nil)
			task, err := v.VM(t, id).PowerOn(t.Context())
			vctest.Wait(t, task, err)
			v.Until(t, c+" runs", func() bool { return r.runs(id) })
		}
		e := r.joined(t, network.JoinRequest{Network: n.ID, Container: id, Names: names, Links: links})
		at[c+"@"+n.Name] = e.Addresses[0].Addr()
		if len(e.Addresses) > 1 {
			six[c+"@"+n.Name] = e.Addresses[1].Addr()
		}
	}
	bridge, _ := r.Get(t.Context(), r.bridge.ID)
	r.joined(t, network.JoinRequest{Network: front.ID, Container: idOf("own"), DNS: []netip.Addr{netip.MustParseAddr("192.0.2.53")}})
	own := r.nets[front.ID].pool.leases[idOf("own")].addr
	if u := r.Upstream(own); len(u) != 1 || u[0].String() != "192.0.2.53" || r.Upstream(own.Next()) != nil {
		t.Errorf("upstream %v", u)
	}
	join("web", front, map[string]string{"database": "app"}, "web", "www")
	join("app", front, nil, "app", "worker")
	join("two", front, nil, "two", "worker")
	join("app", back, nil, "app", "hidden")
	join("db", back, nil, "db")
	join("old", bridge, nil, "old")
	join("new", bridge, nil, "new")
	both := []string{at["app@front"].String(), at["two@front"].String()}
	slices.Sort(both)
	for _, c := range []struct {
		name, from string
		kind       uint16
		ask, want  string
	}{
		{"a name", "web@front", dns.TypeA, "app", at["app@front"].String()},
		{"in capitals", "web@front", dns.TypeA, "APP", at["app@front"].String()},
		{"its own", "web@front", dns.TypeA, "web", at["web@front"].String()},
		{"an alias that two share", "web@front", dns.TypeA, "worker", strings.Join(both, " ")},
		{"with the network's name", "web@front", dns.TypeA, "app.front", at["app@front"].String()},
		{"IPv6", "web@front", dns.TypeAAAA, "app", six["app@front"].String()},
		{"IPv6 where there is none", "db@back", dns.TypeAAAA, "app", "-"},
		{"a link", "web@front", dns.TypeA, "database", at["app@front"].String()},
		{"a link of another", "two@front", dns.TypeA, "database", "elsewhere"},
		{"of another network", "web@front", dns.TypeA, "db", "elsewhere"},
		{"an alias of another network", "web@front", dns.TypeA, "hidden", "elsewhere"},
		{"asked over one network, found on another", "app@front", dns.TypeA, "db", at["db@back"].String()},
		{"both of its own addresses", "app@front", dns.TypeA, "app", sortedText(at["app@front"], at["app@back"])},
		{"the world", "web@front", dns.TypeA, "example.org", "elsewhere"},
		{"the world, from an internal network", "db@back", dns.TypeA, "example.org", "refused"},
		{"the default bridge has no names", "old@bridge", dns.TypeA, "new", "elsewhere"},
		{"back to the name", "web@front", dns.TypePTR, reverse(at["app@front"]), "app.front."},
		{"back to the name, IPv6", "web@front", dns.TypePTR, reverse(six["app@front"]), "app.front."},
		{"back to a name of another network", "web@front", dns.TypePTR, reverse(at["db@back"]), "elsewhere"},
		{"another type of a name that is known", "web@front", dns.TypeMX, "app", "-"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := r.asks(at[c.from], c.kind, c.ask); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	if got := r.asks(netip.MustParseAddr("192.0.2.9"), dns.TypeA, "app"); got != "elsewhere" {
		t.Errorf("a stranger was told %q", got)
	}
	task, err := v.VM(t, idOf("app")).PowerOff(t.Context())
	vctest.Wait(t, task, err)
	v.Until(t, "app is off", func() bool { return !r.runs(idOf("app")) })
	if got := r.asks(at["web@front"], dns.TypeA, "app"); got != "elsewhere" {
		t.Errorf("a container that is off is named: %q", got)
	}
}

// idOf makes an ID whose beginning tells it apart.
func idOf(name string) string {
	s := fmt.Sprintf("%x", name)
	return s + strings.Repeat("0", 64-len(s))
}

func sortedText(a ...netip.Addr) string {
	var s []string
	for _, x := range a {
		s = append(s, x.String())
	}
	slices.Sort(s)
	return strings.Join(s, " ")
}
