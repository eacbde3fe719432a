package main

import (
	"archive/tar"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/contrib/images/layer"
	"github.com/openvic/vic/contrib/pack/archive"
)

const (
	hubUser    = 10001 // who the hub is in its image; a volume that is made for it belongs to them
	hubData    = "var/lib/vic-hub"
	hubPlugins = "usr/lib/vic/plugins/"
	caBundle   = "etc/ssl/certs/ca-certificates.crt"
	hubPort    = "8443/tcp"
	hubToml    = "# This image's own; mount another over it. conf/hub.toml explains every key.\n" +
		"data = \"/var/lib/vic-hub\"\n[roles]\nauth = [\"local\"]\nreplicate = [\"oci\"]\n"
	localToml  = "file = \"/var/lib/vic-hub/users/users.json\"\n"
	hubPasswd  = "root:x:0:0:root:/:/sbin/nologin\nvic-hub:x:10001:10001:vic-hub:/var/lib/vic-hub:/sbin/nologin\n"
	hubGroup   = "root:x:0:\nvic-hub:x:10001:\n"
	pluginToml = "name = %q\npath = \"/%s\"\nsha256 = \"%x\"\nconfig = \"/etc/vic-hub/%s.toml\"\n"
)

// hubImage writes the hub's image to a file: the hub, its identity sources, the configuration of the one that keeps users, and
// the authorities that the world trusts. There is nothing else in it, no shell either.
func hubImage(bin, out, version string) (err error) {
	files, err := hubFiles(bin)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(out), ".pack-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	l, err := layer.Create(work, "vic-hub "+version, layer.Gzip, func(tw *tar.Writer) error { return layer.WriteFiles(tw, files) })
	if err != nil {
		return err
	}
	config := ocispec.Image{
		Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"},
		Config: ocispec.ImageConfig{
			User: fmt.Sprint(hubUser), Entrypoint: []string{"/usr/bin/vic-hub"}, Cmd: []string{"serve"}, WorkingDir: "/" + hubData,
			ExposedPorts: map[string]struct{}{hubPort: {}}, Volumes: map[string]struct{}{"/" + hubData: {}},
			Env:    []string{"PATH=/usr/bin"},
			Labels: map[string]string{ocispec.AnnotationTitle: "vic-hub", ocispec.AnnotationVersion: version, ocispec.AnnotationLicenses: "Apache-2.0"},
		},
		RootFS:  ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{l.DiffID}},
		History: []ocispec.History{{CreatedBy: l.Comment}},
	}
	f, err := os.CreateTemp(work, "image-")
	if err != nil {
		return err
	}
	err = archive.Write(f, archive.Image{Name: "vic-hub", Tag: tagOf(version), Config: config, Layers: []layer.Layer{l}})
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), out)
}

// tagOf makes a tag of a version, which may hold more characters.
func tagOf(version string) string {
	tag := []byte(version)
	for i, c := range tag {
		word := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
		if !word && (i == 0 || c != '.' && c != '-') {
			tag[i] = '_'
		}
	}
	return string(tag)
}

func hubFiles(bin string) ([]layer.File, error) {
	var errs []error
	read := func(path string) []byte {
		data, err := os.ReadFile(path)
		errs = append(errs, err)
		return data
	}
	hub, authorities := read(filepath.Join(bin, "vic-hub")), read("/"+caBundle)
	files := []layer.File{
		{Name: "usr/bin/vic-hub", Mode: 0o755, Data: hub},
		{Name: caBundle, Mode: 0o644, Data: authorities},
		{Name: "etc/passwd", Mode: 0o644, Data: []byte(hubPasswd)},
		{Name: "etc/group", Mode: 0o644, Data: []byte(hubGroup)},
		{Name: "etc/vic-hub/hub.toml", Mode: 0o644, Data: []byte(hubToml)},
		{Name: "etc/vic-hub/local.toml", Mode: 0o644, Data: []byte(localToml)},
		{Name: "etc/vic-hub/oci.toml", Mode: 0o644}, // what it does without a word
		{Name: hubData, Mode: 0o700, UID: hubUser, GID: hubUser, Dir: true},
		{Name: "tmp", Mode: 0o1777, Dir: true},
	}
	// The sources but local are used by who mounts a hub.toml that names them, and their configurations.
	for _, name := range []string{"local", "vsphere", "oidc", "ldap", "oci"} {
		program := "vic-auth-" + name
		if name == "oci" {
			program = "vic-replicate-oci"
		}
		plugin, path := read(filepath.Join(bin, program)), hubPlugins+program
		files = append(files, layer.File{Name: path, Mode: 0o755, Data: plugin}, layer.File{Name: "etc/vic-hub/plugins.d/" + name + ".toml", Mode: 0o644,
			Data: fmt.Appendf(nil, pluginToml, name, path, sha256.Sum256(plugin), name)})
	}
	return files, errors.Join(errs...)
}
