// Bench prints the figures that people feel, each as a ratio against a baseline that is measured in
// the same run on the same machine. It makes a lab and a VCH of its own; `make bench` builds what
// it needs.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/openvic/vic/tests/harness"
)

// letters says what there is to run.
const letters = "a docker run; b pull; c docker ps among many; d attach and exec; e plugin calls; g runs at once; " +
	"h many containers; i docker cp; j docker stop; k vic-machine create"

func main() {
	runs := flag.Int("runs", 10, "runs of docker run and of its baseline")
	only := flag.String("only", "", "letters of the benchmarks to run, such as ad (default: all): "+letters)
	flag.Parse()
	os.Exit(harness.Main(func(l *harness.Lab) int {
		b := &bench{Lab: l, runs: *runs}
		failed := 0
		for _, part := range []struct {
			letter string
			f      func() error
		}{{"a", b.run}, {"b", b.pull}, {"c", b.list}, {"d", b.attach}, {"e", b.plugin}, {"g", b.atOnce}, {"h", b.many}, {"i", b.cp}, {"j", b.stops},
			{"k", b.deploy}} {
			if !selected(*only, part.letter) {
				continue
			}
			if err := part.f(); err != nil {
				fmt.Fprintf(os.Stderr, "bench (%s): %v\n", part.letter, err)
				failed++
			}
		}
		if failed > 0 {
			return 1
		}
		return 0
	}))
}
