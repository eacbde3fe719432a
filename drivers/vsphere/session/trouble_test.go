package session_test

import (
	"context"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/internal/vctest"
	ours "github.com/openvic/vic/drivers/vsphere/session"
)

// opened is the text of the error that the driver reports when it opens a session with a changed
// configuration.
func opened(t *testing.T, v *vctest.VCenter, address, password, thumbprint string) string {
	t.Helper()
	c := v.Config.VCenter
	c.URL, c.Password, c.Thumbprint = address, password, thumbprint
	s, err := ours.Open(t.Context(), c, v.Log)
	if err == nil {
		_ = s.Close(t.Context())
		t.Fatal("the session was opened")
	}
	return err.Error()
}

func TestTheTroubleIsFoundInTheDriversOwnErrors(t *testing.T) {
	v := vctest.New(t)
	good := v.Config.VCenter
	network := func(err error) string {
		return ours.Error("connect to vc:443", &url.Error{Op: "Post", URL: "https://vc/sdk", Err: &net.OpError{Op: "dial", Net: "tcp", Err: err}}).Error()
	}
	fault := func(what string, f types.AnyType) string {
		x := &soap.Fault{Code: "ServerFaultCode", String: "denied"}
		x.Detail.Fault = f
		return ours.Error(what, soap.WrapSoapFault(x)).Error()
	}
	for _, tc := range []struct {
		name, text string
		want       ours.Trouble
	}{
		{"nobody listens", opened(t, v, "https://127.0.0.1:1/sdk", good.Password, good.Thumbprint), ours.TroubleUnreachable},
		{"wrong password", opened(t, v, good.URL, "wrong", good.Thumbprint), ours.TroubleAccount},
		{"another certificate", opened(t, v, good.URL, good.Password, strings.Repeat("00", 20)), ours.TroubleCertificate},
		{"an unknown authority", opened(t, v, good.URL, good.Password, ""), ours.TroubleCertificate},
		{"an unknown name", network(&net.DNSError{Err: "no such host", Name: "vc", Server: "10.0.0.53:53"}), ours.TroubleName},
		{"no name server", network(&net.DNSError{Err: "server misbehaving", Name: "vc"}), ours.TroubleName},
		{"no route", network(os.NewSyscallError("connect", syscall.EHOSTUNREACH)), ours.TroubleUnreachable},
		{"no answer", network(os.ErrDeadlineExceeded), ours.TroubleUnreachable},
		{"silence", ours.Error("list", context.DeadlineExceeded).Error(), ours.NoTrouble},
		{"a privilege", fault("create a VM", types.NoPermission{PrivilegeId: "VirtualMachine.Config"}), ours.TroubleNoPermissions},
		{"no permission to log in", fault("log in to vc as ops", types.NoPermission{}), ours.TroubleNoPermissions},
		{"a fault of another kind", fault("connect to vc:443", types.NotSupported{}), ours.NoTrouble},
		{"no matter of vCenter", "scan SCSI target 0: open /sys/class/scsi_host/host0/scan: permission denied", ours.NoTrouble},
		{"another server", "pull: Get https://registry/v2/: dial tcp: lookup registry: no such host", ours.NoTrouble},
		{"nothing", "", ours.NoTrouble},
	} {
		for _, text := range []string{tc.text, "vicd: plugin vsphere is failed: configure: " + tc.text} {
			if got := ours.TroubleOf(text); got != tc.want {
				t.Errorf("%s: %q, want %q: %s", tc.name, got, tc.want, text)
			}
		}
	}
}
