package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openvic/vic/tests/harness"
)

// tenant is one of several VCHs: where it is made, and how its Docker API is reached.
type tenant struct {
	name     string
	lab      string // folder of the lab
	access   []string
	create   []string // options that differ
	endpoint harness.Endpoint
	made     bool // by an earlier story: it stays
	peer     string
}

// own are the names of what the story makes in it.
func (v *tenant) own(what string) string { return what + "-of-" + v.name }

// docker runs the docker CLI against it.
func (v *tenant) docker(args ...string) (string, error) {
	r := theLab.DockerAt(context.Background(), v.endpoint, nil, args...)
	if r.Code != 0 {
		return "", fmt.Errorf("%s: docker %s: exit code %d: %s%s", v.name, strings.Join(args, " "), r.Code, r.Stdout, r.Stderr)
	}
	return strings.TrimSpace(r.Stdout), nil
}

// The address that a container has in every VCH, and the network it is on.
const sameIP, sameSubnet = "10.99.0.5", "10.99.0.0/24"

// up makes the VCH and what is in it: a network, a volume, an image of its own name, and a container of the
// name and address that the containers of all the others have.
func (v *tenant) up() error {
	if !v.made {
		args := append(append([]string{"create", "--name", v.name}, v.access...), v.create...)
		start := time.Now()
		if out, err := harness.Command(theLab.Bin("vic-machine"), args...); err != nil {
			return fmt.Errorf("%w\n%s", err, out)
		}
		progress("VCH %s serves after %.1f s", v.name, time.Since(start).Seconds())
		if _, err := harness.Command(theLab.Bin("vic-lab"), "forward", "add", "--dir", v.lab, v.name, v.endpoint.Addr+":2376"); err != nil {
			return err
		}
	}
	steps := [][]string{
		{"pull", "-q", "busybox"},
		{"tag", "busybox", v.own("image")},
		{"volume", "create", v.own("volume")},
		{"network", "create", "--subnet", sameSubnet, v.own("network")},
		{"run", "-d", "--name", "same", "--network", v.own("network"), "--ip", sameIP, "busybox", "sh", "-c", "echo i am of " + v.name + "; sleep 36000"},
	}
	if v.peer != "" {
		steps = append(steps, []string{"run", "-d", "--name", "peer", "--network", v.own("network"), "--ip", v.peer, "busybox", "sleep", "36000"})
	}
	for _, s := range steps {
		if _, err := v.docker(s...); err != nil {
			return err
		}
	}
	return nil
}

// sees lists all that its docker shows: containers, images, networks and volumes.
func (v *tenant) sees() (string, error) {
	var all []string
	for _, args := range [][]string{{"ps", "-a", "--format", "{{.Names}}"}, {"images", "--format", "{{.Repository}}"},
		{"network", "ls", "--format", "{{.Name}}"}, {"volume", "ls", "--format", "{{.Name}}"}, {"logs", "same"}} {
		out, err := v.docker(args...)
		if err != nil {
			return "", err
		}
		all = append(all, strings.Fields(out)...)
	}
	return strings.Join(all, " "), nil
}

// pings says whether the container that all have reaches an address.
func (v *tenant) pings(ip string) bool {
	_, err := v.docker("exec", "same", "ping", "-c", "1", "-W", "1", ip)
	return err == nil
}

// each calls f for all at once and fails the test with what it returns.
func each(t *testing.T, all []*tenant, f func(*tenant) error) {
	t.Helper()
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, v := range all {
		wg.Go(func() { errs[i] = f(v) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	if t.Failed() {
		t.FailNow()
	}
}

// standalone starts a lab that is an ESXi host and no vCenter; its registry is that of the stories' lab.
func standalone(t *testing.T) (dir string, access []string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "esx")
	addr := harness.Address("127.0.0.1", 988)
	t.Cleanup(func() { _, _ = harness.Command(theLab.Bin("vic-lab"), "down", "--dir", dir) })
	up := append([]string{"up", "--esx", "--dir", dir, "--listen", addr, "--registry", "off"}, harness.Until()...)
	if _, err := harness.Command(theLab.Bin("vic-lab"), up...); err != nil {
		t.Fatal(err)
	}
	out, err := harness.Command(theLab.Bin("vic-lab"), "status", "--json", "--dir", dir)
	if err != nil {
		t.Fatal(err)
	}
	var status struct{ Thumbprint, User, Password string }
	if err := json.Unmarshal([]byte(out), &status); err != nil {
		t.Fatal(err)
	}
	return dir, []string{"--target", harness.Address("vcenter.vic-lab.test", 988), "--user", status.User, "--password", status.Password, "--thumbprint",
		status.Thumbprint}
}

// tenants are two VCHs in one cluster, three on one host, and one on a host that no vCenter manages.
func tenants(t *testing.T) []*tenant {
	t.Helper()
	all := []*tenant{{name: harness.VCH, lab: theLab.Dir, access: theLab.Access(),
		endpoint: harness.Endpoint{Addr: harness.DockerAddr, Certs: theLab.Certs}, made: true, peer: "10.99.0.10"}}
	add := func(name, lab string, access []string, peer string, more ...string) {
		v := &tenant{name: name, lab: lab, access: access, peer: peer, endpoint: harness.Endpoint{
			Addr: harness.Address("127.0.0.1", 480+len(all)), Certs: filepath.Join(t.TempDir(), "certs")}}
		v.create = append([]string{"--image-store", "datastore1", "--volume-store", "datastore1/" + name + "-volumes:default", "--public-network", "public",
			"--tls-cname", "127.0.0.1", "--cert-path", v.endpoint.Certs, "--endpoint-memory", "768", "--container-memory", "128", "--state-size", "4",
			"--registry-mirror", "http://" + harness.RegistryHost, "--appliance-iso", filepath.Join(theLab.Build, "iso", "appliance.iso"),
			"--bootstrap-iso", filepath.Join(theLab.Build, "iso", "bootstrap.iso"), "--timeout", "6m", "--no-reach-check"}, more...)
		all = append(all, v)
	}
	onVCenter := func(name, compute, peer string) {
		if _, err := theLab.Govc("dvs.portgroup.add", "-dvs", "dvs1", "-type", "earlyBinding", "-nports", "64", name+"-bridge"); err != nil {
			t.Fatal(err)
		}
		add(name, theLab.Dir, theLab.Access(), peer, "--compute-resource", compute, "--bridge-network", name+"-bridge",
			"--ops-user", harness.OpsUser, "--ops-password", harness.OpsPassword, "--ops-grant-perms")
	}
	onVCenter("cluster-b", "cluster1", "10.99.0.11")
	onVCenter("host-a", "esx4", "10.99.0.12")
	onVCenter("host-b", "esx4", "")
	onVCenter("host-c", "esx4", "")
	dir, access := standalone(t)
	add("alone", dir, access, "10.99.0.13", "--bridge-network", "bridge")
	return all
}

// remove takes away what the story made.
func (v *tenant) remove() {
	if !v.made {
		if out, err := harness.Command(theLab.Bin("vic-machine"), append([]string{"delete", "--force", "--name", v.name}, v.access...)...); err != nil {
			progress("vic-machine delete of %s: %v\n%s", v.name, err, out)
		}
		return
	}
	for _, args := range [][]string{{"rm", "-f", "same", "peer"}, {"network", "rm", v.own("network")}, {"volume", "rm", v.own("volume")},
		{"rmi", v.own("image")}} {
		_, _ = v.docker(args...)
	}
}

// Two VCHs in one cluster, three on one host and one on a stand-alone ESXi host do not see each other's
// containers, images, networks and volumes; containers of the same name and address do not get in each
// other's way, no bridge lets anything through to another, and to delete one VCH harms no other.
func TestVCHsDoNotSeeEachOther(t *testing.T) {
	undisturbed(t, turnUndisturbed) // its VMs are more than three other stories have: beside them all would starve
	all := tenants(t)
	t.Cleanup(func() {
		var wg sync.WaitGroup
		for _, v := range all {
			wg.Go(v.remove)
		}
		wg.Wait()
		for _, v := range all {
			if v.lab != theLab.Dir || v.made {
				continue
			}
			if _, err := theLab.Govc("object.destroy", "/dc1/network/"+v.name+"-bridge"); err != nil {
				t.Error(err)
			}
			if after, err := theLab.Inventory(); err != nil || strings.Contains(after, v.name) {
				t.Errorf("of %s there is something left: %v\n%s", v.name, err, after)
			}
		}
	})
	start := time.Now()
	each(t, all, (*tenant).up)
	progress("%d VCHs with their containers after %.1f s", len(all), time.Since(start).Seconds())
	each(t, all, func(v *tenant) error { return v.alone(all) })

	// Without one of them the others go on: one of the cluster, and one of the host.
	gone := []*tenant{all[1], all[3]}
	each(t, gone, func(v *tenant) error {
		_, err := harness.Command(theLab.Bin("vic-machine"), append([]string{"delete", "--force", "--name", v.name}, v.access...)...)
		return err
	})
	left := slices.DeleteFunc(slices.Clone(all), func(v *tenant) bool { return slices.Contains(gone, v) })
	each(t, left, func(v *tenant) error { return v.alone(all) })
	each(t, left, func(v *tenant) error {
		_, err := v.docker("run", "--rm", "busybox", "true")
		return err
	})
	all[len(all)-1].verbsOfAHost(t)
	progress("all of it took %.1f s", time.Since(start).Seconds())
}

// verbsOfAHost sees the other verbs work on a host that no vCenter manages, and delete leave nothing there.
func (v *tenant) verbsOfAHost(t *testing.T) {
	t.Helper()
	run := func(verb string, args ...string) string {
		t.Helper()
		out, err := harness.Command(theLab.Bin("vic-machine"), append(append([]string{verb}, v.access...), args...)...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	wantIn(t, run("ls"), v.name, "ready")
	run("configure", "--name", v.name, "--memory", "4096", "--containers", "9") // vSphere alone, and the endpoint
	wantIn(t, run("inspect", "--name", v.name), "ResourcePool", "at most 4096 MiB", "Most containers")
	run("delete", "--name", v.name, "--force")
	if out := run("ls"); strings.Contains(out, v.name) {
		t.Errorf("ls after delete:\n%s", out)
	}
	left, err := filepath.Glob(filepath.Join(v.lab, "datastores", "datastore1", "*"))
	if err != nil || len(left) != 0 {
		t.Errorf("delete left %v, %v", left, err)
	}
}

// alone returns an error if a VCH sees anything of the others, or not all of its own.
func (v *tenant) alone(all []*tenant) error {
	seen, err := v.sees()
	if err != nil {
		return err
	}
	for _, what := range []string{"image", "network", "volume"} {
		if !strings.Contains(seen, v.own(what)) {
			return fmt.Errorf("%s does not see its own %s: %s", v.name, what, seen)
		}
	}
	if !strings.Contains(seen, "i am of "+v.name) {
		return fmt.Errorf("%s: the log of its container is another's: %s", v.name, seen)
	}
	if v.peer != "" && !v.pings(v.peer) {
		return fmt.Errorf("%s: its two containers do not reach each other", v.name)
	}
	for _, o := range all {
		if o == v {
			continue
		}
		if strings.Contains(seen, "-of-"+o.name) {
			return fmt.Errorf("%s sees something of %s: %s", v.name, o.name, seen)
		}
		if o.peer != "" && v.pings(o.peer) {
			return fmt.Errorf("a container of %s reaches %s of %s", v.name, o.peer, o.name)
		}
	}
	return nil
}
