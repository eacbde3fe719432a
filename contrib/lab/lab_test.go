package lab

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/soap"

	"github.com/openvic/vic/contrib/lab/public"
	"github.com/openvic/vic/contrib/lab/sso"
)

func needQEMU(t *testing.T) {
	t.Helper()
	for _, p := range []string{"qemu-system-x86_64", "qemu-img"} {
		if _, err := exec.LookPath(p); err != nil {
			t.Skip(p + " is missing; on Debian: apt-get install qemu-system-x86 qemu-utils")
		}
	}
}

// up starts a lab; the channel is closed when its control socket is served no more.
func up(t *testing.T, cfg Config) (*Lab, <-chan struct{}) {
	t.Helper()
	cfg.Listen, cfg.Registry = "127.0.0.1:0", "127.0.0.1:0"
	l, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := l.ListenControl()
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = l.ServeControl(context.WithoutCancel(t.Context()), ln)
	}()
	t.Cleanup(func() { _ = l.Stop(context.Background()) })
	return l, served
}

// A folder whose name is longer than a socket's address may be works as well.
func TestUpDownUp(t *testing.T) {
	needQEMU(t)
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 30))
	_, served := up(t, Config{Dir: dir})
	if _, err := Start(t.Context(), Config{Dir: dir, Listen: "127.0.0.1:0", Registry: "off"}); err == nil || !strings.Contains(err.Error(), "already runs") {
		t.Errorf("a second lab in one folder: %v", err)
	}
	c := NewClient(dir)
	f := public.Forward{VM: "vch1", Listen: "127.0.0.1:0", Port: 2376}
	if err := c.AddForward(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	before, err := c.Status(t.Context())
	if err != nil || len(before.Forwards) != 1 || before.VMs == nil {
		t.Fatalf("%+v %v", before, err)
	}
	var text bytes.Buffer
	if err := before.Print(&text); err != nil || !strings.Contains(text.String(), "thumbprint") {
		t.Error(text.String(), err)
	}
	if err := c.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-served
	if _, err = c.Status(t.Context()); !errors.Is(err, ErrNotRunning) {
		t.Errorf("status of a stopped lab: %v", err)
	}
	up(t, Config{Dir: dir})
	after, err := c.Status(t.Context())
	if err != nil || after.Thumbprint != before.Thumbprint || len(after.Forwards) != 1 || after.Forwards[0] != f {
		t.Errorf("%+v %v", after, err)
	}
	if err := c.RemoveForward(t.Context(), "vch1", ""); err != nil {
		t.Error(err)
	}
	if err := c.RemoveForward(t.Context(), "vch1", ""); err == nil {
		t.Error("removed twice")
	}
}

// The certificate is right for the name that host and guests use, and its thumbprint is the one
// that govmomi pins.
func TestCertificate(t *testing.T) {
	needQEMU(t)
	l, _ := up(t, Config{Dir: t.TempDir()})
	pem, err := os.ReadFile(l.Status().CA)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	for _, name := range []string{"vcenter.vic-lab.test", "localhost", "127.0.0.1"} {
		c, err := tls.Dial("tcp", l.vc.Addr(), &tls.Config{RootCAs: pool, ServerName: name})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_ = c.Close()
	}
	u := &url.URL{Scheme: "https", Host: l.vc.Addr(), Path: "/sdk"}
	sc := soap.NewClient(u, false)
	sc.SetThumbprint(u.Host, l.Thumbprint())
	vc, err := vim25.NewClient(t.Context(), sc)
	if err != nil {
		t.Fatal(err)
	}
	c := &govmomi.Client{Client: vc, SessionManager: session.NewManager(vc)}
	if err := c.Login(t.Context(), url.UserPassword(DefaultUser, DefaultPassword)); err != nil {
		t.Error(err)
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	needQEMU(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{Listen: taken.Addr().String(), Registry: "off"}, "--listen"},
		{Config{Listen: "127.0.0.1:0", Registry: taken.Addr().String()}, "--registry"},
		{Config{Listen: "0.0.0.0:8989"}, "loopback"},
	} {
		c.cfg.Dir = t.TempDir()
		_, err := Start(t.Context(), c.cfg)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("want %q in %v", c.want, err)
		}
	}
}

// What vic-lab user, group and sso do, they do through the control socket; it is there after a restart.
func TestUsersAndGroupsOfARunningLab(t *testing.T) {
	needQEMU(t)
	dir := t.TempDir()
	l, served := up(t, Config{Dir: dir})
	c, ctx := NewClient(dir), t.Context()
	yes := true
	for what, err := range map[string]error{
		"add a user":    c.AddUser(ctx, NewUser{User: sso.User{Name: "dev", Groups: []string{"devs"}}, Password: "secret"}),
		"add a group":   c.AddGroup(ctx, sso.Group{Name: "ops"}),
		"join":          c.ChangeMembers(ctx, Members{Group: "ops", Members: []string{"devs"}}),
		"add a client":  c.AddOpenIDClient(ctx, sso.Client{ID: "hub", Secret: "s", Redirects: []string{"https://hub/callback"}}),
		"roll over":     c.RollOver(ctx),
		"faults":        c.SetFaults(ctx, true, 0),
		"change a user": c.ChangeUser(ctx, "dev", sso.UserChange{Disabled: &yes}),
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if s, err := l.vc.SSO(); err != nil || !s.Faults().Away {
		t.Errorf("the fault is not there: %v", err)
	}
	if err := c.RemovePrincipal(ctx, "nobody"); err == nil || !strings.Contains(err.Error(), "no such user") {
		t.Errorf("remove nobody: %v", err)
	}
	if err := l.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	<-served
	up(t, Config{Dir: dir})
	users, err := c.Users(ctx)
	if err != nil || len(users) != 2 || users[1].Name != "dev@vsphere.local" || !users[1].Disabled || users[1].Hash != nil {
		t.Errorf("users %+v, %v", users, err)
	}
	groups, err := c.Groups(ctx)
	if err != nil || len(groups) != 3 || groups[1].Name != "devs" || len(groups[1].Groups) != 1 {
		t.Errorf("groups %+v, %v", groups, err)
	}
	if err := c.RemovePrincipal(ctx, "dev"); err != nil {
		t.Error(err)
	}
}
