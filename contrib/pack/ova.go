package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/template"
	"time"

	"github.com/openvic/vic/sdk/guest/hubguest"
)

//go:embed hub.ovf.tmpl
var ovfTemplate string

// The hardware of a hub that is deployed from the OVA, as vic-machine hub create makes it without options.
const (
	ovaCPUs     = 2
	ovaMemoryMB = 2048
	ovaDataGB   = 200
)

// The files in the OVA, in their order: the descriptor comes first.
const (
	ovfFile      = "vic-hub.ovf"
	manifestFile = "vic-hub.mf"
	isoFile      = "hub.iso"
)

// ovaTime makes archives reproducible.
const ovaTime = 1767225600 // 2026-01-01

// hubOVA writes a virtual appliance: hub.iso as its CD, an empty data disk, and properties that configure it.
func hubOVA(iso, out, version string) (err error) {
	info, err := os.Stat(iso)
	if err != nil {
		return err
	}
	descriptor, err := ovf(info.Size(), version)
	if err != nil {
		return err
	}
	sum, err := sha256File(iso)
	if err != nil {
		return err
	}
	manifest := fmt.Sprintf("SHA256(%s)= %x\nSHA256(%s)= %x\n", ovfFile, sha256.Sum256(descriptor), isoFile, sum)
	f, err := os.CreateTemp(filepath.Dir(out), ".ova-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	err = errors.Join(writeOVA(f, descriptor, []byte(manifest), iso, info.Size()), f.Chmod(0o644), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), out)
}

func writeOVA(w io.Writer, descriptor, manifest []byte, iso string, size int64) error {
	out := tar.NewWriter(w)
	head := func(name string, size int64) error {
		return out.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: size, ModTime: time.Unix(ovaTime, 0), Format: tar.FormatUSTAR})
	}
	for _, x := range []struct {
		name string
		data []byte
	}{{ovfFile, descriptor}, {manifestFile, manifest}} {
		if err := head(x.name, int64(len(x.data))); err != nil {
			return err
		}
		if _, err := out.Write(x.data); err != nil {
			return err
		}
	}
	f, err := os.Open(iso)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := head(isoFile, size); err != nil {
		return err
	}
	if _, err := io.Copy(out, f); err != nil {
		return err
	}
	return out.Close()
}

func sha256File(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	sum := sha256.New()
	_, err = io.Copy(sum, f)
	return sum.Sum(nil), err
}

// ovf is the descriptor.
func ovf(isoSize int64, version string) ([]byte, error) {
	t, err := template.New(ovfFile).Funcs(template.FuncMap{"xml": func(v any) (string, error) {
		var b bytes.Buffer
		err := xml.EscapeText(&b, []byte(fmt.Sprint(v)))
		return b.String(), err
	}}).Parse(ovfTemplate)
	if err != nil {
		return nil, err
	}
	type group struct {
		Category   string
		Properties []hubguest.Property
	}
	var groups []group
	for _, p := range hubguest.Properties() {
		if len(groups) == 0 || groups[len(groups)-1].Category != p.Category {
			groups = append(groups, group{Category: p.Category})
		}
		g := &groups[len(groups)-1]
		g.Properties = append(g.Properties, p)
	}
	var b bytes.Buffer
	err = t.Execute(&b, map[string]any{"ISO": isoFile, "Size": isoSize, "Version": version, "CPUs": ovaCPUs, "MemoryMB": ovaMemoryMB, "DataGB": ovaDataGB,
		"Class": hubguest.Class, "Transport": hubguest.Transport, "Groups": groups})
	return b.Bytes(), err
}
