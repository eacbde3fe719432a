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

// rawTCP sends the same bytes from a container to a listener in the endpoint VM.
func (b *bench) rawTCP() (time.Duration, error) {
	listening := make(chan error, 1)
	go func() {
		// nc would close the connection at the end of its input: a fifo that it holds open has none.
		_, err := b.Vic("exec", "--", "sh", "-c", "rm -f /tmp/never; mkfifo /tmp/never; nc -l -p 5999 <>/tmp/never >/dev/null")
		listening <- err
	}()
	gateway, err := b.must("network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", "bridge")
	if err != nil {
		return 0, err
	}
	script := fmt.Sprintf("dd if=/dev/zero bs=64k count=%d 2>/dev/null | nc %s 5999", attachMiB*16, strings.TrimSpace(gateway))
	r := b.Docker(context.Background(), nil, "run", "--rm", "busybox", "sh", "-c", "time sh -c '"+script+"'")
	if r.Code != 0 {
		return 0, fmt.Errorf("exit %d: %s", r.Code, r.Stderr)
	}
	select {
	case err := <-listening:
		if err != nil {
			return 0, err
		}
	case <-time.After(time.Minute):
		return 0, fmt.Errorf("the listener in the endpoint VM has not ended")
	}
	for _, l := range strings.Split(r.Stderr, "\n") {
		if w := strings.Fields(l); len(w) >= 2 && w[0] == "real" {
			d, err := time.ParseDuration(strings.Join(w[1:], ""))
			return d, err
		}
	}
	return 0, fmt.Errorf("no time in %q", r.Stderr)
}
