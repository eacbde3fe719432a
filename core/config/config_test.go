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

func TestTheAnnotatedFileShowsTheDefaults(t *testing.T) {
	got, err := config.Load("../../conf/vicd.toml")
	if err != nil {
		t.Fatal(err)
	}
	want := config.Default()
	want.Name = "vch1"
	want.Roles = got.Roles // examples, as the name is
	for _, name := range kinds.Roles() {
		if len(got.Roles[name]) != 1 {
			t.Errorf("the file does not show the role %s", name)
		}
	}
	if got.Images.RegistryMirrors != nil && len(got.Images.RegistryMirrors) == 0 {
		got.Images.RegistryMirrors, got.Images.InsecureRegistries = nil, nil
		got.Admin.Interfaces = nil
		got.Images.RegistryCA, got.Images.AllowRegistries, got.Images.DenyRegistries = nil, nil, nil
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestTheAnnotatedFileShowsEveryKey(t *testing.T) {
	text, err := os.ReadFile("../../conf/vicd.toml")
	if err != nil {
		t.Fatal(err)
	}
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		for i := range typ.NumField() {
			key := typ.Field(i).Tag.Get("toml")
			if kind := typ.Field(i).Type.Kind(); kind == reflect.Struct || kind == reflect.Map {
				if !strings.Contains(string(text), "["+key+"]\n") {
					t.Errorf("table %s is missing", key)
				}
				if kind == reflect.Struct {
					walk(typ.Field(i).Type)
				}
			} else if !strings.Contains(string(text), "\n"+key+" = ") {
				t.Errorf("key %s is missing", key)
			}
		}
	}
	walk(reflect.TypeOf(config.Config{}))
}

func TestTheAnnotatedPluginFileLoads(t *testing.T) {
	plugins, err := config.LoadPlugins("../../conf/plugins.d")
	if err != nil || len(plugins) != 1 || plugins[0].Err != nil || plugins[0].Name != "vsphere" {
		t.Errorf("%+v, %v", plugins, err)
	}
}

// engine begins a vicd.toml of a host that runs containers.
const engine = "name='a'\nroles={compute='x', storage='x', network='x'}\n"

func TestAHostWithoutAnEngineNeedsNothingOfIt(t *testing.T) {
	c, err := config.Parse("vicd.toml", "name='a'\n[roles]\nauth='people'\n[docker]\nlisten=[]\n[images]\nroot=''\n[link]\nca_key=''\n")
	if err != nil || c.HasEngine() || !reflect.DeepEqual(c.Roles, config.Roles{"auth": {"people"}}) {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestMistakesSayWhereAndWhatToDo(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"no name":           {``, "name is empty: give the host's name"},
		"unknown key":       {"name='a'\n[engine]\ndefault_memory = 3\n", `vicd.toml:3: unknown key "engine.default_memory"`},
		"wrong type":        {"name='a'\n[engine]\ndefault_cpus = \"two\"\n", `vicd.toml:3: key "engine.default_cpus"`},
		"bad address":       {engine + "[docker]\nlisten=['0.0.0.0:2376']\n", `docker.listen "0.0.0.0:2376" is neither`},
		"nobody listens":    {engine + "[docker]\nlisten=[]\n", `docker.listen is empty`},
		"half a TLS":        {"name='a'\n[tls]\ncert='c'\n", `tls.cert and tls.key belong together`},
		"CA without TLS":    {engine + "[docker]\ntls_ca='c'\n", `docker.tls_ca verifies clients and needs TLS: set tls.cert`},
		"admin without TLS": {"name='a'\n[admin]\nlisten='tcp://0.0.0.0:2378'\n", `admin.listen needs admin.tls_ca`},
		"too little memory": {engine + "[engine]\ndefault_memory_mb=16\n", `engine.default_memory_mb is 16`},
		"half an engine":    {"name='a'\n[roles]\nnetwork='x'\n", `roles.compute and roles.storage must be named too`},
		"unknown role":      {"name='a'\n[roles]\n\nscanner='x'\n", `vicd.toml: roles.scanner is no role; there is compute`},
		"unreachable":       {"name='a'\n[admin]\nsocket=''\n", `nobody could reach this host`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := config.Parse("vicd.toml", tc.text)
			if !errors.Is(err, errdef.ErrInvalid) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}

func TestAPluginFileWithAMistakeKeepsThatPluginOutAlone(t *testing.T) {
	dir := t.TempDir()
	good := "name='good'\npath='/bin/a'\nsha256='" + strings.Repeat("a", 64) + "'\n"
	for file, text := range map[string]string{
		"a.toml": good, "b.toml": "name='b'\npath='/bin/b'\nsha265='x'\n", "c.toml": "name='c'\npath='b'\nsha256='abc'\n",
		"d.toml": good, "note.txt": "x", ".hidden.toml": "x",
	} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	plugins, err := config.LoadPlugins(dir)
	if err != nil || len(plugins) != 4 {
		t.Fatalf("%+v, %v", plugins, err)
	}
	if plugins[0].Err != nil {
		t.Errorf("the good one: %v", plugins[0].Err)
	}
	for i, want := range map[int]string{
		1: `b.toml:3: unknown key "sha265" (did you mean "sha256"?)`, 2: `path "b" is not absolute`, 3: `"good" is taken by`,
	} {
		if e := plugins[i].Err; e == nil || !strings.Contains(e.Error(), want) {
			t.Errorf("%s: %v, want %s", plugins[i].File, e, want)
		}
	}
	if !strings.Contains(plugins[2].Err.Error(), "sha256sum b") {
		t.Errorf("does not say how to get the sum: %v", plugins[2].Err)
	}
}
