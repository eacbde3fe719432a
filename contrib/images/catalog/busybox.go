package catalog

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/contrib/images/layer"
)

// BusyboxConfig is what the busybox images run.
func BusyboxConfig() ocispec.ImageConfig {
	return ocispec.ImageConfig{Env: []string{"PATH=/bin"}, Cmd: []string{"sh"}}
}

// BusyboxFiles is the content of the busybox images: the static program under all its names.
func BusyboxFiles(ctx context.Context) ([]layer.File, error) {
	path, err := exec.LookPath("busybox")
	if err != nil {
		return nil, fmt.Errorf("catalog: %w (apt-get install busybox-static)", err)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	applets, err := exec.CommandContext(ctx, path, "--list").Output()
	if err != nil {
		return nil, fmt.Errorf("catalog: %s --list: %w", path, err)
	}
	const passwd = "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\n" +
		"www-data:x:33:33:www-data:/var/www:/bin/false\nnobody:x:65534:65534:nobody:/home:/bin/false\n"
	out := []layer.File{
		{Name: "bin", Mode: 0o755, Dir: true},
		{Name: "bin/busybox", Mode: 0o755, Data: program},
		{Name: "dev", Mode: 0o755, Dir: true},
		{Name: "etc", Mode: 0o755, Dir: true},
		{Name: "etc/passwd", Mode: 0o644, Data: []byte(passwd)},
		{Name: "etc/group", Mode: 0o644, Data: []byte("root:x:0:\ndaemon:x:1:\nwww-data:x:33:\nnobody:x:65534:\n")},
		{Name: "home", Mode: 0o755, UID: 65534, GID: 65534, Dir: true},
		{Name: "proc", Mode: 0o555, Dir: true},
		{Name: "root", Mode: 0o700, Dir: true},
		{Name: "sys", Mode: 0o555, Dir: true},
		{Name: "tmp", Mode: 0o1777, Dir: true},
		{Name: "usr/bin", Mode: 0o755, Dir: true},
		{Name: "usr/bin/env", Mode: 0o777, Link: "../../bin/env"},
		{Name: "usr/sbin", Mode: 0o755, Dir: true},
		{Name: "var/www", Mode: 0o755, Dir: true},
		{Name: "usr", Mode: 0o755, Dir: true},
		{Name: "var", Mode: 0o755, Dir: true},
	}
	for _, name := range strings.Fields(string(applets)) {
		if name != "busybox" && name != "linuxrc" {
			out = append(out, layer.File{Name: "bin/" + name, Mode: 0o755, Hard: "bin/busybox"})
		}
	}
	return out, nil
}
