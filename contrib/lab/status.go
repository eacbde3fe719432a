package lab

import (
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/openvic/vic/contrib/lab/public"
	"github.com/openvic/vic/contrib/lab/vsphere"
)

// Status describes a running lab.
type Status struct {
	PID        int                `json:"pid"`
	Dir        string             `json:"dir"`
	Since      time.Time          `json:"since"`
	VCenter    string             `json:"vcenter"`
	User       string             `json:"user"`
	Password   string             `json:"password"`
	Thumbprint string             `json:"thumbprint"`
	CA         string             `json:"ca"`
	Registry   string             `json:"registry,omitempty"`
	VMs        []vsphere.VMStatus `json:"vms"`
	Forwards   []public.Forward   `json:"forwards"`
}

// Status looks at the lab.
func (l *Lab) Status() Status {
	return Status{PID: os.Getpid(), Dir: l.cfg.Dir, Since: l.started, VCenter: l.vcenterURL(), User: l.cfg.User,
		Password: l.cfg.Password, Thumbprint: l.Thumbprint(), CA: l.cfg.Dir + "/tls/ca.pem", Registry: l.registry,
		VMs: l.vc.VMs(), Forwards: l.forwards.List()}
}

// vcenterURL is the address that works on the host (with the name in /etc/hosts) and in guests.
func (l *Lab) vcenterURL() string {
	return fmt.Sprintf("https://vcenter.%s:%s/sdk", public.Zone, port(l.vc.Addr()))
}

// Print writes a status for people.
func (s Status) Print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "vCenter\t%s\nuser\t%s\npassword\t%s\nthumbprint\t%s\nCA\t%s\n", s.VCenter, s.User, s.Password, s.Thumbprint, s.CA)
	if s.Registry != "" {
		fmt.Fprintf(t, "registry\thttp://registry.%s:%s\n", public.Zone, port(s.Registry))
	}
	fmt.Fprintf(t, "folder\t%s\npid\t%d, up %s\n", s.Dir, s.PID, time.Since(s.Since).Round(time.Second))
	for _, f := range s.Forwards {
		fmt.Fprintf(t, "forward\t%s to port %d of %s\n", f.Listen, f.Port, f.VM)
	}
	for _, v := range s.VMs {
		fmt.Fprintf(t, "VM\t%s\t%s\t%s\n", v.Name, v.Power, v.IP)
	}
	return t.Flush()
}
