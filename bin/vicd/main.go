// Command vicd is the daemon of one virtual container host: it serves the Docker API and runs
// containers as virtual machines through its plugins.
package main

import (
	"os"

	"github.com/openvic/vic/core/vicd"
)

// version is set by the linker.
var version = "dev"

func main() {
	os.Exit(vicd.Main(version, os.Args[1:], os.Stdout, os.Stderr))
}
