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
// kind of container to the endpoint VM. Both are timed over the bytes alone, from the first to the
// last.
//
// Both are bound by the processor, so their ratio is that of the processor time per MB, which is
// printed too. Raw TCP is the least that there is: a file sent from the page cache and thrown away, 34 ms
// a MB under QEMU 7.2 without KVM, of both VMs and the lab's network. Attach adds the way from the endpoint
// to the client, about as much again, and ChaCha20-Poly1305 three times, about 12 ms each at the 85 MB/s
// that the emulator does. That alone would be a ratio of 0.3; pipes, the kept log, HTTP/2, the Docker API's
// framing and what a write of a TLS record costs more than sendfile come on top.
func (b *bench) attach() error {
	size := float64(attachMiB<<20) / 1e6
	raw, err := b.rawTCP(size)
	if err != nil {
		return err
	}
	for range max(1, min(b.runs, 3)) {
		took, where, err := b.attached(size)
		if err != nil {
			return err
		}
		row("(d) attach: %.1f MB/s; raw TCP between the same guests: %.1f MB/s; ratio %.2f (aim 0.5)",
			size/took.Seconds(), size/raw.Seconds(), raw.Seconds()/took.Seconds())
		row("      %s", where)
	}
	return nil
}

// attached times a container's output at the CLI.
func (b *bench) attached(size float64) (time.Duration, string, error) {
	f := span{want: attachMiB << 20, sample: b.cpu}
	var stderr bytes.Buffer
	// The sleep keeps the VM until its processor time is read.
	cmd := b.DockerCmd(context.Background(), "run", "--rm", "busybox", "sh", "-c",
		fmt.Sprintf("dd if=/dev/zero bs=64k count=%d 2>/dev/null; sleep 2", attachMiB*16))
	cmd.Stdout, cmd.Stderr = &f, &stderr
	if err := cmd.Run(); err != nil {
		return 0, "", fmt.Errorf("%w: %s", err, stderr.String())
	}
	if f.n != f.want {
		return 0, "", fmt.Errorf("%d bytes of %d came", f.n, f.want)
	}
	return f.last.Sub(f.first), f.after.since(f.before, size), nil
}

// span notes when the first and the last of the bytes that it wants were written to it.
type span struct {
	n, want       int64
	first, last   time.Time
	sample        func() cpu
	before, after cpu
}

func (s *span) Write(p []byte) (int, error) {
	if s.n == 0 {
		s.first, s.before = time.Now(), s.sample()
	}
	s.n += int64(len(p))
	if s.n == s.want {
		s.last, s.after = time.Now(), s.sample()
	}
	return len(p), nil
}

// rawTCP has the endpoint VM read the same bytes from a container, by the plainest programs there
// are: busybox's httpd, which sends with sendfile, and wget.
func (b *bench) rawTCP(size float64) (time.Duration, error) {
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
	url := "http://" + strings.TrimSpace(ip) + ":5999/big"
	ready := "i=0; while [ $i -lt 300 ] && ! wget -q --spider " + url + "; do i=$((i+1)); usleep 100000; done"
	if _, err := b.Vic("exec", "--", "sh", "-c", ready); err != nil {
		return 0, err
	}
	before := b.cpu()
	out, err := b.Vic("exec", "--", "sh", "-c", "time wget -q -O /dev/null "+url)
	if err != nil {
		return 0, err
	}
	row("(d) raw TCP: %s", b.cpu().since(before, size))
	for _, l := range strings.Split(out, "\n") {
		if w := strings.Fields(l); len(w) >= 2 && w[0] == "real" {
			return time.ParseDuration(strings.Join(w[1:], ""))
		}
	}
	return 0, fmt.Errorf("no time in %q", out)
}
