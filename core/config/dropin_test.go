package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/openvic/vic/core/config"
	"github.com/openvic/vic/core/kinds"
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
	write("vicd.toml", "name='a'\n[engine]\nmax_containers=7\n[roles]\ncompute='vsphere'\nstorage='vsphere'\nnetwork='generated'\nauth=['a','b']\n")
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
		"20-b.toml": "[roles]\nnetwork='second'\n", "10-a.toml": "[roles]\nnetwork='first'\nstorage='disks'\nauth=['b','c']\n",
		".hidden.toml": "rubbish", "note.txt": "rubbish", "30-empty.toml": "",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := config.Roles{"compute": {"vsphere"}, "storage": {"disks"}, "network": {"second"}, "auth": {"b", "c"}}
	if !reflect.DeepEqual(c.Roles, want) || c.Engine.MaxContainers != 7 || !c.HasEngine() {
		t.Errorf("%+v", c)
	}
}

func TestAMistakeInADropInNamesItsFileAndLine(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"unknown role":          {"[roles]\nnetwrk='x'\n", `vicd.d/x.toml: roles.netwrk is no role; there is ` + strings.Join(kinds.Roles(), ", ")},
		"the administrator's":   {"[roles]\nnetwork='x'\n[engine]\nmax_containers=3\n", `vicd.d/x.toml:3: unknown key "engine"`},
		"the VCH's name":        {"name='b'\n", `vicd.d/x.toml:1: unknown key "name"`},
		"what may be said":      {"name='b'\n", `a drop-in has the table roles alone`},
		"a plugin without name": {"[roles]\nnetwork=''\n", `vicd.d/x.toml: roles.network is empty`},
		"no name at all":        {"[roles]\nauth=['a', 3]\n", `vicd.d/x.toml:2: key "roles.auth": 3 is not the name of a plugin`},
		"two for one":           {"[roles]\nnetwork=['x', 'y']\n", `roles.network lists 2 plugins: this role takes one`},
		"twice":                 {"[roles]\nauth=['x', 'x']\n", `roles.auth names "x" twice`},
		"no engine any more":    {"[roles]\nnetwork=[]\n", `roles.network must be named too, because of roles.compute and roles.storage: the engine`},
		"no table":              {"roles='x'\n", `vicd.d/x.toml:1: key "roles" is no table`},
		"not TOML":              {"[roles]\nnetwork = = 1\n", `vicd.d/x.toml:2: `},
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
	var roles config.Roles
	files, err := config.DropIns("../../conf/vicd.d")
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if err := roles.Apply(files); err != nil {
		t.Fatal(err)
	}
	for _, name := range kinds.Roles() {
		if len(roles[name]) != 1 {
			t.Errorf("the file does not show the role %s", name)
		}
	}
}
