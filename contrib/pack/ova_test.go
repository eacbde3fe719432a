package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	govmomi "github.com/vmware/govmomi/ovf"

	"github.com/openvic/vic/sdk/guest/hubguest"
)

// TestTheOVAIsWhatVSphereReads makes one and reads it as clients of vSphere do.
func TestTheOVAIsWhatVSphereReads(t *testing.T) {
	dir := t.TempDir()
	iso, out := filepath.Join(dir, "hub.iso"), filepath.Join(dir, "vic-hub.ova")
	if err := os.WriteFile(iso, bytes.Repeat([]byte("CD001"), 10_000), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := hubOVA(iso, out, `1.2 <&"`); err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	files, names := map[string][]byte{}, []string{}
	for r := tar.NewReader(bytes.NewReader(first)); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
	if !slices.Equal(names, []string{ovfFile, manifestFile, isoFile}) {
		t.Errorf("files %v", names)
	}
	for _, name := range []string{ovfFile, isoFile} {
		if want := fmt.Sprintf("SHA256(%s)= %x\n", name, sha256.Sum256(files[name])); !strings.Contains(string(files[manifestFile]), want) {
			t.Errorf("the manifest has no %s", want)
		}
	}
	e, err := govmomi.Unmarshal(bytes.NewReader(files[ovfFile]))
	if err != nil {
		t.Fatal(err)
	}
	vs := e.VirtualSystem
	if len(e.References) != 1 || e.References[0].Href != isoFile || int(e.References[0].Size) != len(files[isoFile]) || len(e.Disk.Disks) != 1 ||
		vs.Product[0].Version != `1.2 <&"` || *vs.VirtualHardware[0].Transport != hubguest.Transport {
		t.Errorf("%+v", e)
	}
	var keys []string
	for _, p := range vs.Product[0].Property {
		if p.UserConfigurable == nil || !*p.UserConfigurable || p.Label == nil || *p.Label == "" {
			t.Errorf("%+v", p)
		}
		keys = append(keys, p.Key)
	}
	if len(keys) != len(hubguest.Properties()) {
		t.Errorf("properties %v", keys)
	}
	spec, err := e.ToConfigSpec()
	if err != nil || spec.NumCPUs != ovaCPUs || spec.MemoryMB != ovaMemoryMB || len(spec.DeviceChange) != 5 {
		t.Errorf("%v %+v", err, spec)
	}
	if err := hubOVA(iso, out, `1.2 <&"`); err != nil {
		t.Fatal(err)
	}
	if again, err := os.ReadFile(out); err != nil || !bytes.Equal(first, again) {
		t.Error("the same gives another archive")
	}
	if err := hubOVA(iso+"x", out, "1"); err == nil {
		t.Error("an image that is not there")
	}
}
