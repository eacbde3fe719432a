// Pack makes what make dist gives away beside programs and boot images: the container image of the hub, and its virtual appliance.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
)

func main() {
	bin := flag.String("bin", "build/bin", "`folder` of the programs, for linux/amd64")
	version := flag.String("version", "dev", "the `version` of what is made")
	image := flag.String("hub-image", "", "write the hub's container image to this `file`, for docker load")
	ova := flag.String("hub-ova", "", "write the hub's virtual appliance to this `file`, for the vSphere Client")
	iso := flag.String("hub-iso", "build/iso/hub.iso", "the boot image, a `file`, in the appliance")
	flag.Parse()
	if *image == "" && *ova == "" {
		fmt.Fprintln(os.Stderr, "pack: nothing to make: give --hub-image FILE or --hub-ova FILE")
		os.Exit(2)
	}
	var errs []error
	if *image != "" {
		errs = append(errs, hubImage(*bin, *image, *version))
	}
	if *ova != "" {
		errs = append(errs, hubOVA(*iso, *ova, *version))
	}
	if err := errors.Join(errs...); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}
