// Package public is the lab's networks that have a router: a user-space gateway (gvisor-tap-vsock) on
// the switch of a port group ("public", "client"), with DHCP, DNS and NAT. Guests reach the lab's vCenter and registry at
// the host address; the host reaches guests by dialling through the gateway's stack. Nothing of it
// needs root or an interface on the host.
package public

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/containers/gvisor-tap-vsock/pkg/types"
	"github.com/containers/gvisor-tap-vsock/pkg/virtualnetwork"

	"github.com/openvic/vic/contrib/lab/l2"
)

// Addresses are those of one network.
type Addresses struct {
	Subnet  string
	Gateway string
	// Host is the machine that the lab runs on: what listens on its loopback answers here.
	Host string
	mac  string // the gateway's
}

// Public are the addresses of the public network.
func Public() Addresses {
	return Addresses{Subnet: "192.168.127.0/24", Gateway: "192.168.127.1", Host: "192.168.127.254", mac: "5a:94:ef:e4:0c:dd"}
}

// Client are the addresses of the network "client".
func Client() Addresses {
	return Addresses{Subnet: "192.168.128.0/24", Gateway: "192.168.128.1", Host: "192.168.128.254", mac: "5a:94:ef:e4:0c:de"}
}

const (
	// mtu is that of a network with jumbo frames, as vSphere's switches carry them: an emulated guest
	// pays by the packet. DHCP tells it to the guests.
	mtu = 9000
	// Zone is the DNS zone of the lab.
	Zone = "vic-lab.test"
)

// Names are the hosts of the zone; all of them are the host itself.
func Names() []string { return []string{"vcenter", "registry", "hub"} }

// Network is a running gateway.
type Network struct {
	vn   *virtualnetwork.VirtualNetwork
	addr Addresses
}

// New attaches a gateway to the switch. It lives until ctx ends.
func New(ctx context.Context, sw *l2.Switch, a Addresses) (*Network, error) {
	vn, err := virtualnetwork.New(a.configuration())
	if err != nil {
		return nil, fmt.Errorf("network %s: %w", a.Subnet, err)
	}
	near, far, err := l2.Pipe()
	if err != nil {
		return nil, err
	}
	if err := sw.Plug(far); err != nil {
		_ = near.Close()
		return nil, err
	}
	go func() {
		<-ctx.Done()
		_ = near.Close()
	}()
	go func() { _ = vn.AcceptQemu(ctx, near) }() // ends with the connection
	return &Network{vn: vn, addr: a}, nil
}

func (a Addresses) configuration() *types.Configuration {
	zone := types.Zone{Name: Zone + "."}
	for _, n := range Names() {
		zone.Records = append(zone.Records, types.Record{Name: n, IP: net.ParseIP(a.Host)})
	}
	return &types.Configuration{
		MTU:               mtu,
		Subnet:            a.Subnet,
		GatewayIP:         a.Gateway,
		GatewayMacAddress: a.mac,
		GatewayVirtualIPs: []string{a.Host},
		NAT:               map[string]string{a.Host: "127.0.0.1"},
		DNS:               []types.Zone{zone},
		DNSSearchDomains:  []string{Zone},
		Protocol:          types.QemuProtocol,
	}
}

// Dial connects to a guest.
func (n *Network) Dial(ctx context.Context, addr string) (net.Conn, error) {
	return n.vn.DialContextTCP(ctx, addr)
}

// Address returns what DHCP gave to a NIC.
func (n *Network) Address(mac string) (string, bool) {
	// The gateway shows its leases over HTTP only.
	req, err := http.NewRequest(http.MethodGet, "http://gateway/leases", nil)
	if err != nil {
		return "", false
	}
	var res answer
	n.vn.ServicesMux().ServeHTTP(&res, req)
	var leases map[string]string // address: MAC
	if err := json.Unmarshal(res.Bytes(), &leases); err != nil {
		return "", false
	}
	for ip, m := range leases {
		if strings.EqualFold(m, mac) {
			return ip, true
		}
	}
	return "", false
}

// answer keeps an HTTP response in memory.
type answer struct{ bytes.Buffer }

func (*answer) Header() http.Header { return http.Header{} }

func (*answer) WriteHeader(int) {}

// Contains says whether an address is of this network.
func (n *Network) Contains(ip string) bool {
	p, err := netip.ParsePrefix(n.addr.Subnet)
	a, aerr := netip.ParseAddr(ip)
	return err == nil && aerr == nil && p.Contains(a)
}
