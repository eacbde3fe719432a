package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"
)

const attachMiB = 64

// attach is benchmark (d): the output of a container at the docker CLI, over raw TCP from the same
// kind of container to the endpoint VM.
func (b *bench) attach() error {
	size := float64(attachMiB<<20) / 1e6
	raw, err := b.rawTCP()
	if err != nil {
		return err
	}
	var f firstByte
	var stderr bytes.Buffer
	cmd := b.DockerCmd(context.Background(), "run", "--rm", "busybox", "dd", "if=/dev/zero", "bs=64k", fmt.Sprintf("count=%d", attachMiB*16))
	cmd.Stdout, cmd.Stderr = &f, &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w: %s", err, stderr.String())
	}
	took := time.Since(f.at)
	if f.n != attachMiB<<20 {
		return fmt.Errorf("%d bytes of %d came", f.n, attachMiB<<20)
	}
	row("(d) attach: %.1f MB/s; raw TCP between the same guests: %.1f MB/s; ratio %.2f (aim 0.5)",
		size/took.Seconds(), size/raw.Seconds(), raw.Seconds()/took.Seconds())
	return nil
}

// rawTCP has the endpoint VM read the same bytes from a container, by the plainest programs there
// are: busybox's httpd, which sends with sendfile, and wget.
func (b *bench) rawTCP() (time.Duration, error) {
	id, err := b.must("run", "-d", "busybox", "sh", "-c",
		fmt.Sprintf("dd if=/dev/zero of=/tmp/big bs=1M count=%d && exec httpd -f -p 5999 -h /tmp", attachMiB))
	if err != nil {
		return 0, err
	}
	id = strings.TrimSpace(id)
	defer b.must("rm", "-f", id)
	ip, err := b.must("inspect", "--format", "{{.NetworkSettings.Networks.bridge.IPAddress}}", id)
	if err != nil {
		return 0, err
	}
	get := fmt.Sprintf("i=0; while [ $i -lt 300 ] && ! wget -q --spider http://%s:5999/big; do i=$((i+1)); usleep 100000; done; time wget -q -O /dev/null http://%[1]s:5999/big", strings.TrimSpace(ip))
	out, err := b.Vic("exec", "--", "sh", "-c", get)
	if err != nil {
		return 0, err
	}
	for _, l := range strings.Split(out, "\n") {
		if w := strings.Fields(l); len(w) >= 2 && w[0] == "real" {
			return time.ParseDuration(strings.Join(w[1:], ""))
		}
	}
	return 0, fmt.Errorf("no time in %q", out)
}
