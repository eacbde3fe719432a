// Package public is the lab's public network: a user-space gateway (gvisor-tap-vsock) on the switch
// of the "public" port group, with DHCP, DNS and NAT. Guests reach the lab's vCenter and registry at
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

// The addresses of the network.
const (
	Subnet  = "192.168.127.0/24"
	Gateway = "192.168.127.1"
	// Host is the machine that the lab runs on: what listens on its loopback answers here.
	Host = "192.168.127.254"
	// mtu is that of a network with jumbo frames, as vSphere's switches carry them: an emulated guest
	// pays by the packet. DHCP tells it to the guests.
	mtu = 9000
	// Zone is the DNS zone of the lab.
	Zone = "vic-lab.test"
)

// Names are the hosts of the zone; all of them are the host itself.
func Names() []string { return []string{"vcenter", "registry"} }

// Network is a running gateway.
type Network struct {
	vn *virtualnetwork.VirtualNetwork
}

// New attaches a gateway to the switch. It lives until ctx ends.
func New(ctx context.Context, sw *l2.Switch) (*Network, error) {
	vn, err := virtualnetwork.New(configuration())
	if err != nil {
		return nil, fmt.Errorf("public network: %w", err)
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
	return &Network{vn: vn}, nil
}

func configuration() *types.Configuration {
	zone := types.Zone{Name: Zone + "."}
	for _, n := range Names() {
		zone.Records = append(zone.Records, types.Record{Name: n, IP: net.ParseIP(Host)})
	}
	return &types.Configuration{
		MTU:               mtu,
		Subnet:            Subnet,
		GatewayIP:         Gateway,
		GatewayMacAddress: "5a:94:ef:e4:0c:dd",
		GatewayVirtualIPs: []string{Host},
		NAT:               map[string]string{Host: "127.0.0.1"},
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
func Contains(ip string) bool {
	p, err := netip.ParsePrefix(Subnet)
	a, aerr := netip.ParseAddr(ip)
	return err == nil && aerr == nil && p.Contains(a)
}
