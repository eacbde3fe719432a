// Package rootfs builds root file systems from Debian packages with mmdebstrap, one on top of
// another, and keeps them in a cache. It must run as root: files get their real owners, and the
// packages' scripts run in a chroot. No service is started there (mmdebstrap sees to that).
package rootfs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Suite is the Debian release that images are made of.
const Suite = "bookworm"

// Spec says what a tree is made of.
type Spec struct {
	Base     *Spec             // the tree below, or nil for a bare Debian
	Packages []string          // installed on top of it
	Before   map[string]string // files written before the packages' scripts run
	Remove   []string          // patterns of paths removed when they have run
	After    map[string]string // programs written when they have run
	Run      []string          // command run in the chroot at the end
	RunAs    string            // "user:group" of Run
}

// Only what a container needs at run time; licences stay.
var slim = []string{
	"path-exclude=/usr/share/doc/*", "path-include=/usr/share/doc/*/copyright",
	"path-exclude=/usr/share/man/*", "path-exclude=/usr/share/info/*",
	"path-exclude=/usr/share/locale/*", "path-exclude=/usr/share/lintian/*",
}

// Key names the tree that a spec describes, within a cache.
func (s *Spec) Key() string {
	data, err := json.Marshal(struct {
		Suite string
		Slim  []string
		Spec  *Spec
	}{Suite, slim, s})
	if err != nil { // strings and maps of strings always encode
		return "unknown"
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:6])
}

// Build returns the folder of the tree, which it makes when the cache does not hold it. The base
// must have been built.
func Build(ctx context.Context, cache string, spec *Spec) (string, error) {
	dir := Dir(cache, spec)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if os.Geteuid() != 0 {
		return "", errors.New("rootfs: building images from Debian packages needs root (make runs it through sudo)")
	}
	work := dir + ".new"
	if err := os.RemoveAll(work); err != nil {
		return "", fmt.Errorf("rootfs: %w", err)
	}
	if err := os.MkdirAll(work, 0o755); err != nil {
		return "", fmt.Errorf("rootfs: %w", err)
	}
	if err := bootstrap(ctx, cache, work, spec); err != nil {
		return "", err
	}
	if err := finish(ctx, work, spec); err != nil {
		return "", err
	}
	if err := os.Rename(work, dir); err != nil {
		return "", fmt.Errorf("rootfs: %w", err)
	}
	return dir, nil
}

// Dir is the folder of a tree in a cache.
func Dir(cache string, spec *Spec) string { return filepath.Join(cache, "tree-"+spec.Key()) }

func bootstrap(ctx context.Context, cache, dir string, spec *Spec) error {
	args := []string{"--mode=root", "--quiet"}
	if spec.Base == nil {
		args = append(args, "--variant=minbase")
		for _, opt := range slim {
			args = append(args, "--dpkgopt="+opt)
		}
	} else {
		base, err := filepath.Abs(Dir(cache, spec.Base))
		if err != nil {
			return fmt.Errorf("rootfs: %w", err)
		}
		args = append(args, "--variant=custom", "--skip=check/empty",
			"--setup-hook=cp -a "+shellQuote(base)+`/. "$1"/`)
	}
	before, err := os.MkdirTemp("", "vic-rootfs-")
	if err != nil {
		return fmt.Errorf("rootfs: %w", err)
	}
	defer os.RemoveAll(before)
	if err := writeFiles(before, spec.Before, 0o644); err != nil {
		return err
	}
	if len(spec.Before) > 0 {
		args = append(args, "--setup-hook=cp -r "+shellQuote(before)+`/. "$1"/`)
	}
	if len(spec.Packages) > 0 {
		args = append(args, "--include="+strings.Join(spec.Packages, ","))
	}
	return run(ctx, "mmdebstrap", append(args, Suite, dir)...)
}

func finish(ctx context.Context, dir string, spec *Spec) error {
	for _, pattern := range spec.Remove {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return fmt.Errorf("rootfs: %s: %w", pattern, err)
		}
		for _, path := range found {
			if err := os.RemoveAll(path); err != nil {
				return fmt.Errorf("rootfs: %w", err)
			}
		}
	}
	if err := writeFiles(dir, spec.After, 0o755); err != nil {
		return err
	}
	if len(spec.Run) == 0 {
		return nil
	}
	args := append([]string{"--userspec=" + spec.RunAs, dir}, spec.Run...)
	return run(ctx, "chroot", args...)
}

func writeFiles(root string, files map[string]string, perm os.FileMode) error {
	for name, content := range files {
		full := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			return fmt.Errorf("rootfs: %w", err)
		}
		if err := os.WriteFile(full, []byte(content), perm); err != nil {
			return fmt.Errorf("rootfs: %w", err)
		}
		if err := os.Chmod(full, perm); err != nil {
			return fmt.Errorf("rootfs: %w", err)
		}
	}
	return nil
}

// Owner looks a user up in a tree.
func Owner(dir, user string) (uid, gid int, err error) {
	passwd, err := os.ReadFile(filepath.Join(dir, "etc/passwd"))
	if err != nil {
		return 0, 0, fmt.Errorf("rootfs: %w", err)
	}
	for line := range strings.Lines(string(passwd)) {
		if fields := strings.Split(line, ":"); len(fields) > 3 && fields[0] == user {
			_, err := fmt.Sscan(fields[2]+" "+fields[3], &uid, &gid)
			return uid, gid, err
		}
	}
	return 0, 0, fmt.Errorf("rootfs: no user %s in %s", user, dir)
}

func run(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	// SOURCE_DATE_EPOCH makes mmdebstrap leave out what differs from run to run.
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1767225600", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive",
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("rootfs: %s %s: %w\n%s", name, strings.Join(args, " "), err, tail(out.String(), 20))
	}
	return nil
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
