// Command vic-hub is the registry and portal beside the virtual container hosts.
package main

import (
	"os"

	"github.com/openvic/vic/core/hub"
)

// version is set by the linker.
var version = "dev"

func main() { os.Exit(hub.Main(version, os.Args[1:], os.Stdout, os.Stderr)) }
