package vicd

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"

	"github.com/openvic/vic/core/config"
)

// written writes cfg where a daemon would read it.
func written(t *testing.T, cfg config.Config) string {
	t.Helper()
	var b bytes.Buffer
	if err := toml.NewEncoder(&b).Encode(cfg); err != nil {
		t.Fatal(err)
	}
	p := filepath.Join(t.TempDir(), "vicd.toml")
	if err := os.WriteFile(p, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAReloadTellsWhatItDid(t *testing.T) {
	cfg := setup(t)
	cfg.Images.RegistryMirrors, cfg.Images.InsecureRegistries = []string{}, []string{}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	cfg, err := config.Load(written(t, cfg))
	if err != nil {
		t.Fatal(err)
	}
	d, err := newDaemon(ctx, cfg, "test", slog.New(slog.DiscardHandler), slog.LevelInfo)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	dir := t.TempDir()
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "n"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv("NOTIFY_SOCKET", filepath.Join(dir, "n"))
	told := func() string {
		b := make([]byte, 1000)
		n, err := l.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	same := written(t, cfg)
	if d.reloaded(ctx, same) || told() != "STATUS=reloaded" {
		t.Error("nothing new, and not ready: no READY")
	}
	close(d.ready)
	if d.reloaded(ctx, same) || told() != "READY=1\nSTATUS=reloaded" {
		t.Error("nothing new")
	}
	bad := cfg
	bad.Name = ""
	if d.reloaded(ctx, written(t, bad)) {
		t.Error("a wrong file ends the daemon")
	}
	if s := told(); !strings.HasPrefix(s, "ERRNO=1\nSTATUS=") || !strings.Contains(s, "name is empty") {
		t.Errorf("%q", s)
	}
	bad = cfg
	bad.TLS.Cert, bad.TLS.Key = filepath.Join(dir, "no"), filepath.Join(dir, "no")
	if d.reloaded(ctx, written(t, bad)) || !strings.Contains(told(), "tls.cert") {
		t.Error("a certificate that cannot be read ends the daemon")
	}
	other := cfg
	other.Engine.MaxContainers = 3
	other.Images.AllowRegistries, other.Images.InsecureRegistries = []string{"10.0.0.0/8"}, []string{"reg.example.com:5000"}
	if d.reloaded(ctx, written(t, other)) || told() != "READY=1\nSTATUS=reloaded" {
		t.Error("registries and limits do not change while the daemon runs")
	}
	if c := d.docker.images.RegistryConfig(); c.IndexConfigs["reg.example.com:5000"] == nil {
		t.Errorf("docker info shows %+v", c)
	}
	if d.reloaded(ctx, same) || told() != "READY=1\nSTATUS=reloaded" || d.docker.images.RegistryConfig().IndexConfigs["reg.example.com:5000"] != nil {
		t.Error("the way back")
	}
	bad = cfg
	bad.Images.RegistryCA = []string{filepath.Join(dir, "no")}
	if d.reloaded(ctx, written(t, bad)) || !strings.Contains(told(), "registry_ca") {
		t.Error("an authority that cannot be read ends the daemon")
	}
	dropIn := func(text string) string {
		path := written(t, cfg)
		if err := os.Mkdir(config.DropInDir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(config.DropInDir(path), "x.toml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if d.reloaded(ctx, dropIn("nonsense = 1")) || !strings.Contains(told(), "x.toml:1") {
		t.Error("a wrong drop-in ends the daemon")
	}
	if !d.reloaded(ctx, dropIn("[roles]\nnetwork = \"other\"\n")) {
		t.Error("a drop-in with another plugin needs a new start")
	}
	moved := cfg
	moved.Images.Root = filepath.Join(dir, "other")
	if !d.reloaded(ctx, written(t, moved)) {
		t.Error("another place for the images needs a new start")
	}
}

func TestPluginSumsSeeEveryChange(t *testing.T) {
	p := filepath.Join(t.TempDir(), "x")
	var before string
	for _, text := range []string{"", "a = 1", "a = 2"} {
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		now := fmt.Sprint(pluginSums([]config.Plugin{{Name: "x", Config: p}, {Name: "y", Config: p + "none"}}))
		if now == before || strings.Contains(now, "y:") {
			t.Errorf("%q: %s", text, now)
		}
		before = now
	}
}
