package plugin_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/core/config"
	"github.com/openvic/vic/core/plugin"
	"github.com/openvic/vic/sdk/compute"
	"github.com/openvic/vic/sdk/computetest"
	"github.com/openvic/vic/sdk/device"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/network"
	"github.com/openvic/vic/sdk/networktest"
	"github.com/openvic/vic/sdk/platform"
	"github.com/openvic/vic/sdk/storage"
	"github.com/openvic/vic/sdk/storagetest"
)

func TestAPluginComesUpAndTellsWhatItIs(t *testing.T) {
	up := make(chan string, 1)
	s := spec(t, "one", "greet = \"hello\"\n")
	h, l := start(t, plugin.Options{
		Plugins: []config.Plugin{s}, Roles: config.Roles{"compute": {"one"}, "storage": {"one"}, "network": {"one"}},
		OnUp: func(_ context.Context, name string) { up <- name },
	})
	if name := <-up; name != "one" {
		t.Errorf("OnUp was called for %s", name)
	}
	st := until(t, h, "one", "healthy", func(st plugin.Status) bool { return st.Healthy })
	if st.State != plugin.StateUp || st.Program != "testplugin" || st.Version != "1.2.3" || st.PID == 0 ||
		st.SHA256 != s.SHA256 || strings.Join(st.Kinds(), " ") != "compute storage network platform" || st.Restarts != 0 || st.Example == "" {
		t.Errorf("status %+v", st)
	}
	eventually(t, func() string {
		if !strings.Contains(l.String(), `level=WARN msg=greeting plugin=one text=hello`) ||
			!strings.Contains(l.String(), `msg="plugin wrote" plugin=one line="also on stdout"`) {
			return fmt.Sprintf("the plugin's lines are not in the log:\n%s", l)
		}
		return ""
	})
}

// conforms gives each case of a suite the same host with one plugin in a process of its own.
func conforms(t *testing.T) *plugin.Host {
	h, _ := start(t, plugin.Options{Plugins: []config.Plugin{spec(t, "one", "")}})
	return h
}

func TestComputeConformsInAProcessOfItsOwn(t *testing.T) {
	h := conforms(t)
	d, err := plugin.Driver(h, compute.Plugin(), "one")
	if err != nil {
		t.Fatal(err)
	}
	computetest.Suite(t, func(*testing.T) computetest.Fixture {
		return computetest.Fixture{Driver: d, Disks: func(*testing.T, string) []device.Disk {
			return []device.Disk{{Kind: device.KindVMDK, Locator: "[ds] a.vmdk"}}
		}}
	})
}

func TestStorageConformsInAProcessOfItsOwn(t *testing.T) {
	h := conforms(t)
	d, err := plugin.Driver(h, storage.Plugin(), "one")
	if err != nil {
		t.Fatal(err)
	}
	storagetest.Suite(t, func(*testing.T) storagetest.Fixture { return storagetest.Fixture{Driver: d} })
}

func TestNetworkConformsInAProcessOfItsOwn(t *testing.T) {
	h := conforms(t)
	d, err := plugin.Driver(h, network.Plugin(), "one")
	if err != nil {
		t.Fatal(err)
	}
	networktest.Suite(t, func(*testing.T) networktest.Fixture {
		return networktest.Fixture{Driver: d, Network: "bridge"}
	})
}

// running starts a VM and connects to its guest, which echoes lines.
func running(t testing.TB, d compute.Driver) (string, io.ReadWriteCloser) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	id := computetest.NewID()
	if _, err := d.Create(ctx, compute.CreateRequest{ID: id, CPUs: 1, MemoryMB: 64}); err != nil {
		t.Fatal(err)
	}
	if err := d.Start(ctx, id); err != nil {
		t.Fatal(err)
	}
	conn, err := d.Connect(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	return id, conn
}

func TestConnectReachesAGuestBehindAProcess(t *testing.T) {
	h := conforms(t)
	d, err := plugin.Driver(h, compute.Plugin(), "one")
	if err != nil {
		t.Fatal(err)
	}
	_, conn := running(t, d)
	defer conn.Close()
	if _, err := io.WriteString(conn, "marco\n"); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 6)
	if _, err := io.ReadFull(conn, buf); err != nil || string(buf) != "marco\n" {
		t.Errorf("got %q, %v", buf, err)
	}
}

func TestWhatNoRestartMendsIsRefusedWithTheReason(t *testing.T) {
	wrongSum := spec(t, "wrong-sum", "")
	actual := wrongSum.SHA256
	wrongSum.SHA256 = strings.Repeat("0", 64)
	gone := spec(t, "gone", "")
	gone.Path += ".not-there"
	broken := config.Plugin{Name: "broken", File: "broken.toml", Err: errdef.ErrInvalid}
	unknownKey := spec(t, "unknown-key", "# mine\nfial = \"x\"\n")
	noConfig := spec(t, "no-config", "")
	noConfig.Config += ".not-there"

	for _, tc := range []struct {
		spec  config.Plugin
		roles config.Roles
		want  []string
	}{
		{spec: wrongSum, want: []string{wrongSum.File, wrongSum.Path, actual, wrongSum.SHA256}},
		{spec: gone, want: []string{gone.File, "path", gone.Path}},
		{spec: broken, want: []string{"invalid"}},
		{spec: unknownKey, want: []string{unknownKey.Config + `:2: unknown key "fial" (did you mean "fail"?)`}},
		{spec: spec(t, "invalid", "fail = \"invalid\"\n"), want: []string{`key "fail" says so`}},
		{spec: noConfig, want: []string{noConfig.File, "config", noConfig.Config}},
		{spec: spec(t, "storage-only", ""), roles: config.Roles{"compute": {"storage-only"}},
			want: []string{`roles.compute = "storage-only", but this plugin has no compute driver (it has storage)`}},
		{spec: spec(t, "zvol", ""), roles: config.Roles{"compute": {"zvol"}, "storage": {"zvol"}},
			want: []string{`storage driver says "makes-disk:zvol"`,
				`needs "disk:zvol" of the compute driver of plugin "zvol"`, "disk:vmdk, disk:vmdk-delta", "zvol.toml"}},
	} {
		t.Run(tc.spec.Name, func(t *testing.T) {
			h, _ := start(t, plugin.Options{Plugins: []config.Plugin{tc.spec}, Roles: tc.roles})
			st := until(t, h, tc.spec.Name, "refused", is(plugin.StateRefused))
			for _, want := range tc.want {
				if !strings.Contains(st.LastError, want) {
					t.Errorf("%q does not say %q", st.LastError, want)
				}
			}
			d, err := plugin.Driver(h, compute.Plugin(), tc.spec.Name)
			if err != nil {
				t.Fatal(err)
			}
			_, err = d.List(context.Background())
			wantError(t, "List", err, errdef.ErrUnavailable, tc.spec.Name, "refused")
		})
	}
}

func TestADriverThatDoesNotFitTheOtherPluginIsRefusedByName(t *testing.T) {
	h, _ := start(t, plugin.Options{
		Plugins: []config.Plugin{spec(t, "zvol", ""), spec(t, "vms", "slow = 100\n")},
		Roles:   config.Roles{"compute": {"vms"}, "storage": {"zvol"}, "network": {"vms"}},
	})
	st := until(t, h, "zvol", "refused", is(plugin.StateRefused))
	for _, want := range []string{`"makes-disk:zvol"`, `the compute driver of plugin "vms"`, "roles.storage"} {
		if !strings.Contains(st.LastError, want) {
			t.Errorf("%q does not say %q", st.LastError, want)
		}
	}
	until(t, h, "vms", "up", is(plugin.StateUp))
}

func TestARefusedPluginComesUpWhenItIsMendedAndRestarted(t *testing.T) {
	s := spec(t, "one", "oops = 1\n")
	h, _ := start(t, plugin.Options{Plugins: []config.Plugin{s}})
	until(t, h, "one", "refused", is(plugin.StateRefused))
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	_, err := h.Restart(ctx, "one")
	wantError(t, "Restart", err, errdef.ErrUnavailable, `unknown key "oops"`)
	if err := os.WriteFile(s.Config, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	st, err := h.Restart(ctx, "one")
	if err != nil || st.State != plugin.StateUp || st.LastError != "" {
		t.Errorf("%+v, %v", st, err)
	}
	again, err := h.Restart(ctx, "one")
	if err != nil || again.State != plugin.StateUp || again.PID == st.PID {
		t.Errorf("restart of a plugin that is up: %+v, %v; before %+v", again, err, st)
	}
	_, err = h.Restart(ctx, "other")
	wantError(t, "Restart", err, errdef.ErrNotFound, `"other"`, "there is one")
}

func TestAPlatformThatDoesNotAnswerIsTriedAgain(t *testing.T) {
	s := spec(t, "one", "fail = \"unavailable\"\n")
	h, _ := start(t, plugin.Options{Plugins: []config.Plugin{s}})
	until(t, h, "one", "down", is(plugin.StateDown))
	if err := os.WriteFile(s.Config, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	st := until(t, h, "one", "up", is(plugin.StateUp))
	if st.Restarts == 0 {
		t.Errorf("status %+v", st)
	}
}

func TestHealthIsReported(t *testing.T) {
	h, l := start(t, plugin.Options{Plugins: []config.Plugin{spec(t, "one", "sick = \"no vCenter\"\n")}})
	until(t, h, "one", "sick", func(st plugin.Status) bool {
		return st.State == plugin.StateUp && !st.Healthy && st.Health == "no vCenter"
	})
	_ = l
}

func TestARoleThatNamesNoPluginIsAnError(t *testing.T) {
	_, err := plugin.New(plugin.Options{
		Plugins: []config.Plugin{{Name: "vsphere"}}, Roles: config.Roles{"compute": {"vspere"}},
	})
	wantError(t, "New", err, errdef.ErrNotFound, "roles.compute", `"vspere"`, "there is vsphere")
}

func TestWhatNoRoleNamesIsFoundWhereItIsOffered(t *testing.T) {
	h, _ := start(t, plugin.Options{
		Plugins: []config.Plugin{spec(t, "idle", ""), spec(t, "storage-only", ""), spec(t, "vms", "")},
		Roles:   config.Roles{"compute": {"vms"}, "storage": {"storage-only"}, "network": {"vms"}},
	})
	for _, name := range []string{"idle", "storage-only", "vms"} {
		until(t, h, name, "up", is(plugin.StateUp))
	}
	var got []string
	for _, p := range plugin.Offering(h, platform.Plugin()) {
		r, err := p.Driver.Report(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, p.Plugin+": "+r.About)
	}
	// Who plays a role comes first.
	if want := []string{"vms: memory of vms", "idle: memory of idle"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTheSocketIsInAPrivateDirectory(t *testing.T) {
	h, _ := start(t, plugin.Options{Plugins: []config.Plugin{spec(t, "one", "")}})
	st := until(t, h, "one", "up", is(plugin.StateUp))
	env, err := os.ReadFile(filepath.Join("/proc", itoa(st.PID), "environ"))
	if err != nil {
		t.Fatal(err)
	}
	dir := ""
	for _, kv := range strings.Split(string(env), "\x00") {
		if rest, ok := strings.CutPrefix(kv, "PLUGIN_UNIX_SOCKET_DIR="); ok {
			dir = rest
		}
		if strings.HasPrefix(kv, "HOME=") || strings.HasPrefix(kv, "GOFLAGS=") {
			t.Errorf("the host's environment leaks: %s", kv)
		}
	}
	fi, err := os.Stat(dir)
	if err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("%s: %v, %v", dir, fi, err)
	}
	if sockets, _ := filepath.Glob(filepath.Join(dir, "*")); len(sockets) == 0 {
		t.Error("the socket is somewhere else")
	}
}
