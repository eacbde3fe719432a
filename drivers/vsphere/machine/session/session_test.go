package session_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/drivers/vsphere/machine/simtest"
	"github.com/openvic/vic/sdk/errdef"
)

func TestParseTarget(t *testing.T) {
	for in, want := range map[string]struct{ url, dc, user string }{
		"vc.example.com":                       {"https://vc.example.com/sdk", "", ""},
		"10.0.0.1:8989":                        {"https://10.0.0.1:8989/sdk", "", ""},
		"vc/dc1":                               {"https://vc/sdk", "dc1", ""},
		"vc:8989/folder/dc1/":                  {"https://vc:8989/sdk", "folder/dc1", ""},
		"https://vc/sdk":                       {"https://vc/sdk", "", ""},
		"https://root:pw@[fd00::1]:443/dc1":    {"https://[fd00::1]:443/sdk", "dc1", "root"},
		"administrator%40vsphere.local:x@vc":   {"https://vc/sdk", "", "administrator@vsphere.local"},
		"https://vcenter.vic-lab.test:8989/dc": {"https://vcenter.vic-lab.test:8989/sdk", "dc", ""},
	} {
		got, err := session.ParseTarget(in)
		if err != nil || got.URL.String() != want.url || got.Datacenter != want.dc || got.User != want.user {
			t.Errorf("%s: %+v %v", in, got, err)
		}
	}
	for _, in := range []string{"", "ftp://vc", "https://", "https://a b"} {
		if _, err := session.ParseTarget(in); !errors.Is(err, errdef.ErrInvalid) || advice.Of(err) == "" {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestLoopbackTargets(t *testing.T) {
	for in, want := range map[string]bool{"127.0.0.1:1": true, "localhost": true, "[::1]:443": true, "10.0.0.1": false, "vc": false} {
		target, err := session.ParseTarget(in)
		if err != nil || target.Loopback() != want {
			t.Errorf("%s: %v %v", in, target.Loopback(), err)
		}
	}
}

func TestAThumbprintIsTakenAsPeopleWriteIt(t *testing.T) {
	sha1 := strings.TrimSuffix(strings.Repeat("AB:", 20), ":")
	for _, in := range []string{sha1, strings.ToLower(sha1), strings.ReplaceAll(sha1, ":", ""), "SHA-1 " + sha1, " sha1=" + sha1} {
		var x session.Target
		if err := x.SetThumbprint(in); err != nil || x.Thumbprint != sha1 {
			t.Errorf("%s: %s %v", in, x.Thumbprint, err)
		}
	}
	for _, in := range []string{"00:11", "xy", strings.Repeat("Z", 40)} {
		if err := new(session.Target).SetThumbprint(in); !errors.Is(err, errdef.ErrInvalid) || advice.Of(err) == "" {
			t.Errorf("%s: %v", in, err)
		}
	}
}

func TestConnectSaysWhatIsWrong(t *testing.T) {
	s := simtest.New(t)
	good := s.Target
	other := strings.TrimSuffix(strings.Repeat("00:", 20), ":")
	for _, c := range []struct {
		name   string
		change func(*session.Target)
		class  error
		want   string
		remedy string
	}{
		{"no thumbprint", func(x *session.Target) { x.Thumbprint = "" }, errdef.ErrDenied, good.Thumbprint, "--thumbprint=" + good.Thumbprint},
		{"another thumbprint", func(x *session.Target) { x.Thumbprint = other }, errdef.ErrDenied, good.Thumbprint, "replaced"},
		{"wrong password", func(x *session.Target) { x.Password = "no" }, errdef.ErrDenied, "wrong user or password", "--password"},
		{"nobody there", func(x *session.Target) { x.URL.Host = "127.0.0.1:1" }, errdef.ErrUnavailable, "127.0.0.1:1", "--target"},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := good
			c.change(&x)
			_, err := session.Connect(t.Context(), x)
			if !errors.Is(err, c.class) || !strings.Contains(err.Error(), c.want) || !strings.Contains(advice.Of(err), c.remedy) {
				t.Errorf("%v; remedy %s", err, advice.Of(err))
			}
		})
	}
	good.Thumbprint, good.Force = "", true
	forced, err := session.Connect(t.Context(), good)
	if err != nil || forced.Target.Thumbprint != s.Target.Thumbprint {
		t.Fatalf("with force: %v", err)
	}
	forced.Close(context.Background())
}

func TestDatacenters(t *testing.T) {
	s := simtest.New(t)
	if dcs, err := s.Session.Datacenters(t.Context()); err != nil || len(dcs) != 1 {
		t.Errorf("%v %v", dcs, err)
	}
	other := *s.Session
	other.Target.Datacenter = "nosuch"
	if _, err := other.Datacenters(t.Context()); !errors.Is(err, errdef.ErrNotFound) || !strings.Contains(advice.Of(err), "DC0") {
		t.Errorf("%v", err)
	}
}

func TestFiles(t *testing.T) {
	s := simtest.New(t)
	ctx := t.Context()
	ds, err := s.Finder().DefaultDatastore(ctx)
	if err != nil {
		t.Fatal(err)
	}
	dcs, _ := s.Session.Datacenters(ctx)
	f := session.Files{Datacenter: dcs[0], Datastore: ds}
	for _, step := range []struct {
		name string
		do   func() error
		want error
	}{
		{"make", func() error { return f.MakeDir(ctx, "d") }, nil},
		{"make again", func() error { return f.MakeDir(ctx, "d") }, errdef.ErrExists},
		{"put", func() error { return f.Put(ctx, []byte("x"), "d/a") }, nil},
		{"put more", func() error {
			return errors.Join(f.Put(ctx, []byte("0123456789"), "d/long"), f.Put(ctx, nil, "d/empty"))
		}, nil},
		{"get", func() error { _, err := f.Get(ctx, "d/a", 10); return err }, nil},
		{"get nothing", func() error { _, err := f.Get(ctx, "d/b", 10); return err }, errdef.ErrNotFound},
		{"the end", func() error { b, err := f.Tail(ctx, "d/long", 3); return wantText(b, err, "789") }, nil},
		{"all of it", func() error { b, err := f.Tail(ctx, "d/long", 30); return wantText(b, err, "0123456789") }, nil},
		{"the end of nothing", func() error { b, err := f.Tail(ctx, "d/empty", 3); return wantText(b, err, "") }, nil},
		{"the end of no file", func() error { _, err := f.Tail(ctx, "d/b", 10); return err }, errdef.ErrNotFound},
		{"list nothing", func() error { _, err := f.List(ctx, "e"); return err }, errdef.ErrNotFound},
		{"the root", func() error { return f.Delete(ctx, "/") }, errdef.ErrInvalid},
		{"delete", func() error { return f.Delete(ctx, "d") }, nil},
		{"delete again", func() error { return f.Delete(ctx, "d") }, errdef.ErrNotFound},
	} {
		if err := step.do(); !errors.Is(err, step.want) || (step.want == nil && err != nil) {
			t.Errorf("%s: %v", step.name, err)
		}
	}
}

func wantText(b []byte, err error, want string) error {
	if err == nil && string(b) != want {
		return fmt.Errorf("%q, want %q", b, want)
	}
	return err
}
