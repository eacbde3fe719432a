package operation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"github.com/openvic/vic/drivers/vsphere/machine/bundle"
	"github.com/openvic/vic/drivers/vsphere/machine/certs"
	"github.com/openvic/vic/drivers/vsphere/machine/hub"
	"github.com/openvic/vic/drivers/vsphere/machine/hubvm"
	"github.com/openvic/vic/drivers/vsphere/machine/option"
	"github.com/openvic/vic/drivers/vsphere/machine/precheck"
	"github.com/openvic/vic/drivers/vsphere/machine/progress"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/drivers/vsphere/machine/vch"
)

const (
	defaultHub = "vic-hub"
	hubMemory  = 2048 // MiB
	hubCPUs    = 2
	hubData    = 200 // GiB
	ssoDomain  = "vsphere.local"
)

// AdminPasswordEnv is the environment variable of --admin-password.
const AdminPasswordEnv = "VIC_MACHINE_HUB_ADMIN_PASSWORD"

func hubName() option.Option {
	return option.Str("", "name", "n", "`name` of the hub: its VM and datastore folder").WithDefault(defaultHub)
}

// HubIDOptions say which hub is meant.
func HubIDOptions() []option.Option {
	return []option.Option{hubName(), option.Str("", "id", "", "managed object `id` of the hub's VM, as hub ls shows it; instead of --name")}
}

// HubCreateOptions are all options of hub create. Those that create has too mean the same there.
func HubCreateOptions() []option.Option {
	return joined(TargetOptions(), []option.Option{hubName()}, []option.Option{
		option.Str(groupCompute, "compute-resource", "r", "`cluster`, host or resource pool; may be left out if there is only one"),
		option.Num(groupCompute, "memory", "mem", hubMemory, "memory of the VM in `MiB`"),
		option.Num(groupCompute, "cpu", "", hubCPUs, "`CPUs` of the VM"),
		option.Str(groupStorage, "image-store", "i", "`datastore` of the hub's folder, with its data disk"),
		option.Num(groupStorage, "data-size", "", hubData, "size in `GiB` of the data disk; it is thin. One that an earlier hub of the name left keeps its size"),
	}, option.Pick(networkFlags(), "public-network", "public-network-ip", "public-network-gateway", "dns-server"),
		option.Pick(tlsFlags(), "tls-cname", "cert-path", "tls-server-cert", "tls-server-key", "organization", "certificate-key-size"), []option.Option{
			hubISO(),
			option.Str(groupOther, "admin-password", "", "`password` of the hub's first user, admin@local, of ten characters or more").FromEnv(AdminPasswordEnv).
				WithDefaultText("random, in the file admin-password beside the certificates").Hidden(),
			option.Str(groupOther, "sso-domain", "", "system `domain` of vCenter Single Sign-On, whose users sign in to the hub").WithDefault(ssoDomain),
			option.Flag(groupOther, "no-sso", "", "leave Single Sign-On alone: users of vCenter do not sign in to the hub"),
			option.Flag(groupOther, "force", "f", "trust any certificate of the target, replace certificates that cannot be used").ForRun(),
		})
}

// HubDeleteOptions are all options of hub delete.
func HubDeleteOptions() []option.Option {
	return joined(TargetOptions(), HubIDOptions(), []option.Option{
		option.Flag(groupOther, "force", "f", "also delete the data disk, with all images and users; trust any certificate of the target").ForRun(),
		option.Flag(groupOther, "no-sso", "", "leave the hub's solution user in Single Sign-On").ForRun(),
	})
}

func hubISO() option.Option {
	return option.Str(groupOther, "hub-iso", "", "`file` that the VM boots").AFile().WithDefaultText("hub.iso beside vic-machine, in iso there, or in ./iso")
}

// HubUpgradeOptions are all options of hub upgrade; HubRollbackOptions those of hub rollback, without the image.
func HubUpgradeOptions() []option.Option { return append(HubRollbackOptions(), hubISO()) }

// HubRollbackOptions are all options of hub rollback.
func HubRollbackOptions() []option.Option {
	return joined(patient(), HubIDOptions(), []option.Option{patienceFlag(), TrustOption()})
}

// HubAdoptOptions are all options of hub adopt.
func HubAdoptOptions() []option.Option {
	return joined(patient(), HubIDOptions(), option.Pick(HubCreateOptions(), "sso-domain", "no-sso"), []option.Option{patienceFlag(), TrustOption()})
}

// ReadHubAdopt reads the options of hub adopt.
func ReadHubAdopt(c option.Values) (hubvm.Adoption, error) {
	a := hubvm.Adoption{Patience: c.Duration("serve-timeout")}
	if c.Bool("no-sso") {
		return a, nil
	}
	a.SSODomain = strings.ToLower(c.String("sso-domain"))
	if !domainPattern.MatchString(a.SSODomain) {
		return a, wrongOption("sso-domain", a.SSODomain, "no name of a domain", "give it the system domain, such as vsphere.local")
	}
	return a, nil
}

// HubDebugOptions are all options of hub debug.
func HubDebugOptions() []option.Option {
	return joined(TargetOptions(), HubIDOptions(), []option.Option{
		option.Str(groupOther, "bundle", "", "`file.tar.gz` to collect logs into: console, vSphere's events, and with --hub-token the hub's own log bundle; without "+
			"secrets").ForRun().AFile(),
		option.Str(groupOther, "hub-token", "", "`name:secret` of a cloud administrator of the hub, or of a robot that may read system logs").
			FromEnv(HubTokenEnv).Hidden(),
		option.Str(groupOther, "hub-ca", "", "PEM `file` with the hub's authority, if create was not told its certificate").ForRun().AFile(),
		option.Str(groupOther, "hub", "", "`URL` of the hub; else its address").ForRun(),
	}, sshFlags("hub"), []option.Option{TrustOption()})
}

// HubBundle writes the log bundle of a hub. The notes say what is not in it, and why.
func HubBundle(ctx context.Context, w io.Writer, s *session.Session, d *hubvm.Debugger, c option.Values, l Local) (notes []string, err error) {
	client, err := hubClient(d, c, l)
	return bundle.WriteHub(ctx, w, bundle.HubSource{Session: s, Hub: d, Own: func(ctx context.Context) ([]byte, error) {
		if err != nil {
			return nil, err
		}
		return client.SupportBundle(ctx)
	}})
}

// hubClient is a client of a hub that vSphere tells the address and the certificate of.
func hubClient(d *hubvm.Debugger, c option.Values, l Local) (*hub.Client, error) {
	token, url := c.String("hub-token"), c.String("hub")
	if token == "" {
		return nil, errors.New("no --hub-token is given")
	}
	a := hub.Access{URL: url, Token: token}
	if a.CA, a.Name = d.Certificate(); url != "" {
		a.Name = ""
	} else if a.URL = d.Details.URL; a.URL == "" {
		return nil, errors.New("it has no address: its VM is off, or has not booted yet")
	}
	if f := c.String("hub-ca"); f != "" {
		var err error
		if a.CA, err = l.Files.ReadAuthorities("--hub-ca", []string{f}); err != nil {
			return nil, err
		}
	}
	return hub.New(a)
}

// ReadHubUpgrade reads the options of hub upgrade, and looks at the image.
func ReadHubUpgrade(c option.Values, l Local) (hubvm.Upgrade, error) {
	u := hubvm.Upgrade{Version: l.Version, ISO: isoFile(c.String("hub-iso"), "hub.iso"), Patience: c.Duration("serve-timeout")}
	if r := precheck.HubImage(u.ISO); r.Count(precheck.Error) > 0 {
		return u, ChecksError{Report: r, Undone: "changed"}
	}
	return u, nil
}

// HubConfigureOptions are all options of hub configure.
func HubConfigureOptions() []option.Option {
	return joined(patient(), HubIDOptions(), []option.Option{
		option.Num(groupCompute, "memory", "mem", 0, "memory of the VM in `MiB`"),
		option.Num(groupCompute, "cpu", "", 0, "`CPUs` of the VM"),
	}, option.Pick(networkFlags(), "public-network-ip", "public-network-gateway", "dns-server"), option.Pick(tlsFlags(), "tls-server-cert", "tls-server-key"),
		[]option.Option{patienceFlag(), TrustOption()})
}

// ReadHubConfigure reads the options of hub configure.
func ReadHubConfigure(c option.Values, l Local) (hubvm.Change, error) {
	ch := hubvm.Change{CPUs: int32Of(c.Int64("cpu")), MemoryMB: c.Int64("memory"), Patience: c.Duration("serve-timeout")}
	var err error
	if r := precheck.HubSizes(ch.CPUs, ch.MemoryMB); r.Count(precheck.Error) > 0 {
		return ch, ChecksError{Report: r, Undone: "changed"}
	}
	if ch.Static, ch.DNS, err = hubAddresses(c); err != nil {
		return ch, err
	}
	if (c.String("tls-server-cert") == "") != (c.String("tls-server-key") == "") {
		return ch, wrongOption("tls-server-cert", c.String("tls-server-cert"), "certificate and key belong together", "give --tls-server-cert and --tls-server-key")
	}
	if c.String("tls-server-cert") != "" {
		o := certsOf(c, c.String("name"), l.Files)
		ch.Server, err = certs.SuppliedServer(o, time.Now())
	}
	return ch, err
}

// hubAddresses reads where the hub's VM is on its network.
func hubAddresses(c option.Values) (static vch.Static, dns []netip.Addr, err error) {
	if static, err = readStatic(c, vch.RolePublic); err != nil {
		return static, nil, err
	}
	for _, v := range c.Trimmed("dns-server") {
		a, err := netip.ParseAddr(v)
		if err != nil {
			return static, nil, wrongOption("dns-server", v, "not an address", "give it the address of a name server, such as 10.0.0.53")
		}
		dns = append(dns, a)
	}
	return static, dns, nil
}

var domainPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,253}[a-z0-9])?$`)

// HubCreation is what hub create is about to do.
type HubCreation struct {
	Input precheck.Input
	Spec  hubvm.Spec
}

// ReadHubCreate reads the options of hub create.
func ReadHubCreate(c option.Values, l Local) (HubCreation, error) {
	var h HubCreation
	var err error
	h.Spec = hubvm.Spec{Name: c.String("name"), Version: l.Version, ISO: isoFile(c.String("hub-iso"), "hub.iso"), CPUs: int32Of(c.Int64("cpu")),
		MemoryMB: c.Int64("memory"), DataGB: c.Int64("data-size"), Password: c.String("admin-password"), Options: recorded(c)}
	const least = 10
	if p := h.Spec.Password; p != "" && len([]rune(p)) < least {
		return h, wrongOption("admin-password", "...", "too short", fmt.Sprintf("give it %d characters or more", least))
	}
	if !c.Bool("no-sso") {
		h.Spec.SSODomain = strings.ToLower(c.String("sso-domain"))
		if !domainPattern.MatchString(h.Spec.SSODomain) {
			return h, wrongOption("sso-domain", c.String("sso-domain"), "not a domain",
				"give it the system domain of Single Sign-On, such as "+ssoDomain+", or give --no-sso")
		}
	}
	if h.Spec.Static, h.Spec.DNS, err = hubAddresses(c); err != nil {
		return h, err
	}
	if err := checkNames(c); err != nil {
		return h, err
	}
	h.Input = precheck.Input{ComputeResource: c.String("compute-resource"), ImageStore: c.String("image-store"), PublicNetwork: c.String("public-network"),
		Force: c.Bool("force")}
	h.Input.SSO = h.Spec.SSODomain != ""
	h.Input.Spec = vch.Spec{Name: h.Spec.Name, Version: l.Version, ApplianceISO: h.Spec.ISO, StateGB: h.Spec.DataGB}
	h.Input.Spec.EndpointCPU, h.Input.Spec.EndpointMemoryMB = h.Spec.CPUs, h.Spec.MemoryMB
	if h.Input.Certs, err = certOptions(c, l.Files); err != nil {
		return h, err
	}
	h.Input.Certs.ServerOnly = true
	if a := h.Spec.Static.Address; a.IsValid() && len(h.Input.Certs.Names) == 0 {
		h.Input.Certs.Names = []string{a.Addr().String()}
	}
	return h, nil
}

// CreateHub checks what the hub needs and makes it; checked is told the findings before anything is made.
func CreateHub(ctx context.Context, h HubCreation, checked func(precheck.Report), log *progress.Log) (*hubvm.Made, error) {
	log.Step("checks")
	log.Printf("checking what the hub %s needs", h.Spec.Name)
	out := precheck.RunHub(ctx, h.Input)
	checked(out.Report)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if !out.OK() {
		return nil, ChecksError{Report: out.Report, Undone: "made"}
	}
	log.Printf("making the hub %s", h.Spec.Name)
	made, err := hubvm.Create(ctx, hubvm.Plan{Spec: h.Spec, Res: out.Resources, Certs: out.Certs}, log)
	if err != nil {
		return nil, fmt.Errorf("the hub %s could not be made: %w", h.Spec.Name, err)
	}
	log.Printf("the hub %s serves, %.1f s after the start (ID %s)", h.Spec.Name, made.Took.Seconds(), made.VM)
	return made, nil
}
