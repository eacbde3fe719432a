// Command vic-lab runs a vSphere on one Linux machine.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/openvic/vic/contrib/lab/command"
)

func main() {
	if err := command.App().RunContext(context.Background(), os.Args); err != nil {
		fmt.Fprintln(os.Stderr, "vic-lab:", err)
		os.Exit(1)
	}
}
