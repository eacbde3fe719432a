package dockerapi

import (
	"errors"
	"fmt"
	"strings"

	"github.com/openvic/vic/core/engine"
	"github.com/openvic/vic/sdk/errdef"
	driver "github.com/openvic/vic/sdk/network"
	"github.com/openvic/vic/sdk/storage"
)

// translated is an error that has a reason, in dockerd's words. What others have put around the sentence
// stays around it.
type translated struct {
	err  error
	text string
}

func (t translated) Error() string { return t.text }
func (t translated) Unwrap() error { return t.err }

// inDockersWords has an error say what dockerd says in the same case. Errors without a reason, and those
// for which dockerd has no words, stay as they are.
func inDockersWords(err error) error {
	var e *errdef.Error
	if !errors.As(err, &e) || e.Text == "" {
		return err
	}
	words := dockersWords(e.Reason, e.Fields)
	if words == "" {
		return err
	}
	return translated{err, strings.Replace(err.Error(), e.Text, words, 1)}
}

// dockersWords is dockerd's sentence for a reason; empty if there is none.
func dockersWords(reason string, f map[string]string) string {
	switch reason {
	case driver.ReasonAddressTaken:
		return "Address already in use"
	case driver.ReasonSubnetTaken:
		return "invalid pool request: Pool overlaps with other one on this address space"
	case driver.ReasonNoSubnet:
		return "all predefined address pools have been fully subnetted"
	case driver.ReasonNetworkInUse:
		return fmt.Sprintf("network %s has active endpoints", f[driver.FieldNetwork])
	case driver.ReasonPortTaken:
		return fmt.Sprintf("Bind for %s:%s failed: port is already allocated", f[driver.FieldHostIP], f[driver.FieldHostPort])
	case driver.ReasonPortBusy:
		return cannotBind(f) + "address already in use"
	case driver.ReasonNotHostAddress:
		return cannotBind(f) + "cannot assign requested address: the virtual container host can be reached at " + f[driver.FieldHostAddresses]
	case driver.ReasonNoPort:
		return "all ports are allocated"
	case driver.ReasonPortFixed:
		return fmt.Sprintf("port %[1]s cannot be published as %[2]s on container network %[3]s, where the container is reached at its own address: use -p %[1]s",
			f[driver.FieldContainerPort], f[driver.FieldHostPort], f[driver.FieldNetwork])
	case engine.ReasonDefaultAddress:
		return badEndpoint(f) + "user specified IP address is supported on user defined networks only"
	case engine.ReasonDefaultAlias:
		return badEndpoint(f) + "network-scoped aliases are only supported for user-defined networks"
	case engine.ReasonForeignAddress:
		return badEndpoint(f) + "no configured subnet or ip-range contain the IP address " + f[driver.FieldAddress]
	case engine.ReasonNoGateway:
		return "option --add-host with host-gateway on a container network is not supported by this version of the virtual container host"
	case storage.ReasonVolumeName:
		return badVolumeName(f[storage.FieldVolume])
	}
	return ""
}

func cannotBind(f map[string]string) string {
	return fmt.Sprintf("failed to bind host port for %s:%s/%s: ", f[driver.FieldHostIP], f[driver.FieldHostPort], f[driver.FieldProtocol])
}

func badEndpoint(f map[string]string) string {
	return fmt.Sprintf("invalid config for network %s: invalid endpoint settings:\n", f[driver.FieldNetwork])
}

func badVolumeName(name string) string {
	if len(name) == 1 {
		return "volume name is too short, names should be at least two alphanumeric characters"
	}
	return fmt.Sprintf("%q includes invalid characters for a local volume name, only %q are allowed. If you intended to pass a host directory, use absolute path",
		name, storage.VolumeNameRule)
}
