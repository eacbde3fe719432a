package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"
)

const copyMiB = 50

// cp is benchmark (i): docker cp of a tree into a container that runs and out of it, over raw TCP
// between the same guests. The times are the CLI's, with its start.
func (b *bench) cp() error {
	archive, err := copyTree()
	if err != nil {
		return err
	}
	size := float64(len(archive)) / 1e6
	raw, err := b.rawTCP(float64(attachMiB<<20) / 1e6)
	if err != nil {
		return err
	}
	rawRate := float64(attachMiB<<20) / 1e6 / raw.Seconds()
	r := b.Docker(context.Background(), nil, "run", "-d", "busybox", "sleep", "600")
	if r.Code != 0 {
		return fmt.Errorf("docker run: %s", r.Stderr)
	}
	id := strings.TrimSpace(r.Stdout)
	defer b.Docker(context.Background(), nil, "rm", "-f", id)
	for range max(1, min(b.runs, 3)) {
		start := time.Now()
		if r := b.Docker(context.Background(), archive, "cp", "-", id+":/root"); r.Code != 0 {
			return fmt.Errorf("docker cp in: %s", r.Stderr)
		}
		in := size / time.Since(start).Seconds()
		start = time.Now()
		if r := b.Docker(context.Background(), nil, "cp", id+":/root/tree", "-"); r.Code != 0 || float64(len(r.Stdout)) < size*1e6*0.9 {
			return fmt.Errorf("docker cp out: %d bytes, %s", len(r.Stdout), r.Stderr)
		}
		out := size / time.Since(start).Seconds()
		row("(i) docker cp of %.0f MB: in %.1f MB/s, out %.1f MB/s; raw TCP between the same guests: %.1f MB/s; ratios %.2f and %.2f",
			size, in, out, rawRate, in/rawRate, out/rawRate)
	}
	return nil
}

// copyTree is an archive of files of 1 MiB.
func copyTree() ([]byte, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	data := make([]byte, 1<<20)
	for i := range copyMiB {
		if _, err := rand.Read(data); err != nil {
			return nil, err
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("tree/f%02d", i), Mode: 0o644, Size: int64(len(data))}); err != nil {
			return nil, err
		}
		if _, err := w.Write(data); err != nil {
			return nil, err
		}
	}
	return buf.Bytes(), w.Close()
}
