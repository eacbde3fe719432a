package main

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/openvic/vic/contrib/images/catalog"
	"github.com/openvic/vic/contrib/images/layer"
	"github.com/openvic/vic/contrib/images/push"
	"github.com/openvic/vic/contrib/images/rootfs"
)

type builder struct {
	cache, work string
	tools       string // folder of the programs that images hold
	client      *push.Client
	start       time.Time
}

func (b *builder) all(ctx context.Context) error {
	for _, step := range []func(context.Context) error{b.busybox, b.bench, b.debian} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) say(what string) {
	fmt.Printf("  %6.1f s  %s\n", time.Since(b.start).Seconds(), what)
}

func (b *builder) push(ctx context.Context, repo, tag string, img push.Image) error {
	if _, err := b.client.Image(ctx, repo, tag, img); err != nil {
		return err
	}
	var size int64
	for _, l := range img.Layers {
		size += l.Size
	}
	b.say(fmt.Sprintf("%s:%s, %d layers, %.1f MB", repo, tag, len(img.Layers), float64(size)/1e6))
	return nil
}

// busybox pushes the busybox image in every format that a client may meet.
func (b *builder) busybox(ctx context.Context) error {
	files, err := catalog.BusyboxFiles(ctx)
	if err != nil {
		return err
	}
	image := func(how layer.Compression, format push.Format) (push.Image, error) {
		l, err := layer.Create(b.work, "busybox-static of Debian", how, func(tw *tar.Writer) error { return layer.WriteFiles(tw, files) })
		return newImage("amd64", catalog.BusyboxConfig(), format, l), err
	}
	plain, err := image(layer.Gzip, push.OCI)
	if err != nil {
		return err
	}
	zstd, err := image(layer.Zstd, push.OCI)
	if err != nil {
		return err
	}
	schema2 := plain
	schema2.Format = push.Schema2
	return errors.Join(
		b.push(ctx, "library/busybox", "latest", plain),
		b.push(ctx, "library/busybox", "zstd", zstd),
		b.push(ctx, "library/busybox", "schema2", schema2),
		b.multi(ctx, plain))
}

// multi pushes an index of two platforms. There is no program for arm64 in it: its image is there
// to be passed over.
func (b *builder) multi(ctx context.Context, amd64 push.Image) error {
	const repo = "library/multi"
	l, err := layer.Create(b.work, "a file alone", layer.Gzip, func(tw *tar.Writer) error {
		return layer.WriteFiles(tw, []layer.File{{Name: "arm64", Mode: 0o644, Data: []byte("not for this machine\n")}})
	})
	if err != nil {
		return err
	}
	var index []ocispec.Descriptor
	for _, img := range []push.Image{newImage("arm64", catalog.BusyboxConfig(), push.OCI, l), amd64} {
		desc, err := b.client.Image(ctx, repo, "", img)
		if err != nil {
			return err
		}
		index = append(index, desc)
	}
	if err := b.client.Index(ctx, repo, "latest", index); err != nil {
		return err
	}
	b.say(repo + ":latest, an index of amd64 and arm64")
	return nil
}

func (b *builder) bench(ctx context.Context) error {
	var layers []layer.Layer
	for i := range catalog.BenchLayers {
		l, err := layer.Create(b.work, fmt.Sprintf("files of benchmark layer %d", i), layer.Gzip, func(tw *tar.Writer) error {
			return layer.WriteFiles(tw, catalog.BenchFiles(i))
		})
		if err != nil {
			return err
		}
		layers = append(layers, l)
	}
	return b.push(ctx, "bench/100mb", "latest", newImage("amd64", ocispec.ImageConfig{Cmd: []string{"none"}}, push.OCI, layers...))
}

// debian builds the trees, the ones that share a base side by side, and pushes the images.
func (b *builder) debian(ctx context.Context) error {
	images := catalog.DebianImages()
	group, buildCtx := errgroup.WithContext(ctx)
	group.SetLimit(2)
	for i, img := range images {
		build := func() error {
			_, err := rootfs.Build(buildCtx, b.cache, img.Tree)
			return err
		}
		if i > 0 { // the first is the base of the others
			group.Go(build)
			continue
		}
		if err := build(); err != nil {
			return err
		}
		b.say("Debian base unpacked")
	}
	if err := group.Wait(); err != nil {
		return err
	}
	b.say("packages installed in their trees")
	base, err := b.baseLayer(images[0])
	if err != nil {
		return err
	}
	for _, img := range images {
		layers, err := b.layersOn(base, img)
		if err != nil {
			return err
		}
		if err := b.push(ctx, img.Repository, img.Tag, newImage("amd64", img.Config, push.OCI, layers...)); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) tree(spec *rootfs.Spec) layer.Tree {
	return layer.Tree{Dir: rootfs.Dir(b.cache, spec), Skip: skip}
}

func (b *builder) baseLayer(img catalog.Debian) (layer.Layer, error) {
	tree := b.tree(img.Tree)
	return layer.Create(b.work, "Debian "+rootfs.Suite+", minbase, without documentation", layer.Gzip, func(tw *tar.Writer) error {
		names, err := tree.Names()
		if err != nil {
			return err
		}
		return tree.Write(tw, names)
	})
}

// layersOn returns the layers of an image: the base, its packages, a split-off folder, its files.
func (b *builder) layersOn(base layer.Layer, img catalog.Debian) ([]layer.Layer, error) {
	layers := []layer.Layer{base}
	if img.Tree.Base == nil {
		return layers, nil
	}
	tree := b.tree(img.Tree)
	changed, gone, err := layer.Diff(b.tree(img.Tree.Base), tree)
	if err != nil {
		return nil, err
	}
	packages, split := partition(changed, img.Split)
	add := func(comment string, fill func(*tar.Writer) error) error {
		l, err := layer.Create(b.work, comment, layer.Gzip, fill)
		layers = append(layers, l)
		return err
	}
	err = add("apt-get install "+strings.Join(img.Tree.Packages, " "), func(tw *tar.Writer) error {
		return errors.Join(tree.Write(tw, packages), layer.Whiteouts(tw, gone))
	})
	if err == nil && len(split) > 0 {
		err = add(strings.Join(img.Tree.Run, " "), func(tw *tar.Writer) error { return tree.Write(tw, split) })
	}
	if err != nil {
		return nil, err
	}
	files, err := owned(tree.Dir, img)
	if err != nil {
		return nil, err
	}
	programs, err := b.programs(img.Programs)
	if err != nil {
		return nil, err
	}
	files = append(files, programs...)
	err = add("configuration and entrypoint", func(tw *tar.Writer) error { return layer.WriteFiles(tw, files) })
	return layers, err
}

// programs are those of the folder of tools that an image holds.
func (b *builder) programs(names []string) (out []layer.File, _ error) {
	for _, n := range names {
		data, err := os.ReadFile(filepath.Join(b.tools, n))
		if err != nil {
			return nil, fmt.Errorf("%w (make images builds it)", err)
		}
		out = append(out, layer.File{Name: "usr/bin/" + n, Mode: 0o755, Data: data})
	}
	return out, nil
}

func partition(names []string, dir string) (rest, inside []string) {
	for _, name := range names {
		if dir != "" && layer.Below(name, dir) {
			inside = append(inside, name)
		} else {
			rest = append(rest, name)
		}
	}
	return rest, inside
}

// owned gives the files that belong to the image's own user their numbers.
func owned(dir string, img catalog.Debian) ([]layer.File, error) {
	var out []layer.File
	for _, f := range img.Files {
		if f.UID < 0 {
			uid, gid, err := rootfs.Owner(dir, img.Owner)
			if err != nil {
				return nil, err
			}
			f.UID, f.GID = uid, gid
		}
		out = append(out, f)
	}
	return out, nil
}

// skip leaves out what belongs to the machine or to the building, not to an image.
func skip(name string, d fs.DirEntry) bool {
	switch name {
	case "etc/hostname", "etc/hosts", "etc/resolv.conf", "etc/machine-id", "var/cache/ldconfig/aux-cache",
		"usr/local/bin/docker-entrypoint.sh": // written by the last layer
		return true
	case "usr/share/perl", "usr/lib/x86_64-linux-gnu/perl", "usr/lib/x86_64-linux-gnu/gconv", "usr/share/zoneinfo/right", "usr/share/zoneinfo/posix":
		// No service needs them, and they are half of the bytes that an emulated endpoint has to unpack. What
		// packages' scripts need of Perl is in perl-base.
		return true
	}
	switch dir := filepath.Dir(name); dir {
	case "dev", "proc", "sys", "run", "tmp", "var/cache/apt", "var/cache/debconf", "var/lib/apt/lists":
		return true
	case "var/lib/dpkg":
		return strings.HasSuffix(name, "-old")
	case "etc":
		return strings.HasSuffix(name, "-") // copies that useradd leaves
	}
	return strings.HasPrefix(name, "var/log/") && !d.IsDir()
}

// newImage describes an image of the given layers, with a history that `docker history` can show.
func newImage(arch string, config ocispec.ImageConfig, format push.Format, layers ...layer.Layer) push.Image {
	created := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	img := ocispec.Image{
		Created:  &created,
		Platform: ocispec.Platform{OS: "linux", Architecture: arch},
		Config:   config,
		RootFS:   ocispec.RootFS{Type: "layers"},
	}
	for _, l := range layers {
		img.RootFS.DiffIDs = append(img.RootFS.DiffIDs, l.DiffID)
		img.History = append(img.History, ocispec.History{Created: &created, CreatedBy: l.Comment})
	}
	img.History = append(img.History, ocispec.History{Created: &created, CreatedBy: fmt.Sprintf("CMD %q", config.Cmd), EmptyLayer: true})
	return push.Image{Config: img, Layers: layers, Format: format}
}
