package operation

import (
	"math"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"github.com/openvic/vic/drivers/vsphere/machine/option"
)

// int32Of is a number that fits, or one that is as wrong as what was given.
func int32Of(n int64) int32 { return int32(max(math.MinInt32, min(n, math.MaxInt32))) }

// hostRule is a DNS name, with the underscores that some have.
var hostRule = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?$`)

// isHost takes a DNS name or an address.
func isHost(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil || hostRule.MatchString(s)
}

// isRegistry takes host[:port] and a network, as registries are named by.
func isRegistry(s string) bool {
	if _, err := netip.ParsePrefix(s); err == nil {
		return true
	}
	if host, port, err := net.SplitHostPort(s); err == nil {
		n, err := strconv.ParseUint(port, 10, 16)
		return err == nil && n > 0 && isHost(host)
	}
	return isHost(s)
}

// checkRegistryNames refuses what would match no registry, such as a URL.
func checkRegistryNames(insecure, allow []string) error {
	for _, v := range insecure {
		if !isRegistry(v) {
			return wrongOption("insecure-registry", v, "neither host, host:port nor a network", "give it as registry.example.com:5000, without http://")
		}
	}
	for _, v := range allow {
		if !isRegistry(strings.TrimPrefix(v, "*.")) {
			return wrongOption("allow-registry", v, "none of host, host:port, *.domain and a network",
				"give it as registry.example.com:5000, *.example.com or 10.0.0.0/8, without http://")
		}
	}
	return nil
}

// checkNames refuses what no client can ask for.
func checkNames(c option.Values) error {
	for _, v := range c.Trimmed("tls-cname") {
		if !isHost(strings.TrimPrefix(v, "*.")) {
			return wrongOption("tls-cname", v, "neither a DNS name nor an address",
				"give the name or address by which clients reach the endpoint, without a scheme or a port")
		}
	}
	return nil
}
