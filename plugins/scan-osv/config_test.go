package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/serve/strict"
)

func TestReadmesExampleIsTheDefault(t *testing.T) {
	var c Config
	must(t, strict.Decode("README.md", example(), &c))
	want := defaults()
	want.Data = "/var/lib/vic-hub/scan-osv" // an example
	if !reflect.DeepEqual(c, want) {
		t.Errorf("the example is %+v, the defaults are %+v", c, want)
	}
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	for name, change := range map[string]func(c *Config){
		"data":        func(c *Config) { c.Data = "relative" },
		"mirror":      func(c *Config) { c.Mirror = "ftp://example.com" },
		"mirror_ca":   func(c *Config) { c.MirrorCA = "/does/not/exist" },
		"proxy":       func(c *Config) { c.Proxy = "proxy.example.com:3128" },
		"ecosystems":  func(c *Config) { c.Ecosystems = []string{"Debain"} },
		"twice":       func(c *Config) { c.Ecosystems = []string{"npm", "npm"} },
		"stale_after": func(c *Config) { c.StaleAfter = 0 },
		"at_once":     func(c *Config) { c.AtOnce = 0 },
		"image_bytes": func(c *Config) { c.ImageBytes = 0 },
		"file_bytes":  func(c *Config) { c.FileBytes = c.ImageBytes + 1 },
		"keep_layers": func(c *Config) { c.KeepLayers = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			c := defaults()
			c.Data = t.TempDir()
			change(&c)
			if _, err := open(c); !errors.Is(err, errdef.ErrInvalid) {
				t.Errorf("open: %v, not ErrInvalid", err)
			}
		})
	}
}

func TestAMirrorDoesNotSendThePluginToItsOwnMachine(t *testing.T) {
	asked := false
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer inside.Close()
	mirror := httptest.NewServer(http.RedirectHandler(inside.URL, http.StatusFound))
	defer mirror.Close()
	d := openDriver(t, func(c *Config) { c.Mirror = mirror.URL })
	if _, err := d.Update(t.Context(), nil); err == nil || asked || !strings.Contains(err.Error(), "of its own machine") {
		t.Errorf("asked %t, %v", asked, err)
	}
}
