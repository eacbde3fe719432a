package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/openvic/vic/tests/harness"
)

// The endpoint VM of benchmark (k).
const (
	deployMemory = 1024
	deployCPUs   = 2
)

// stage is a part of vic-machine create: it ends with the last line that has the text.
type stage struct{ name, end string }

func stages() []stage {
	return []stage{
		{"checks", "making VCH "},
		{"vApp, folders, permissions, images", "uploaded "},
		{"endpoint VM: make, configure, power on", "the endpoint VM is powered on"},
		{"guest: firmware, kernel, tether, vicd begins", "service vicd: starting"},
		{"vicd: network, driver, login, ready", " serves, "},
	}
}

// deploy is benchmark (k): vic-machine create from its start until the VCH serves, by step, over the
// endpoint VM's ISO booted by QEMU alone, with the same memory and processors, until its init speaks.
func (b *bench) deploy() error {
	var bare, whole []time.Duration
	parts := make([][]time.Duration, len(stages()))
	for range min(b.runs, 3) {
		alone, err := b.bootAlone("appliance.iso", deployMemory, deployCPUs)
		if err != nil {
			return err
		}
		out, err := b.deployOnce()
		if err != nil {
			return err
		}
		ends, err := stageEnds(out)
		if err != nil {
			return err
		}
		bare, whole = append(bare, alone), append(whole, ends[len(ends)-1])
		before := time.Duration(0)
		for i, e := range ends {
			parts[i] = append(parts[i], e-before)
			before = e
		}
	}
	w, q := median(whole), median(bare)
	row("(k) vic-machine create until the VCH serves, median of %d: %s; QEMU alone to the endpoint's init: %s; ratio %.2f", len(whole), seconds(w),
		seconds(q), w.Seconds()/q.Seconds())
	for i, s := range stages() {
		row("    %-46s %s", s.name, seconds(median(parts[i])))
	}
	return nil
}

// deployOnce makes a VCH and removes it; it returns what create printed.
func (b *bench) deployOnce() (string, error) {
	certs, err := os.MkdirTemp("", "vic-bench-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(certs)
	const name = "deploy"
	args := append([]string{"create", "--name", name, "--compute-resource", "cluster1", "--image-store", "datastore1",
		"--volume-store", "datastore1/deploy-volumes:default", "--bridge-network", "bridge2", "--public-network", "public",
		"--tls-cname", "127.0.0.1", "--cert-path", certs, "--endpoint-memory", strconv.Itoa(deployMemory), "--endpoint-cpu", strconv.Itoa(deployCPUs),
		"--ops-user", harness.OpsUser, "--ops-password", harness.OpsPassword, "--ops-grant-perms",
		"--appliance-iso", filepath.Join(b.Build, "iso", "appliance.iso"), "--bootstrap-iso", filepath.Join(b.Build, "iso", "bootstrap.iso"),
		"--no-reach-check"}, b.Access()...)
	out, err := harness.Command(b.Bin("vic-machine"), args...)
	if err != nil {
		return "", err
	}
	_, err = harness.Command(b.Bin("vic-machine"), append([]string{"delete", "--force", "--name", name}, b.Access()...)...)
	return out, err
}

var stepLine = regexp.MustCompile(`^ *([0-9]+\.[0-9])s  (.*)$`)

// stageEnds finds when each stage ended, counted from the start.
func stageEnds(out string) ([]time.Duration, error) {
	ends := make([]time.Duration, len(stages()))
	for _, l := range strings.Split(out, "\n") {
		m := stepLine.FindStringSubmatch(l)
		if m == nil {
			continue
		}
		at, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			return nil, err
		}
		for i, s := range stages() {
			if strings.Contains(m[2], s.end) {
				ends[i] = time.Duration(at * float64(time.Second))
			}
		}
	}
	for i, s := range stages() {
		if ends[i] == 0 && i > 0 {
			return nil, fmt.Errorf("vic-machine create does not tell the end of %q:\n%s", s.name, out)
		}
	}
	return ends, nil
}
