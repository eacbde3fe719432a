// Command vicd is the daemon of one virtual container host: it serves the Docker API and runs
// containers as virtual machines through its plugins. "vicd ssh" is the SSH server of vic-machine debug.
package main

import (
	"os"

	"github.com/openvic/vic/core/sshd"
	"github.com/openvic/vic/core/vicd"
)

// version is set by the linker.
var version = "dev"

func main() {
	if len(os.Args) > 1 && os.Args[1] == "ssh" {
		os.Exit(sshd.Main("vicd ssh", os.Args[2:], os.Stderr))
	}
	os.Exit(vicd.Main(version, os.Args[1:], os.Stdout, os.Stderr))
}
