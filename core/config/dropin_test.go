package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openvic/vic/core/config"
	"github.com/openvic/vic/sdk/errdef"
)

// loadWith loads a vicd.toml with these drop-ins.
func loadWith(t *testing.T, dropIns map[string]string) (config.Config, error) {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("vicd.toml", "name='a'\n[engine]\nmax_containers=7\nnetwork='generated'\n")
	if err := os.Mkdir(filepath.Join(dir, "vicd.d"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range dropIns {
		write("vicd.d/"+name, text)
	}
	return config.Load(filepath.Join(dir, "vicd.toml"))
}

func TestDropInsCountInTheOrderOfTheirNames(t *testing.T) {
	c, err := loadWith(t, map[string]string{
		"20-b.toml": "[engine]\nnetwork='second'\n", "10-a.toml": "[engine]\nnetwork='first'\nstorage='disks'\n",
		".hidden.toml": "rubbish", "note.txt": "rubbish", "30-empty.toml": "",
	})
	if err != nil {
		t.Fatal(err)
	}
	if e := c.Engine; e.Network != "second" || e.Storage != "disks" || e.Compute != "vsphere" || e.MaxContainers != 7 {
		t.Errorf("%+v", e)
	}
}

func TestAMistakeInADropInNamesItsFileAndLine(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"unknown key":           {"[engine]\nnetwrk='x'\n", `vicd.d/x.toml:2: unknown key "engine.netwrk" (did you mean "engine.network"?)`},
		"the administrator's":   {"[engine]\nnetwork='x'\nmax_containers=3\n", `vicd.d/x.toml:3: unknown key "engine.max_containers"`},
		"the VCH's name":        {"name='b'\n", `vicd.d/x.toml:1: unknown key "name"`},
		"what may be said":      {"name='b'\n", `engine.compute, engine.storage and engine.network`},
		"a plugin without name": {"[engine]\nnetwork=''\n", `vicd.d/x.toml: engine.network is empty`},
		"not TOML":              {"[engine]\nnetwork = = 1\n", `vicd.d/x.toml:2: `},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := loadWith(t, map[string]string{"x.toml": tc.text})
			if !errors.Is(err, errdef.ErrInvalid) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}

func TestTheAnnotatedDropInShowsEveryKey(t *testing.T) {
	e := config.Engine{Compute: "other", Storage: "other", Network: "other"}
	files, err := config.DropIns("../../conf/vicd.d")
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if err := e.Apply(files); err != nil || e != (config.Engine{Compute: "vsphere", Storage: "vsphere", Network: "vsphere"}) {
		t.Errorf("%+v, %v", e, err)
	}
}
