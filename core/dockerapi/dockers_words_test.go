package dockerapi

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/docker/docker/errdefs"

	"github.com/openvic/vic/sdk/errdef"
	driver "github.com/openvic/vic/sdk/network"
	"github.com/openvic/vic/sdk/storage"
)

func TestReasonsAreToldInDockersWords(t *testing.T) {
	port := driver.Port{Protocol: "tcp", HostPort: 8080, ContainerPort: 80}
	at := port
	at.HostIP = netip.MustParseAddr("192.0.2.6")
	for _, c := range []struct {
		err  error
		want string
	}{
		{driver.AddressTaken(netip.MustParseAddr("10.0.0.5")), "Address already in use"},
		{driver.SubnetTaken(netip.MustParsePrefix("10.7.0.0/16")), "invalid pool request: Pool overlaps with other one on this address space"},
		{driver.NoSubnet(), "all predefined address pools have been fully subnetted"},
		{driver.InUse("back"), "network back has active endpoints"},
		{driver.PortTaken(port), "Bind for 0.0.0.0:8080 failed: port is already allocated"},
		{driver.PortTaken(at), "Bind for 192.0.2.6:8080 failed: port is already allocated"},
		{driver.PortBusy(port), "failed to bind host port for 0.0.0.0:8080/tcp: address already in use"},
		{driver.NotHostAddress(at, []netip.Addr{netip.MustParseAddr("192.0.2.5"), netip.MustParseAddr("192.0.2.7")}),
			"failed to bind host port for 192.0.2.6:8080/tcp: cannot assign requested address: the virtual container host can be reached at 192.0.2.5, 192.0.2.7"},
		{driver.NoPort(), "all ports are allocated"},
		{driver.PortFixed("lan", port), "port 80 cannot be published as 8080 on container network lan, where the container is reached at its own address: use -p 80"},
		{storage.CheckVolumeName("a"), "volume name is too short, names should be at least two alphanumeric characters"},
		{storage.CheckVolumeName("a b"), `"a b" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed.` +
			` If you intended to pass a host directory, use absolute path`},
	} {
		var e *errdef.Error
		if !errors.As(c.err, &e) {
			t.Errorf("%v has no reason", c.err)
			continue
		}
		// As it comes over the wire, inside what others have to say.
		err := fmt.Errorf("create x: %w", errdef.FromGRPC(errdef.ToGRPC(c.err)))
		if got := wrap(err); got.Error() != "create x: "+c.want || !errors.Is(got, e.Class) {
			t.Errorf("%s: %v", e.Reason, got)
		}
		if got := wrap(wrap(err)); got.Error() != "create x: "+c.want {
			t.Errorf("%s, twice: %v", e.Reason, got)
		}
	}
	unknown := &errdef.Error{Class: errdef.ErrConflict, Reason: "OF_ANOTHER_DRIVER", Text: "no words for this"}
	if got := wrap(unknown); got.Error() != unknown.Text || !errdefs.IsConflict(got) {
		t.Error(got)
	}
}
