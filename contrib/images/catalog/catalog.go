// Package catalog says which test images there are and what they are made of. All content comes
// from Debian packages or from this folder; nothing is fetched from a registry.
package catalog

import (
	"embed"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/contrib/images/layer"
	"github.com/openvic/vic/contrib/images/rootfs"
)

const (
	debianPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	pgData     = "/var/lib/postgresql/data"
	pgBin      = "/usr/lib/postgresql/15/bin"
)

//go:embed files
var files embed.FS

func file(name string) string {
	data, err := files.ReadFile("files/" + name)
	if err != nil { // the name is a constant of this package
		return fmt.Sprintf("#!/bin/sh\necho %q >&2; exit 1\n", err)
	}
	return string(data)
}

// Debian is an image made of Debian packages, as layers on top of one another: the base, the
// packages, and the configuration.
type Debian struct {
	Repository, Tag string
	Tree            *rootfs.Spec
	// Split is a folder of the tree that becomes a layer of its own ("var/lib/postgresql/data").
	Split string
	// Files is the last layer; Owner is the user that owns those with a negative UID.
	Files []layer.File
	Owner string
	// Programs are names in the folder of tools that go to usr/bin, with the last layer.
	Programs []string
	Config   ocispec.ImageConfig
}

// DebianImages lists the family of images that share the Debian layer; the first is that layer.
func DebianImages() []Debian {
	base := &rootfs.Spec{}
	return []Debian{
		{
			Repository: "library/debian", Tag: "12-slim", Tree: base,
			Config: ocispec.ImageConfig{Env: []string{"PATH=" + debianPath}, Cmd: []string{"bash"}},
		},
		nginx(base), redis(base), postgres(base), buildkit(base),
	}
}

func nginx(base *rootfs.Spec) Debian {
	return Debian{
		Repository: "library/nginx", Tag: "latest",
		Tree: &rootfs.Spec{Base: base, Packages: []string{"nginx-light"}},
		Files: []layer.File{
			{Name: "usr/local/bin/docker-entrypoint.sh", Mode: 0o755, Data: []byte(file("nginx-entrypoint.sh"))},
			{Name: "var/log/nginx/access.log", Mode: 0o777, Link: "/dev/stdout"},
			{Name: "var/log/nginx/error.log", Mode: 0o777, Link: "/dev/stderr"},
		},
		Config: ocispec.ImageConfig{
			Env:          []string{"PATH=" + debianPath},
			Entrypoint:   []string{"/usr/local/bin/docker-entrypoint.sh"},
			Cmd:          []string{"nginx", "-g", "daemon off;"},
			ExposedPorts: map[string]struct{}{"80/tcp": {}},
			StopSignal:   "SIGQUIT",
		},
	}
}

func redis(base *rootfs.Spec) Debian {
	return Debian{
		Repository: "library/redis", Tag: "latest",
		Tree:  &rootfs.Spec{Base: base, Packages: []string{"redis-server"}},
		Owner: "redis",
		Files: []layer.File{
			{Name: "data", Mode: 0o755, UID: -1, GID: -1, Dir: true},
			{Name: "usr/local/etc/redis.conf", Mode: 0o644, Data: []byte(file("redis.conf"))},
			{Name: "usr/local/bin/docker-entrypoint.sh", Mode: 0o755, Data: []byte(file("redis-entrypoint.sh"))},
		},
		Config: ocispec.ImageConfig{
			Env:          []string{"PATH=" + debianPath},
			User:         "redis",
			WorkingDir:   "/data",
			Entrypoint:   []string{"/usr/local/bin/docker-entrypoint.sh"},
			Cmd:          []string{"redis-server", "/usr/local/etc/redis.conf"},
			ExposedPorts: map[string]struct{}{"6379/tcp": {}},
		},
	}
}

// postgres holds a database cluster that is ready to start: initdb takes long in an emulated
// machine. The entrypoint makes one where there is none (a new volume), in the same way.
func postgres(base *rootfs.Spec) Debian {
	const entrypoint = "usr/local/bin/docker-entrypoint.sh"
	return Debian{
		Repository: "library/postgres", Tag: "latest",
		Tree: &rootfs.Spec{
			Base: base, Packages: []string{"postgresql-15"},
			Before: map[string]string{"etc/postgresql-common/createcluster.conf": "create_main_cluster = false\n"},
			// The compiler for queries is over 100 MB and of no use to a test (jit = off).
			Remove: []string{
				"usr/lib/x86_64-linux-gnu/libLLVM*", "usr/lib/x86_64-linux-gnu/libz3*", "usr/lib/llvm-14",
				"usr/lib/postgresql/15/lib/llvmjit*", "usr/lib/postgresql/15/lib/bitcode", "usr/share/i18n",
			},
			After: map[string]string{entrypoint: file("postgres-entrypoint.sh")},
			Run:   []string{"/" + entrypoint, "init"},
			RunAs: "postgres:postgres",
		},
		Split: pgData[1:],
		Owner: "postgres",
		Files: []layer.File{
			{Name: "run/postgresql", Mode: 0o2775, UID: -1, GID: -1, Dir: true},
			{Name: entrypoint, Mode: 0o755, Data: []byte(file("postgres-entrypoint.sh"))},
		},
		Config: ocispec.ImageConfig{
			Env:          []string{"PATH=" + pgBin + ":" + debianPath, "PGDATA=" + pgData, "LANG=C.UTF-8"},
			User:         "postgres",
			WorkingDir:   "/var/lib/postgresql",
			Entrypoint:   []string{"/" + entrypoint},
			Cmd:          []string{"postgres"},
			ExposedPorts: map[string]struct{}{"5432/tcp": {}},
			StopSignal:   "SIGINT",
		},
	}
}
