package config_test

import (
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/openvic/vic/core/config"
	"github.com/openvic/vic/sdk/errdef"
)

func TestTheHubsAnnotatedFileShowsTheDefaults(t *testing.T) {
	got, err := config.LoadHub("../../conf/hub.toml")
	if err != nil {
		t.Fatal(err)
	}
	want, err := config.ParseHub("", "")
	if err != nil {
		t.Fatal(err)
	}
	got.File = ""
	got.Access.CloudAdmins, got.TLS.ACME.Names, got.Outbound = nil, nil, config.HubOutbound{}      // empty in the file
	if want.Roles = (config.Roles{"auth": {"local"}}); !reflect.DeepEqual(got.Roles, want.Roles) { // an example
		t.Errorf("roles %v", got.Roles)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if want.Database.URL != "sqlite:/var/lib/vic-hub/hub.db" || want.Storage.Folder != filepath.Join(want.Data, "objects") {
		t.Errorf("%+v", want)
	}
}

func TestWrongHubConfigurations(t *testing.T) {
	for text, want := range map[string]string{
		"listen = '0.0.0.0:1'":              "listen",
		"data = 'x'":                        "data",
		"name = ''":                         "name",
		"url = 'hub.example.com'":           "url",
		"url = 'https://a/b'":               "url",
		"[tls]\ncert = '/a'":                "tls.cert and tls.key",
		"[tls]\nnames = []":                 "tls.names",
		"[tls.acme]\nnames = ['localhost']": "tls.acme.names",
		"[tls.acme]\nemail = 'a@b'":         "tls.acme.names",
		"[tls.acme]\nnames = ['a.b']\ndirectory = 'http://c'":  "tls.acme.directory",
		"[database]\nurl = 'mysql://u:secret@h/d'":             "database.url",
		"[database]\nurl = 'sqlite:hub.db'":                    "database.url",
		"[storage]\nfolder = 'x'":                              "storage.folder",
		"[storage]\nredirect = true":                           "storage.redirect",
		"[storage]\nfolder = '/x'\n[storage.s3]\nbucket = 'b'": "exclude each other",
		"[storage.s3]\nbucket = 'b'\nregion = ''":              "storage.s3.region",
		"[roles]\ncompute = 'x'":                               "roles.compute",
		"[roles]\nnothing = 'x'":                               "roles.nothing",
		"[access]\nexamples = 'My users'":                      "access.examples",
		"[access]\nsession_idle = '1s'":                        "access.session_idle",
		"[access]\nsession_longest = '1m'":                     "access.session_longest",
		"[access]\ncheck_every = '25h'":                        "access.check_every",
		"[access]\noutage = '1m'":                              "access.outage",
		"[access]\noutage = 'soon'":                            "access.outage",
		"[plugins]\ndir = ''":                                  "plugins.dir",
		"[stroage]\n":                                          `unknown key "stroage"`,
	} {
		_, err := config.ParseHub("hub.toml", text)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "hub.toml") || !errors.Is(err, errdef.ErrInvalid) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the error tells the password: %v", text, err)
		}
	}
}

func TestTheHubConnectsOnlyToAddressesThatAreSome(t *testing.T) {
	for _, key := range []string{"allow", "deny"} {
		if _, err := config.ParseHub("hub.toml", "[outbound]\n"+key+` = ["10.0.0.0/8", "example.com"]`); !errors.Is(err, errdef.ErrInvalid) ||
			!strings.Contains(err.Error(), "outbound."+key) {
			t.Errorf("%s: %v", key, err)
		}
	}
}
