package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/openvic/vic/tests/harness"
)

// bench measures one lab.
type bench struct {
	*harness.Lab
	runs int
}

func selected(only, letter string) bool { return only == "" || strings.Contains(only, letter) }

func row(format string, args ...any) { fmt.Printf(format+"\n", args...) }

func median(d []time.Duration) time.Duration {
	d = slices.Clone(d)
	slices.Sort(d)
	return d[len(d)/2]
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

// must runs the docker CLI and returns stdout.
func (b *bench) must(args ...string) (string, error) {
	r := b.Docker(context.Background(), nil, args...)
	if r.Code != 0 {
		return "", fmt.Errorf("docker %s: exit %d: %s", strings.Join(args, " "), r.Code, r.Stderr)
	}
	return r.Stdout, nil
}

// timed runs the docker CLI and returns how long it took.
func (b *bench) timed(args ...string) (time.Duration, error) {
	start := time.Now()
	_, err := b.must(args...)
	return time.Since(start), err
}

// firstByte notes when the first byte was written to it and how many there were.
type firstByte struct {
	at time.Time
	n  int64
}

func (f *firstByte) Write(p []byte) (int, error) {
	if f.n == 0 && len(p) > 0 {
		f.at = time.Now()
	}
	f.n += int64(len(p))
	return len(p), nil
}

// firstOutput runs the docker CLI and returns when its first output came, what it was, and when
// it ended, all counted from the start.
func (b *bench) firstOutput(args ...string) (first, end time.Duration, out string, err error) {
	var f firstByte
	var text, stderr bytes.Buffer
	cmd := b.DockerCmd(context.Background(), args...)
	cmd.Stdout, cmd.Stderr = io.MultiWriter(&f, &text), &stderr
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, 0, "", fmt.Errorf("docker %s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	return f.at.Sub(start), time.Since(start), text.String(), nil
}
