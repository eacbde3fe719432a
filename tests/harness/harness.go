// Package harness runs a lab with one VCH for the story tests (tests/e2e) and the benchmarks
// (tests/bench), and the programs that they drive: docker, govc, vic and vic-machine.
//
// It needs what `make e2e` builds first: the binaries, the ISOs and the test images. VIC_E2E_BUILD
// names the folder that holds them (default: build in the checkout); VIC_E2E_KEEP=1 leaves the lab
// running for a look afterwards.
package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
)

// Who and what the tests' VCH is.
const (
	User     = "administrator@vsphere.local"
	Password = "VMware1!"
	VCH      = "e2e"
	// The VCH's endpoint works as this user, who has the privileges of docs/operations-user.md and no
	// others: every test is also one of that list.
	OpsUser     = "ops@vsphere.local"
	OpsPassword = "0ps-Passw0rd"
)

// The test lab has ports of its own, so that it can run beside the one of `make up`: 17989 and so
// on; VIC_E2E_PORTS gives another thousand than 17, so that two checkouts can be tested at once.
var (
	VCenterAddr  = Address("127.0.0.1", 989)
	VCenterHost  = Address("vcenter.vic-lab.test", 989)
	RegistryAddr = Address("127.0.0.1", 500)
	RegistryHost = Address("registry.vic-lab.test", 500)
	DockerAddr   = Address("127.0.0.1", 376)
	AdminAddr    = Address("127.0.0.1", 378)
)

// Address is host with a port of this test run: the thousand, and port within it.
func Address(host string, port int) string {
	thousand := os.Getenv("VIC_E2E_PORTS")
	if thousand == "" {
		thousand = "17"
	}
	return fmt.Sprintf("%s:%s%03d", host, thousand, port)
}

// next is the last port that NextAddress has given.
var next atomic.Int32

// NextAddress is an address on this machine that no other call returns, for what a test forwards or serves.
func NextAddress() string { return Address("127.0.0.1", 600+int(next.Add(1))) }

// Lab is a running lab with one VCH.
type Lab struct {
	Build      string // folder of binaries, ISOs and images
	Dir        string // the lab's state
	Certs      string // the VCH's certificates
	Thumbprint string
	Before     string        // inventory and datastores before the VCH was made
	Created    time.Duration // how long vic-machine create took
	root       string
}

// Main starts a lab, calls f and takes the lab away again; the result is for os.Exit.
func Main(f func(*Lab) int) int {
	l, err := New()
	if err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		return 1
	}
	defer l.Down()
	defer l.downOnSignal()()
	if err := l.Up(); err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		l.Diagnose()
		return 1
	}
	code := f(l)
	if code != 0 {
		l.Diagnose()
	}
	return code
}

// New finds the build folder and makes a temporary folder for the lab.
func New() (*Lab, error) {
	build := os.Getenv("VIC_E2E_BUILD")
	if build == "" {
		build = "../../build"
	}
	build, err := filepath.Abs(build)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(build, "iso", "appliance.iso")); err != nil {
		return nil, fmt.Errorf("%w: run `make e2e`, which builds what these tests need", err)
	}
	root, err := os.MkdirTemp("", "vic-e2e-")
	if err != nil {
		return nil, err
	}
	return &Lab{Build: build, root: root, Dir: filepath.Join(root, "lab"), Certs: filepath.Join(root, "certs")}, nil
}

// Progress prints a line with the time to stderr.
func Progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s "+format+"\n", append([]any{time.Now().Format("15:04:05")}, args...)...)
}

// Bin is the path of one of this project's programs.
func (l *Lab) Bin(name string) string { return filepath.Join(l.Build, "bin", name) }

// Up starts the lab and makes the VCH.
func (l *Lab) Up() error {
	Progress("starting the lab")
	registry := filepath.Join(l.root, "registry")
	if err := linkTree(filepath.Join(l.Build, "registry"), registry); err != nil {
		return err
	}
	up := append([]string{"up", "--dir", l.Dir, "--listen", VCenterAddr, "--registry", RegistryAddr, "--registry-root", registry}, Until()...)
	if _, err := Command(l.Bin("vic-lab"), up...); err != nil {
		return err
	}
	tp, err := fingerprint(VCenterAddr)
	if err != nil {
		return err
	}
	l.Thumbprint = tp
	if err := l.serveNFS(); err != nil {
		return fmt.Errorf("NFS server: %w", err)
	}
	if l.Before, err = l.Inventory(); err != nil {
		return err
	}
	if err := l.AddUser(OpsUser, OpsPassword); err != nil {
		return err
	}
	Progress("making the VCH")
	start := time.Now()
	if out, err := l.Create(VCH); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	l.Created = time.Since(start)
	Progress("the VCH serves after %.1f s", l.Created.Seconds())
	for _, f := range []string{DockerAddr + ":2376", AdminAddr + ":2378"} {
		if _, err := Command(l.Bin("vic-lab"), "forward", "add", "--dir", l.Dir, VCH, f); err != nil {
			return err
		}
	}
	return l.WaitServing()
}

// Forward makes a port of the VCH reachable from this machine, at the address that it returns.
func (l *Lab) Forward(local, port int) (string, error) {
	at := Address("127.0.0.1", local)
	_, err := Command(l.Bin("vic-lab"), "forward", "add", "--dir", l.Dir, VCH, fmt.Sprintf("%s:%d", at, port))
	return at, err
}

// AddUser makes a user of the lab's vCenter.
func (l *Lab) AddUser(name, password string) error {
	_, err := Command(l.Bin("vic-lab"), "user", "add", "--dir", l.Dir, "--password", password, name)
	return err
}

// Access is the options that every vic-machine command takes to reach the lab.
func (l *Lab) Access() []string {
	return []string{"--target", VCenterHost, "--user", User, "--password", Password, "--thumbprint", l.Thumbprint}
}

// Create runs vic-machine create with this lab's resources; options in more replace the usual ones.
func (l *Lab) Create(name string, more ...string) (string, error) {
	args := append(append([]string{"create"}, l.Access()...),
		"--compute-resource", "cluster1", "--image-store", "datastore1", "--volume-store", "datastore1/"+name+"-volumes:default", "--volume-store", NFSStore(),
		"--bridge-network", "bridge", "--public-network", "public", "--name", name,
		"--container-network", "management:backend", "--container-network-gateway", "management:10.77.0.1/24",
		"--container-network-ip-range", "management:10.77.0.10-10.77.0.20", "--container-network-firewall", "management:published",
		"--container-network", "public:outside", "--container-network-firewall", "public:outbound",
		"--tls-cname", "127.0.0.1", "--cert-path", l.Certs, "--endpoint-memory", "1024", "--endpoint-cpu", "2",
		"--ops-user", OpsUser, "--ops-password", OpsPassword, "--ops-grant-perms",
		"--registry-mirror", "http://"+RegistryHost, "--insecure-registry", RegistryHost,
		"--appliance-iso", filepath.Join(l.Build, "iso", "appliance.iso"),
		"--bootstrap-iso", filepath.Join(l.Build, "iso", "bootstrap.iso"), "--timeout", Patience.String(),
		"--no-reach-check") // its address is no address of this machine
	return Command(l.Bin("vic-machine"), override(args, more)...)
}
