package kernel

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCommandLine(t *testing.T) {
	got := parseCommandLine("console=ttyS0 quiet a=b=c\n")
	if len(got) != 3 || got["console"] != "ttyS0" || got["a"] != "b=c" {
		t.Fatal(got)
	}
	if _, ok := got["quiet"]; !ok {
		t.Fatal(got)
	}
}

// fakeModules records what is loaded.
func fakeModules(t *testing.T, files map[string]string) (*Modules, *[]string) {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		name = filepath.Join(root, strings.ReplaceAll(name, "VERSION", Release()))
		os.MkdirAll(filepath.Dir(name), 0o755)
		os.WriteFile(name, []byte(text), 0o644)
	}
	var loaded []string
	m := &Modules{Root: root, Load: func(path, params string) error {
		if _, err := os.Stat(path); err != nil {
			return err
		}
		loaded = append(loaded, strings.TrimSpace(moduleName(path)+" "+params))
		return nil
	}}
	return m, &loaded
}

func TestListOfModules(t *testing.T) {
	m, loaded := fakeModules(t, map[string]string{
		"modules.list":                           "/m/a-b.ko\n# comment\n\nkernel/scsi_mod.ko\nc.ko x=1 y=2\n/m/gone.ko\nlast.ko\n",
		"m/a-b.ko":                               "",
		"lib/modules/VERSION/c.ko":               "",
		"lib/modules/last.ko":                    "",
		"lib/modules/VERSION/kernel/scsi_mod.ko": "",
	})
	var done []string
	err := m.LoadList(func(n string) { done = append(done, n) })
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "/m/gone.ko") {
		t.Errorf("the missing module: %v", err)
	}
	if got := fmt.Sprint(*loaded); got != "[a_b scsi_mod scan=manual c x=1 y=2 last]" {
		t.Error(got)
	}
	if len(done) != 5 {
		t.Error(done)
	}
}

func TestNoListIsEmpty(t *testing.T) {
	m, _ := fakeModules(t, nil)
	if err := m.LoadList(func(string) {}); err != nil {
		t.Fatal(err)
	}
}

func TestModulesByNameComeAfterTheirDependencies(t *testing.T) {
	dep := "k/top.ko: k/mid.ko k/low-er.ko\nk/mid.ko: k/low-er.ko\nk/low-er.ko:\nk/in.ko:\n"
	m, loaded := fakeModules(t, map[string]string{
		"lib/modules/VERSION/modules.dep": dep, "lib/modules/VERSION/k/top.ko": "", "lib/modules/VERSION/k/mid.ko": "",
		"lib/modules/VERSION/k/low-er.ko": "", "lib/modules/VERSION/k/in.ko": "", "sys/module/in/x": "", "sys/module/builtin/x": "",
	})
	if err := m.LoadNames([]string{"top", "in", "builtin"}); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(*loaded); got != "[low_er mid top]" {
		t.Fatal(got)
	}
	if err := m.LoadNames([]string{"none"}); err == nil {
		t.Fatal("a module that is not there was loaded")
	}
}

func TestTraceWritesAtFlush(t *testing.T) {
	var b strings.Builder
	tr := NewTrace(&b)
	tr.Step("one")
	if b.Len() > 0 {
		t.Fatal("it wrote at once")
	}
	tr.Flush()
	if !strings.HasPrefix(b.String(), "vic.trace ") || !strings.HasSuffix(b.String(), " us one\n") {
		t.Fatal(b.String())
	}
}

func TestSignatureIsCutOff(t *testing.T) {
	signed := "module" + "signature" + "\x00\x00\x02\x00\x00\x00\x00\x00" + "\x00\x00\x00\x09" + signatureMark
	for in, want := range map[string]string{
		signed: "module", "module": "module", signatureMark: signatureMark, "": "",
		"m\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00" + signatureMark: "m\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00" + signatureMark,
	} {
		if got := string(unsigned([]byte(in))); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}

func TestACompressedModuleIsRead(t *testing.T) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte("module"))
	w.Close()
	dir := t.TempDir()
	for name, data := range map[string][]byte{"plain.ko": []byte("module"), "packed.ko.gz": b.Bytes()} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := readModule(file); err != nil || string(got) != "module" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
