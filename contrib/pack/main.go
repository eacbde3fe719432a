// Pack makes what make dist gives away beside programs and boot images: the container image of the hub.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	bin := flag.String("bin", "build/bin", "`folder` of the programs, for linux/amd64")
	version := flag.String("version", "dev", "the `version` of what is made")
	image := flag.String("hub-image", "", "write the hub's container image to this `file`, for docker load")
	flag.Parse()
	if *image == "" {
		fmt.Fprintln(os.Stderr, "pack: nothing to make: give --hub-image FILE")
		os.Exit(2)
	}
	if err := hubImage(*bin, *image, *version); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}
