package boottest

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/openvic/vic/sdk/guest"
)

// TestBootSteps prints when each step of a container's start is reached, as the fastest and the
// median of some boots. VIC_TEST_BOOTS says how many.
func TestBootSteps(t *testing.T) {
	needs(t)
	boots, _ := strconv.Atoi(os.Getenv("VIC_TEST_BOOTS"))
	if boots == 0 {
		t.Skip("VIC_TEST_BOOTS is not set")
	}
	disk := makeDisk(t, rootfs)
	times := map[string][]float64{}
	for range boots {
		v := boot(t, vmOptions{config: config("echo", "hello"), append: os.Getenv("VIC_TEST_APPEND"), disks: []string{disk}})
		v.waitOff()
		for name, ms := range steps(v.console.String()) {
			times[name] = append(times[name], ms)
		}
		v.rpc.wait(guest.Prefix + guest.KeyExit)
	}
	var b strings.Builder
	for _, list := range times {
		slices.Sort(list)
	}
	names := slices.SortedFunc(maps.Keys(times), func(a, b string) int { return int(100 * (times[a][0] - times[b][0])) })
	for _, n := range names {
		fmt.Fprintf(&b, "%8.1f %8.1f  %s\n", times[n][0], times[n][len(times[n])/2], n)
	}
	t.Logf("ms from the tether's first instant to the step, fastest and median of %d\n%s", boots, b.String())
}

// steps returns the milliseconds from the tether's first step to each other, and to that one from
// the kernel's start.
func steps(console string) map[string]float64 {
	found := map[string]float64{}
	first := -1.0
	for line := range strings.Lines(console) {
		w := strings.SplitN(strings.TrimSpace(line), " ", 5) // vic.trace 12.3 +4 us name
		if len(w) < 5 || w[0] != "vic.trace" {
			continue
		}
		ms, err := strconv.ParseFloat(w[1], 64)
		if err != nil {
			continue
		}
		if first < 0 {
			first = ms
			found["(from the kernel to the tether)"] = ms
			continue
		}
		found[w[4]] = ms - first
	}
	return found
}
