// Command vic-machine makes, lists, inspects and deletes virtual container hosts on vSphere.
package main

import (
	"os"

	"github.com/openvic/vic/drivers/vsphere/machine/cli"
)

// version is set by the linker.
var version = "dev"

func main() {
	os.Exit(cli.Main(version, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
