package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openvic/vic/drivers/vsphere/machine/operation"
	"github.com/openvic/vic/drivers/vsphere/machine/simtest"
	"github.com/openvic/vic/drivers/vsphere/machine/vch"
	"github.com/openvic/vic/sdk/errdef"
)

type result struct {
	code     int
	out, err string
}

func run(t *testing.T, args ...string) result { t.Helper(); return runAs(t, "v9", args...) }

func runAs(t *testing.T, version string, args ...string) result {
	t.Helper()
	var out, errOut bytes.Buffer
	a := &app{in: strings.NewReader(""), out: &out, err: &errOut, version: version}
	code := a.run(t.Context(), args)
	return result{code, out.String(), errOut.String()}
}

// access are the options that reach a simulator.
func access(s *simtest.Sim) []string {
	return []string{"--target", s.Server.URL.Host, "--user", simtest.User, "--password", simtest.Password, "--thumbprint", s.Target.Thumbprint}
}

func createArgs(t *testing.T, s *simtest.Sim, more ...string) []string {
	args := append([]string{"create"}, access(s)...)
	args = append(args, "--name", "vch1", "--image-store", "LocalDS_0", "--bridge-network", "bridge", "--public-network", "public",
		"--tls-cname", "127.0.0.1", "--cert-path", filepath.Join(t.TempDir(), "c"), "--appliance-iso", simtest.ISO(t, "a.iso"),
		"--bootstrap-iso", simtest.ISO(t, "b.iso"), "--timeout", "20s", "--no-reach-check")
	return append(args, more...)
}

func TestALifeOfAVCH(t *testing.T) {
	s := simtest.New(t)
	before := s.Inventory()
	s.Guest("vch1", "ready", "")
	dir := filepath.Join(t.TempDir(), "certs")
	r := run(t, createArgs(t, s, "--cert-path", dir)...)
	if r.code != 0 || !strings.Contains(r.out, "DOCKER_HOST=192.0.2.7:2376") || !strings.Contains(r.out, "--tlsverify") || strings.Contains(r.out, "reached") {
		t.Fatalf("create: %+v", r)
	}
	env, err := os.ReadFile(filepath.Join(dir, "vch1.env"))
	if err != nil || !strings.Contains(string(env), "DOCKER_CERT_PATH="+dir) {
		t.Errorf("environment file: %s %v", env, err)
	}
	if r := run(t, append([]string{"ls"}, access(s)...)...); r.code != 0 || !strings.Contains(r.out, "vch1") || !strings.Contains(r.out, "ready") ||
		!strings.Contains(r.out, "v9") {
		t.Errorf("ls: %+v", r)
	}
	r = run(t, append([]string{"inspect", "--format", "json", "--name", "vch1"}, access(s)...)...)
	var d vch.Details
	if err := json.Unmarshal([]byte(r.out), &d); err != nil || d.Endpoint != "192.0.2.7:2376" {
		t.Errorf("inspect: %+v %v", r, err)
	}
	if r := run(t, append([]string{"inspect", "--name", "vch1"}, access(s)...)...); !strings.Contains(r.out, "server-cert.pem") ||
		!strings.Contains(r.out, "2376") ||
		!strings.Contains(r.out, "public: 192.0.2.7, by DHCP") {
		t.Errorf("inspect: %+v", r)
	}
	if r := run(t, createArgs(t, s)...); r.code != exitChecks || !strings.Contains(r.out, "a VCH vch1") {
		t.Errorf("create again: %+v", r)
	}
	del := append([]string{"delete", "--name", "vch1"}, access(s)...)
	if r := run(t, del...); r.code != 0 {
		t.Errorf("delete: %+v", r)
	}
	if after := s.Inventory(); after != before {
		t.Errorf("left behind:\n%s", after)
	}
	if r := run(t, del...); r.code != 0 || !strings.Contains(r.out, "Nothing to delete") || !strings.Contains(r.out, "vch1") {
		t.Errorf("delete again: %+v", r)
	}
	if r := run(t, append([]string{"inspect", "--name", "vch1"}, access(s)...)...); r.code != exitNotFound {
		t.Errorf("inspect of nothing: %+v", r)
	}
}

func TestMistakesHaveTheirExitCodes(t *testing.T) {
	s := simtest.New(t)
	before := s.Inventory()
	for _, c := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"no target", []string{"ls", "--user", "u", "--password", "p"}, exitUsage, "--target"},
		{"no user", []string{"ls", "--target", "vc", "--password", "p"}, exitUsage, "--user"},
		{"no password", []string{"ls", "--target", "vc", "--user", "u"}, exitUsage, "--password"},
		{"unknown option", []string{"ls", "--bogus"}, exitUsage, "bogus"},
		{"a value lost", []string{"ls", "vch1"}, exitUsage, "vch1"},
		{"bad format", append([]string{"ls", "--format", "yaml"}, access(s)...), exitUsage, "json"},
		{"bad range", createArgs(t, s, "--bridge-network-range", "x"), exitUsage, "--bridge-network-range"},
		{"two TLS modes", createArgs(t, s, "--no-tls", "--no-tlsverify"), exitUsage, "exclude"},
		{"short thumbprint", createArgs(t, s, "--thumbprint", "00:11"), exitUsage, "thumbprint"},
		{"wrong password", createArgs(t, s, "--password", "no"), exitChecks, "password"},
		{"missing port group", createArgs(t, s, "--bridge-network", "nosuch"), exitChecks, "nosuch"},
		{"time-out", createArgs(t, s, "--timeout", "600ms"), exitTimeout, "--timeout"},
		{"time-out at once", createArgs(t, s, "--timeout", "1ms"), exitTimeout, "give a longer --timeout"},
		{"time without its unit", []string{"ls", "--timeout", "5"}, exitUsage, "with its unit"},
		{"no time", []string{"ls", "--timeout", "0s"}, exitUsage, "no time at all"},
		{"a number with a unit", createArgs(t, s, "--memory", "1g"), exitUsage, `--memory "1g"`},
		{"wrong password of ls", append([]string{"ls"}, append(access(s), "--password", "no")...), exitFailed, "password"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := run(t, c.args...)
			if r.code != c.code || !strings.Contains(r.out+r.err, c.want) {
				t.Errorf("code %d, want %d and %q in:\n%s%s", r.code, c.code, c.want, r.out, r.err)
			}
			if strings.Contains(r.out+r.err, simtest.Password) {
				t.Error("the password is shown")
			}
		})
	}
	if after := s.Inventory(); after != before {
		t.Errorf("left behind:\n%s", after)
	}
}

func TestInterruptCleansUp(t *testing.T) {
	s := simtest.New(t)
	before := s.Inventory()
	var out, errOut bytes.Buffer
	a := &app{in: strings.NewReader(""), out: &out, err: &errOut, version: "v9"}
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		s.Appears("vch1")
		cancel(operation.ErrInterrupted)
	}()
	if code := a.run(ctx, createArgs(t, s)); code != exitInterrupted {
		t.Errorf("code %d:\n%s%s", code, out.String(), errOut.String())
	}
	if after := s.Inventory(); after != before {
		t.Errorf("left behind:\n%s", after)
	}
}

func TestOptionsComeFromTheEnvironment(t *testing.T) {
	s := simtest.New(t)
	t.Setenv("VIC_MACHINE_TARGET", s.Server.URL.Host)
	t.Setenv("VIC_MACHINE_USER", simtest.User)
	t.Setenv("VIC_MACHINE_PASSWORD", simtest.Password)
	t.Setenv("VIC_MACHINE_THUMBPRINT", s.Target.Thumbprint)
	if r := run(t, "ls"); r.code != 0 || !strings.Contains(r.out, "STATE") {
		t.Errorf("%+v", r)
	}
}

func TestVICsShortNamesAreThere(t *testing.T) {
	s := simtest.New(t)
	r := run(t, "create", "-t", s.Server.URL.Host, "-u", simtest.User, "-p", simtest.Password, "-f", "-n", "a", "-r", "DC0_C0", "-i", "LocalDS_0",
		"-b", "nosuch", "-pn", "public", "-bnr", "10.0.0.0/16", "-dir", "reg:5000", "-kv", "-ksz", "384", "-ai", "x", "-bi", "y")
	if r.code != exitChecks || !strings.Contains(r.err, "trusted unseen") {
		t.Errorf("%+v", r)
	}
}

func TestExitCodes(t *testing.T) {
	for want, err := range map[int]error{
		exitOK: nil, exitFailed: errors.New("x"), exitInterrupted: fmt.Errorf("a: %w", operation.ErrInterrupted), exitNotFound: errdef.ErrNotFound,
		exitTimeout: fmt.Errorf("%w: %w", operation.TimeoutError{After: 1}, errdef.ErrNotFound), exitRefused: errdef.ErrConflict, exitUsage: errdef.ErrInvalid,
	} {
		if got := exitCode(err); got != want {
			t.Errorf("%v: %d, want %d", err, got, want)
		}
	}
}

func TestVersion(t *testing.T) {
	if r := run(t, "version"); r.code != 0 || r.out != "vic-machine version v9\n" {
		t.Errorf("%+v", r)
	}
}
