package media

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openvic/vic/contrib/boot/initramfs"
)

const script = "#!/bin/sh\n"

// pluginTree is a folder with one plugin that is right, changed by more: "" removes a file.
func pluginTree(t *testing.T, more map[string]string) string {
	t.Helper()
	sum := sha256.Sum256([]byte(script))
	files := map[string]string{
		"usr/lib/vic/plugins/vic-driver-mine": script,
		"etc/vic/plugins.d/mine.toml": fmt.Sprintf("name='mine'\npath='/usr/lib/vic/plugins/vic-driver-mine'\nsha256='%s'\nconfig='/etc/vic/mine.toml'\n",
			hex.EncodeToString(sum[:])),
		"etc/vic/mine.toml":        "a = 1\n",
		"etc/vic/vicd.d/mine.toml": "[roles]\nnetwork='mine'\n",
	}
	for name, text := range more {
		files[name] = text
	}
	dir := t.TempDir()
	for name, text := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		mode := os.FileMode(0o600)
		if text == script {
			mode = 0o755
		}
		if text == "" {
			continue
		}
		if err := os.WriteFile(p, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func applianceTree() *initramfs.Tree {
	tree := initramfs.New()
	tree.Bytes("/usr/bin/vicd", 0o755, []byte("x"))
	tree.Bytes("/etc/vic/plugins.d/vsphere.toml", 0o644, []byte("x"))
	return tree
}

func TestPluginsAreLaidOverTheRoot(t *testing.T) {
	tree := applianceTree()
	if err := addPlugins(tree, pluginTree(t, nil)); err != nil {
		t.Fatal(err)
	}
	if data, perm, _ := tree.Read("/usr/lib/vic/plugins/vic-driver-mine"); string(data) != script || perm != 0o755 {
		t.Errorf("the program: %q %o", data, perm)
	}
	if data, perm, _ := tree.Read("/etc/vic/mine.toml"); string(data) != "a = 1\n" || perm != 0o600 {
		t.Errorf("its configuration: %q %o", data, perm)
	}
}

func TestPluginsThatVicdWouldRefuseGiveNoImage(t *testing.T) {
	const toml, dropIn, program = "etc/vic/plugins.d/mine.toml", "etc/vic/vicd.d/mine.toml", "usr/lib/vic/plugins/vic-driver-mine"
	spec := func(name, path, sum string) string {
		return fmt.Sprintf("name='%s'\npath='%s'\nsha256='%s'\n", name, path, sum)
	}
	sum := sha256.Sum256([]byte(script))
	right, wrong := hex.EncodeToString(sum[:]), strings.Repeat("0", 64)
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Skip(err)
	}
	arm := append([]byte(nil), self...)
	arm[18] = 183 // e_machine
	for name, tc := range map[string]struct {
		more map[string]string
		want string
	}{
		"wrong pin":             {map[string]string{toml: spec("mine", "/"+program, wrong)}, "sha256 is " + wrong + ", but that of /" + program + " is " + right},
		"unknown key":           {map[string]string{toml: "nam='x'\n"}, `mine.toml:1: unknown key "nam"`},
		"no program":            {map[string]string{program: ""}, "path /" + program + " is not among the appliance's files"},
		"not executable":        {map[string]string{program: "x"}, "is not executable"},
		"no configuration":      {map[string]string{"etc/vic/mine.toml": ""}, "config /etc/vic/mine.toml is not among"},
		"the own plugin's name": {map[string]string{toml: spec("vsphere", "/"+program, right)}, "that of the appliance's own plugin"},
		"no such plugin":        {map[string]string{dropIn: "[roles]\nnetwork='other'\n"}, `there is no plugin "other"; there is vsphere, mine`},
		"drop-in's key":         {map[string]string{dropIn: "[engine]\nmax_containers=1\n"}, `vicd.d/mine.toml:1: unknown key "engine"`},
		"a file of ours":        {map[string]string{"usr/bin/vicd": "mine"}, "the appliance has a file /usr/bin/vicd of its own"},
		"vic-machine's file":    {map[string]string{"etc/vic/vicd.toml": "mine"}, "vic-machine writes /etc/vic/vicd.toml"},
		"vic-machine's folder":  {map[string]string{"etc/vic/tls/x.pem": "mine"}, "vic-machine writes /etc/vic/tls"},
		"no plugin at all":      {map[string]string{toml: ""}, "there is no *.toml in its folder etc/vic/plugins.d"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := addPlugins(applianceTree(), pluginTree(t, tc.more)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
	if err := runs(applianceTree(), arm); err == nil || !strings.Contains(err.Error(), "AARCH64") {
		t.Errorf("a program for another processor: %v", err)
	}
}

func TestAProgramThatNeedsLibrariesGivesNoImage(t *testing.T) {
	program, err := os.ReadFile("/bin/ls")
	if err != nil {
		t.Skip(err)
	}
	if err := runs(applianceTree(), program); err == nil || !strings.Contains(err.Error(), "CGO_ENABLED=0") {
		t.Errorf("got %v", err)
	}
}
