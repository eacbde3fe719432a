package strict_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/serve/strict"
)

type config struct {
	Name    string `toml:"name"`
	Storage struct {
		ImageStore string `toml:"image_store"`
		SizeGB     int    `toml:"size_gb"`
	} `toml:"storage"`
	Network map[string]struct {
		Portgroup string `toml:"portgroup"`
	} `toml:"network"`
	Pools []struct {
		Name string `toml:"name"`
	} `toml:"pool"`
}

func TestDecodeKeepsWhatTheTextDoesNotName(t *testing.T) {
	c := config{Name: "default"}
	c.Storage.SizeGB = 8
	if err := strict.Decode("f.toml", "[storage]\nimage_store = \"a\"\n[network.bridge]\nportgroup='p'", &c); err != nil {
		t.Fatal(err)
	}
	if c.Name != "default" || c.Storage.SizeGB != 8 || c.Storage.ImageStore != "a" || c.Network["bridge"].Portgroup != "p" {
		t.Errorf("got %+v", c)
	}
}

func TestMistakesNameFileLineAndKey(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"no table":    {"network = 3\n", `f.toml:1: key "network" is no table`},
		"unknown key": {"name = \"a\"\nnmae = \"b\"\n", `f.toml:2: unknown key "nmae" (did you mean "name"?)`},
		"unknown key in a table": {"# c\n\n[storage]\nsize_gb = 1\nimage_stroe = \"x\"\n",
			`f.toml:5: unknown key "storage.image_stroe" (did you mean "storage.image_store"?)`},
		"unknown table":            {"name = \"a\"\n[other]\nx = 1\ny = 2\n", `f.toml:2: unknown key "other"`},
		"unknown in a map's table": {"[network.bridge] # the bridge\nportgroup = \"p\"\nvlan = 3\n", `f.toml:3: unknown key "network.bridge.vlan"`},
		"dotted key":               {"storage.sze_gb = 1\n", `f.toml:1: unknown key "storage.sze_gb"`},
		"inline table":             {"name = \"\"\nstorage = { size_gb = 1, colour = 2 }\n", `f.toml:2: unknown key "storage.colour"`},
		"inside a long string":     {"name = \"\"\"\nwrong = 1\n\"\"\"\nwrong = 2\n", `f.toml:4: unknown key "wrong"`},
		"list of tables":           {"[[pool]]\nname = \"a\"\n[[pool]]\nnome = \"b\"\n", `f.toml:4: unknown key "pool.nome"`},
		"wrong type":               {"name = \"a\"\n[storage]\nsize_gb = \"big\"\n", `f.toml:3: key "storage.size_gb": incompatible types`},
		"not TOML":                 {"name = \"a\"\nname \"b\"\n", `f.toml:2: `},
		"twice":                    {"name = \"a\"\nname = \"b\"\n", `f.toml:2: `},
	} {
		t.Run(name, func(t *testing.T) {
			var c config
			err := strict.Decode("f.toml", tc.text, &c)
			if !errors.Is(err, errdef.ErrInvalid) {
				t.Fatalf("got %v, want ErrInvalid", err)
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
}

func TestEveryUnknownKeyIsTold(t *testing.T) {
	var c config
	err := strict.Decode("f.toml", "a = 1\nname = \"x\"\nb = 2\n", &c)
	for _, want := range []string{"f.toml:1", "f.toml:3"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not tell %s", err, want)
		}
	}
}
