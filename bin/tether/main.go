// Tether is PID 1 of the VMs that we boot; called as docker-init, it is PID 1 of a container's own
// process namespace.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/openvic/vic/tether"
	"github.com/openvic/vic/tether/minit"
)

// version is set by the linker.
var version = "dev"

func main() {
	if minit.Asked(os.Args) {
		os.Exit(minit.Run(os.Args))
	}
	if os.Getpid() != 1 {
		fmt.Fprintf(os.Stderr, "tether %s: runs as PID 1 of a virtual machine only\n", version)
		os.Exit(2)
	}
	fmt.Printf("tether %s\n", version) // on the console: the kernel is up
	if err := tether.Run(context.Background(), version); err != nil {
		fmt.Fprintln(os.Stderr, "tether:", err)
		os.Exit(1)
	}
}
