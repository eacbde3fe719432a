// Package debian fetches Debian packages with apt and unpacks them into a folder, without
// installing them: their scripts never run and the machine is left as it is.
package debian

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// doneFile marks a folder that was unpacked to the end.
const doneFile = ".unpacked"

// Unpack makes sure that the newest version of a package lies unpacked below cache and returns
// its folder. What the cache holds is used as it is: no network is needed then.
func Unpack(ctx context.Context, cache, pkg string) (string, error) {
	dir := filepath.Join(cache, pkg)
	if _, err := os.Stat(filepath.Join(dir, doneFile)); err == nil {
		return dir, nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", fmt.Errorf("debian: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("debian: %w", err)
	}
	deb, err := download(ctx, pkg)
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(filepath.Dir(deb))
	if _, err := run(ctx, "", "dpkg-deb", "-x", deb, dir); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, doneFile), nil, 0o644); err != nil {
		return "", fmt.Errorf("debian: %w", err)
	}
	return dir, nil
}

// Dependency returns the first package whose name has the prefix among those that a metapackage
// depends on: linux-image-cloud-amd64 names the current kernel in this way.
func Dependency(ctx context.Context, pkg, prefix string) (string, error) {
	find := func() (string, error) {
		out, err := run(ctx, "", "apt-cache", "depends", "--no-recommends", "--no-suggests", pkg)
		if err != nil {
			return "", err
		}
		for line := range strings.Lines(out) {
			if _, name, ok := strings.Cut(line, "Depends: "); ok && strings.HasPrefix(name, prefix) {
				return strings.TrimSpace(name), nil
			}
		}
		return "", fmt.Errorf("debian: %s depends on no package %s*", pkg, prefix)
	}
	name, err := find()
	if err != nil {
		if err := update(ctx, err); err != nil {
			return "", err
		}
		return find()
	}
	return name, nil
}

// download fetches a package into a temporary folder, which is the caller's to remove.
func download(ctx context.Context, pkg string) (string, error) {
	tmp, err := os.MkdirTemp("", "vic-deb-")
	if err != nil {
		return "", fmt.Errorf("debian: %w", err)
	}
	// apt drops its privileges to download and complains when it cannot write here.
	if err := os.Chmod(tmp, 0o777); err != nil {
		return "", errors.Join(err, os.RemoveAll(tmp))
	}
	if _, err := run(ctx, tmp, "apt-get", "download", pkg); err != nil {
		if err := update(ctx, err); err != nil {
			return "", errors.Join(err, os.RemoveAll(tmp))
		}
		if _, err := run(ctx, tmp, "apt-get", "download", pkg); err != nil {
			return "", errors.Join(err, os.RemoveAll(tmp))
		}
	}
	debs, err := filepath.Glob(filepath.Join(tmp, "*.deb"))
	if err != nil || len(debs) != 1 {
		return "", errors.Join(fmt.Errorf("debian: apt-get download %s left %d packages", pkg, len(debs)), err, os.RemoveAll(tmp))
	}
	return debs[0], nil
}

// update refreshes apt's lists after a command failed for want of them.
func update(ctx context.Context, cause error) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w (try: sudo apt-get update)", cause)
	}
	_, err := run(ctx, "", "apt-get", "update", "-q")
	return err
}

func run(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("debian: %s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}
