package operation

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/option"
	"github.com/openvic/vic/drivers/vsphere/machine/precheck"
	"github.com/openvic/vic/drivers/vsphere/machine/progress"
	"github.com/openvic/vic/drivers/vsphere/machine/simtest"
	"github.com/openvic/vic/drivers/vsphere/machine/vch"
	"github.com/openvic/vic/sdk/errdef"
)

// onSim are the options of create that the simulator's objects need, and more.
func onSim(t *testing.T, pairs ...string) option.Values {
	t.Helper()
	return create(append([]string{"name", "vch1", "bridge-network", "bridge", "public-network", "public", "image-store", "LocalDS_0",
		"appliance-iso", simtest.ISO(t, "a.iso"), "bootstrap-iso", simtest.ISO(t, "b.iso"), "tls-cname", "vch1",
		"cert-path", filepath.Join(t.TempDir(), "certs")}, pairs...)...)
}

// input reads options as create does, on a session.
func input(t *testing.T, s *simtest.Sim, v option.Values) precheck.Input {
	t.Helper()
	in, err := ReadCreate(v, Local{Version: "1"})
	if err != nil {
		t.Fatal(err)
	}
	in.Session = s.Session
	return in
}

// vch1 makes a VCH whose endpoint takes every configuration, and returns the folder of its certificates.
func vch1(t *testing.T, s *simtest.Sim, pairs ...string) string {
	t.Helper()
	s.Follow("vch1", func(string, string) string { return "ready" })
	v := onSim(t, pairs...)
	if _, err := Create(t.Context(), input(t, s, v), CreateHow{}, nil); err != nil {
		t.Fatal(err)
	}
	return v.String("cert-path")
}

func byName() vch.Query { return vch.Query{Name: "vch1"} }

func TestADryRunMakesNothingAndSaysWhatWouldBe(t *testing.T) {
	s := simtest.New(t)
	before := s.Inventory()
	var told precheck.Report
	c, err := Create(t.Context(), input(t, s, onSim(t, "affinity-vm-group", "true")), CreateHow{DryRun: true, Checked: func(r precheck.Report) { told = r }}, nil)
	if err != nil || c.Plan == nil || c.Ready != nil {
		t.Fatalf("%+v, %v", c, err)
	}
	if len(told) == 0 || len(told) != len(c.Checks) || len(c.Plan.Objects) == 0 || len(c.Plan.Account) == 0 || len(c.Plan.Ops) == 0 {
		t.Errorf("told %d findings of %d; %+v", len(told), len(c.Checks), c.Plan)
	}
	if after := s.Inventory(); after != before {
		t.Errorf("made:\n%s", after)
	}
}

func TestACreateWithoutSuccessLeavesNothingAndSaysWhy(t *testing.T) {
	s := simtest.New(t)
	before := s.Inventory()
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(ErrInterrupted)
	ticket := input(t, s, onSim(t))
	other := *s.Session
	other.Target.Ticket = "t"
	ticket.Session = &other
	for name, c := range map[string]struct {
		ctx  context.Context
		in   precheck.Input
		want Outcome
		said string
	}{
		"checks fail":              {t.Context(), input(t, s, onSim(t, "compute-resource", "nosuch")), Checks, "nothing was made"},
		"somebody has stopped it":  {ended, input(t, s, onSim(t)), Interrupted, "interrupted"},
		"a ticket is no account":   {t.Context(), ticket, Invalid, "--ops-user"},
		"vCenter was not reached":  {t.Context(), precheck.Input{Spec: input(t, s, onSim(t)).Spec, ConnectErr: errdef.ErrUnavailable}, Checks, "nothing was made"},
		"the endpoint cannot work": {t.Context(), input(t, s, onSim(t, "bridge-network-range", "172.16.0.0/30")), Checks, "nothing was made"},
	} {
		made, err := Create(c.ctx, c.in, CreateHow{}, nil)
		if made == nil || OutcomeOf(err) != c.want || !strings.Contains(err.Error(), c.said) {
			t.Errorf("%s: %s, %v", name, OutcomeOf(err), err)
		}
		if after := s.Inventory(); after != before {
			t.Errorf("%s: left behind:\n%s", name, after)
		}
	}
}

func TestADeleteOfNothingIsNoFailure(t *testing.T) {
	s := simtest.New(t)
	vch1(t, s)
	d, err := Delete(t.Context(), s.Session, vch.DeleteOptions{Query: vch.Query{Name: "nosuch"}}, nil)
	if err != nil || !errors.Is(d.Nothing, errdef.ErrNotFound) || !strings.Contains(d.Others, "vch1") {
		t.Errorf("%+v, %v", d, err)
	}
	var said bytes.Buffer
	if d, err := Delete(t.Context(), s.Session, vch.DeleteOptions{Query: byName()}, progress.New(&said)); err != nil || d.Nothing != nil ||
		!strings.Contains(said.String(), "is gone") {
		t.Errorf("%+v, %v\n%s", d, err, &said)
	}
}

func TestConfigureRefusesWhatDoesNotFitTheVCH(t *testing.T) {
	s := simtest.New(t)
	vch1(t, s, "volume-store", "LocalDS_0/vols:default")
	before := s.Inventory()
	for name, c := range map[string]struct {
		set  map[string]string
		want string // in message and remedy
		end  Outcome
	}{
		"nothing":                             {nil, "", Done},
		"another place of a store":            {map[string]string{"volume-store": "LocalDS_0/other:default"}, "another label", Invalid},
		"another label of a store":            {map[string]string{"volume-store": "LocalDS_0/vols:fast"}, "another place", Invalid},
		"an operations user without password": {map[string]string{"ops-user": "ops"}, "--ops-password", Invalid},
		"permissions of no operations user":   {map[string]string{"ops-grant-perms": "true"}, "--ops-user", Invalid},
		"more reserved than there may be":     {map[string]string{"memory": "1", "memory-reservation": "2"}, "--memory-reservation", Invalid},
		"a network without its port group":    {map[string]string{"container-network": "nosuch:n"}, "nothing was changed", Checks},
		"an authority that is not there":      {map[string]string{"registry-ca": "nosuch.pem"}, "nosuch.pem", Invalid},
	} {
		v := option.New(ConfigureOptions())
		for name, value := range c.set {
			v.Set(name, value)
		}
		changed, err := Configure(t.Context(), s.Session, byName(), v, Local{}, nil)
		if OutcomeOf(err) != c.end || len(changed) > 0 || (err != nil && !strings.Contains(err.Error()+advice.Of(err), c.want)) {
			t.Errorf("%s: changed %v, %v; %q", name, changed, err, advice.Of(err))
		}
		if after := s.Inventory(); after != before {
			t.Errorf("%s: changed:\n%s", name, after)
		}
	}
	if _, err := Configure(t.Context(), s.Session, vch.Query{Name: "nosuch"}, option.New(ConfigureOptions()), Local{}, nil); OutcomeOf(err) != NotFound {
		t.Errorf("a VCH that is not there: %v", err)
	}
}

func TestConfigureTellsWhatChangedAndKeepsIt(t *testing.T) {
	s := simtest.New(t)
	vch1(t, s, "memory", "4096")
	v := option.New(ConfigureOptions())
	v.Set("memory", "8192")
	v.Set("insecure-registry", "reg:5000")
	v.Set("ops-user", simtest.User)
	v.Set("ops-password", simtest.Password)
	changed, err := Configure(t.Context(), s.Session, byName(), v, Local{}, nil)
	slices.Sort(changed)
	if err != nil || !slices.Equal(changed, []string{"insecure-registry", "memory", "ops-user"}) {
		t.Fatalf("%v, %v", changed, err)
	}
	e, err := vch.Open(t.Context(), s.Session, byName(), nil)
	if err != nil || e.Login() != (vch.Login{User: simtest.User, Password: simtest.Password}) || e.Record().Settings.Memory.Limit != 8192 {
		t.Errorf("%+v, %v", e, err)
	}
	if again, err := Configure(t.Context(), s.Session, byName(), option.Of(ConfigureOptions(), map[string][]string{"memory": {"8192"}}), Local{},
		nil); err != nil || len(again) > 0 {
		t.Errorf("a second time: %v, %v", again, err)
	}
}

func TestTheLogLevelIsSetAndOnlyToOneThatThereIs(t *testing.T) {
	s := simtest.New(t)
	vch1(t, s)
	e, err := vch.Open(t.Context(), s.Session, byName(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := SetLevel(t.Context(), e, "loud", nil); OutcomeOf(err) != Invalid || !strings.Contains(err.Error(), "--log-level") {
		t.Errorf("%v", err)
	}
	for level, want := range map[string]int{"debug": 1, "info": 0} {
		if err := SetLevel(t.Context(), e, level, nil); err != nil {
			t.Fatal(err)
		}
		now, err := vch.Open(t.Context(), s.Session, byName(), nil)
		if err != nil || now.Record().Settings.Debug != want {
			t.Errorf("%s: %+v, %v", level, now.Record().Settings, err)
		}
	}
}

func TestCertificatesAreRenewedGivenAndRevoked(t *testing.T) {
	s := simtest.New(t)
	dir := vch1(t, s)
	show := func() *Certificates {
		c, err := ShowCertificates(t.Context(), s.Session, byName())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	before := show()
	with := func(all []option.Option, pairs ...string) option.Values {
		v := option.New(all)
		v.Set("cert-path", dir)
		for i := 0; i < len(pairs); i += 2 {
			v.Set(pairs[i], pairs[i+1])
		}
		return v
	}
	if err := Renew(t.Context(), s.Session, byName(), with(RenewOptions(), "clients", "true"), Local{}, nil); err != nil {
		t.Fatal(err)
	}
	if now := show(); now.Certificates["server-cert.pem"].Serial == before.Certificates["server-cert.pem"].Serial {
		t.Errorf("the endpoint has the old one: %+v", now)
	}
	if err := AddClient(t.Context(), s.Session, byName(), with(AddClientOptions(), "client", "alice"), Local{}, nil); err != nil {
		t.Fatal(err)
	}
	cert := filepath.Join(dir, "clients", "alice", "cert.pem")
	if err := Revoke(t.Context(), s.Session, byName(), with(RevokeOptions(), "cert", cert), Local{}, nil); err != nil {
		t.Fatal(err)
	}
	if now := show(); len(now.Revoked) != 1 || len(now.RevokedAdmins) != 0 {
		t.Errorf("%+v", now)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		do   func() error
		want string
	}{
		"a client that is a path": {func() error {
			return AddClient(t.Context(), s.Session, byName(), with(AddClientOptions(), "client", "../x"), Local{}, nil)
		}, "--client"},
		"a client without a name": {func() error {
			return AddClient(t.Context(), s.Session, byName(), with(AddClientOptions()), Local{}, nil)
		}, "--client"},
		"a revocation of nothing": {func() error { return Revoke(t.Context(), s.Session, byName(), with(RevokeOptions()), Local{}, nil) }, "--cert"},
		"a serial that is none": {func() error {
			return Revoke(t.Context(), s.Session, byName(), with(RevokeOptions(), "serial", "xyz"), Local{}, nil)
		}, "--serial"},
		"a certificate of another kind": {func() error {
			return Revoke(t.Context(), s.Session, byName(), with(RevokeOptions(), "cert", cert, "admin", "true"), Local{}, nil)
		}, ""},
		"no authority to sign with": {func() error {
			return Renew(t.Context(), s.Session, byName(), with(RenewOptions(), "cert-path", t.TempDir()), Local{}, nil)
		}, "--cert-path"},
	} {
		if err := c.do(); !errors.Is(err, errdef.ErrInvalid) || !strings.Contains(err.Error()+advice.Of(err), c.want) {
			t.Errorf("%s: %v; %q", name, err, advice.Of(err))
		}
	}
	if now, err := filepath.Glob(filepath.Join(dir, "*", "*")); err != nil || len(now) != len(files) || len(show().Revoked) != 1 {
		t.Errorf("what was refused changed something: %d files, were %d, %v", len(now), len(files), err)
	}
}

func TestAVCHWithoutTLSHasNoCertificates(t *testing.T) {
	s := simtest.New(t)
	vch1(t, s, "no-tls", "true")
	if _, err := ShowCertificates(t.Context(), s.Session, byName()); OutcomeOf(err) != Invalid || !strings.Contains(err.Error(), "--no-tls") {
		t.Errorf("%v", err)
	}
}

func TestAnUpgradeToWhatThereIsAndARollbackToNothing(t *testing.T) {
	s := simtest.New(t)
	vch1(t, s)
	v := option.New(UpgradeOptions())
	v.Set("appliance-iso", filepath.Join(t.TempDir(), "nosuch.iso"))
	if _, err := ReadUpgrade(v, Local{Version: "2"}); OutcomeOf(err) != Checks || !strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("%v", err)
	}
	v.Set("appliance-iso", simtest.ISO(t, "a2.iso"))
	v.Set("bootstrap-iso", simtest.ISO(t, "b2.iso"))
	im, err := ReadUpgrade(v, Local{Version: "2"})
	if err != nil || im.Version != "2" || im.Patience != servePatience {
		t.Fatalf("%+v, %v", im, err)
	}
	before := s.Inventory()
	if err := Rollback(t.Context(), s.Session, byName(), option.New(RollbackOptions()), nil); err == nil || !strings.HasPrefix(err.Error(), "VCH vch1: ") {
		t.Errorf("a rollback without an upgrade: %v", err)
	}
	if after := s.Inventory(); after != before {
		t.Errorf("changed:\n%s", after)
	}
	if err := Upgrade(t.Context(), s.Session, byName(), im, nil); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	if err := Upgrade(t.Context(), s.Session, byName(), im, progress.New(&said)); err != nil || !strings.Contains(said.String(), "nothing to do") {
		t.Errorf("a second time: %v\n%s", err, &said)
	}
	if err := Rollback(t.Context(), s.Session, byName(), option.New(RollbackOptions()), nil); err != nil {
		t.Error(err)
	}
	if e, err := vch.Open(t.Context(), s.Session, byName(), nil); err != nil || e.Record().Version != "1" {
		t.Errorf("%+v, %v", e.Record(), err)
	}
}
