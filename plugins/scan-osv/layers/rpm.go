package layers

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	cpb "github.com/google/osv-scalibr/binary/proto/config_go_proto"
	"github.com/google/osv-scalibr/extractor/filesystem"
	"github.com/google/osv-scalibr/extractor/filesystem/os/rpm"
	scalibrfs "github.com/google/osv-scalibr/fs"

	"github.com/openvic/vic/plugins/scan-osv/inventory"
)

// ReadRPMArgument is the first argument of this program when it is to read a database of RPM, the second.
const ReadRPMArgument = "read-rpm"

const (
	rpmTime   = 2 * time.Minute
	rpmMemory = 4 << 30   // bytes of address space
	rpmOutput = 256 << 20 // bytes
)

// readRPM reads a database of RPM in a process of its own: the library's readers of its three formats trust what they
// read, and a crafted file makes them take memory without end, or panic where nobody can catch it.
func (x *Extractors) readRPM(ctx context.Context, p string, _ *tar.Header, r io.Reader) ([]inventory.Package, error) {
	dir, err := os.MkdirTemp(x.dir, "rpm-")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errLocal, err)
	}
	defer os.RemoveAll(dir)
	f, err := os.OpenFile(filepath.Join(dir, filepath.Base(p)), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errLocal, err)
	}
	err = spool(f, r)
	if closed := f.Close(); err == nil && closed != nil {
		err = fmt.Errorf("%w: %w", errLocal, closed)
	}
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, rpmTime)
	defer cancel()
	list, err := x.child(limited, f.Name())
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, &unreadable{text: fmt.Sprintf("the packages of RPM cannot be read: %.300v", err)}
	}
	return list, nil
}

func (x *Extractors) child(ctx context.Context, file string) ([]inventory.Package, error) {
	var out, complaint strings.Builder
	cmd := exec.CommandContext(ctx, x.self, ReadRPMArgument, file)
	cmd.Env, cmd.Dir = []string{}, filepath.Dir(file)
	cmd.Stdout, cmd.Stderr = &capped{to: &out, left: rpmOutput}, &capped{to: &complaint, left: 1000}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		first, _, _ := strings.Cut(complaint.String(), "\n")
		return nil, fmt.Errorf("%w: %s", err, line(first))
	}
	var list []inventory.Package
	if err := json.Unmarshal([]byte(out.String()), &list); err != nil {
		return nil, err
	}
	return list, nil
}

// capped takes so much and no more.
type capped struct {
	to   *strings.Builder
	left int
}

var errTooMuch = errors.New("too much output")

func (c *capped) Write(p []byte) (int, error) {
	if len(p) > c.left {
		c.to.Write(p[:c.left])
		c.left = 0
		return 0, errTooMuch
	}
	c.left -= len(p)
	return c.to.Write(p)
}

// ReadRPM is the process that readRPM starts. It writes the packages to w, as JSON.
func ReadRPM(file string, w io.Writer) error {
	if err := syscall.Setrlimit(syscall.RLIMIT_AS, &syscall.Rlimit{Cur: rpmMemory, Max: rpmMemory}); err != nil {
		return err
	}
	e, err := rpm.New(&cpb.PluginConfig{})
	if err != nil {
		return err
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	dir := filepath.Dir(file)
	list, err := extract(context.Background(), e, &filesystem.ScanInput{FS: scalibrfs.DirFS(dir), Root: dir, Path: filepath.Base(file), Info: info, Reader: f})
	if err != nil {
		return err
	}
	return json.NewEncoder(w).Encode(list)
}
