package operation

import (
	"slices"
	"time"

	"github.com/openvic/vic/drivers/vsphere/machine/option"
)

const (
	defaultName    = "virtual-container-host"
	defaultTimeout = 3 * time.Minute
	// patientTimeout is that of an upgrade: an upload, a boot, and another boot if that fails.
	patientTimeout = 15 * time.Minute
	// servePatience is how long a new version may take to serve.
	servePatience = 2 * time.Minute
)

// Help shows options under these headings.
const (
	groupTarget  = "vSphere"
	groupCompute = "Compute"
	groupStorage = "Storage"
	groupNetwork = "Networks"
	groupTLS     = "Certificates"
	groupImages  = "Registries"
	groupHub     = "Hub"
	groupOps     = "Operations user"
	groupOther   = "Other"
)

// TargetOptions say which vSphere is meant.
func TargetOptions() []option.Option {
	return []option.Option{
		option.Str(groupTarget, "target", "t", "vCenter or ESXi host: `host[:port][/datacenter]` or a URL").FromEnv("VIC_MACHINE_TARGET"),
		option.Str(groupTarget, "user", "u", "account, with its domain: `user@domain`").FromEnv("VIC_MACHINE_USER"),
		option.Str(groupTarget, "password", "p", "its `password`").FromEnv("VIC_MACHINE_PASSWORD").WithDefaultText("asked for on a terminal").Hidden(),
		option.Str(groupTarget, "thumbprint", "", "SHA-1 or SHA-256 `thumbprint` of the certificate to trust; without it only one that the system's "+
			"authorities vouch for").FromEnv("VIC_MACHINE_THUMBPRINT"),
		option.Span(groupOther, "timeout", defaultTimeout, "give up after this `time`").ForRun(),
	}
}

// IDOptions say which VCH is meant.
func IDOptions() []option.Option {
	return []option.Option{
		option.Str("", "name", "n", "`name` of the VCH").WithDefault(defaultName),
		option.Str("", "compute-resource", "r", "`cluster`, host or pool that it is on, if several VCHs have its name"),
		option.Str("", "id", "", "managed object `id` of the VCH's endpoint VM, as ls shows it; instead of --name"),
	}
}

// CreateOptions are all options of create; read.go says what they mean. Their names are those of VIC's
// vic-machine where it had them.
func CreateOptions() []option.Option {
	return joined(TargetOptions(), []option.Option{nameFlag()}, computeFlags(), endpointFlags(), storageFlags(), networkFlags(),
		containerNetworkFlags(), imageFlags(), tlsFlags(), hubFlags(), opsFlags(), createOtherFlags())
}

// changeFlags are the options of create that configure has too.
func changeFlags() []option.Option {
	return joined(limitFlags(), []option.Option{volumeStoreFlag()}, option.Pick(storageFlags(), "default-volume-size"), []option.Option{dnsFlag()},
		containerNetworkFlags(), imageFlags(), logFlags(), option.Pick(createOtherFlags(), "container-name-convention"))
}

// ConfigureOptions are all options of configure.
func ConfigureOptions() []option.Option {
	return joined(TargetOptions(), IDOptions(), changeFlags(), opsFlags(), []option.Option{
		option.Many(groupOther, "remove", "", "`option=value` that shall not be any more, such as insecure-registry=reg.example.com").ForRun(),
		option.Flag(groupOther, "force", "f", "trust any certificate of the target, take some errors of the checks as warnings").ForRun(),
	})
}

// DeleteOptions are all options of delete.
func DeleteOptions() []option.Option {
	return joined(TargetOptions(), IDOptions(), option.Without(hubFlags(), "hub-project"), []option.Option{option.Flag(groupOther, "force", "f",
		"also delete running containers, and the volumes in its volume stores; leave the VCH's entry in its hub if that cannot be reached; "+
			"trust any certificate of the target").ForRun()})
}

// UpgradeOptions are all options of upgrade; rollback has them but for the images.
func UpgradeOptions() []option.Option {
	return joined(patient(), IDOptions(), isoFlags(), []option.Option{patienceFlag(),
		option.Flag(groupOther, "rollback", "", "go back to the previous version, as vic-machine rollback does").ForRun(), TrustOption()})
}

// RollbackOptions are all options of rollback.
func RollbackOptions() []option.Option {
	return joined(patient(), IDOptions(), []option.Option{patienceFlag(), TrustOption()})
}

// patient are TargetOptions with more time.
func patient() []option.Option {
	all := TargetOptions()
	all[len(all)-1] = all[len(all)-1].WithDefault(patientTimeout.String())
	return all
}

func patienceFlag() option.Option {
	return option.Span(groupOther, "serve-timeout", servePatience, "`time` within which the endpoint must serve; else the previous version comes back").ForRun()
}

// TrustOption makes a command trust whatever certificate the target shows.
func TrustOption() option.Option {
	return option.Flag(groupOther, "force", "f", "trust any certificate of the target").ForRun()
}

func joined(parts ...[]option.Option) []option.Option { return slices.Concat(parts...) }

func nameFlag() option.Option {
	return option.Str("", "name", "n", "`name` of the VCH: its vApp, endpoint VM and datastore folder").WithDefault(defaultName)
}

func computeFlags() []option.Option {
	return append([]option.Option{
		option.Str(groupCompute, "compute-resource", "r", "`cluster`, host or resource pool; may be left out if there is only one"),
	}, limitFlags()...)
}

// limitFlags bound what a VCH uses; configure has them too.
func limitFlags() []option.Option {
	return []option.Option{
		option.Num(groupCompute, "memory", "mem", 0, "limit of the memory of all the VCH's VMs together in `MiB`; 0: none"),
		option.Num(groupCompute, "memory-reservation", "memr", 0, "memory in `MiB` that vSphere keeps free for them"),
		option.Str(groupCompute, "memory-shares", "mems", "their share when memory is scarce: low, normal, high or a `number`"),
		option.Num(groupCompute, "cpu", "", 0, "limit of the processor time of all the VCH's VMs together in `MHz`; 0: none"),
		option.Num(groupCompute, "cpu-reservation", "cpur", 0, "processor time in `MHz` that vSphere keeps free for them"),
		option.Str(groupCompute, "cpu-shares", "cpus", "their share when processor time is scarce: low, normal, high or a `number`"),
		option.Flag(groupCompute, "affinity-vm-group", "", "a DRS VM group of the VCH's name, with all its VMs, for VM/Host rules of the cluster"),
		option.Num(groupCompute, "containers", "", 0, "the most containers that may exist, running or not; `0`: as many as fit"),
		option.Num(groupCompute, "container-memory", "", 256, "memory in `MiB` of container VMs for which docker run gives no -m (VIC gave 2048)"),
	}
}

func endpointFlags() []option.Option {
	return []option.Option{
		option.Num(groupCompute, "endpoint-memory", "", 2048, "memory of the endpoint VM in `MiB`"),
		option.Num(groupCompute, "endpoint-cpu", "", 1, "`CPUs` of the endpoint VM"),
	}
}

func storageFlags() []option.Option {
	return []option.Option{
		option.Str(groupStorage, "image-store", "i", "`datastore` or datastore/path for images; the VCH's folder and its VMs are on the same datastore"),
		volumeStoreFlag(),
		option.Num(groupStorage, "default-volume-size", "", 0, "size in `MiB` of volumes for which docker volume create gives none; 0: 1024"),
		option.Num(groupStorage, "state-size", "", 40, "size in `GiB` of the endpoint's disk for downloads and image metadata; it is thin"),
	}
}

func volumeStoreFlag() option.Option {
	return option.Many(groupStorage, "volume-store", "vs", "place for volumes, `datastore/path:label` or nfs://host/path?options:label; "+
		"docker volume create uses the one labelled default if it names none")
}

func networkFlags() []option.Option {
	flags := []option.Option{
		option.Str(groupNetwork, "bridge-network", "b", "`port group` for container VMs, for this VCH alone; on vCenter a distributed one"),
		option.Str(groupNetwork, "bridge-network-range", "bnr", "`IP range` of the bridge network").WithDefault("172.16.0.0/16"),
		option.Num(groupNetwork, "bridge-network-width", "bnw", 0,
			"prefix length in `bits` of the default bridge and of each network that docker network create takes from --bridge-network-range; 0: the default "+
				"bridge has all of it"),
		option.Str(groupNetwork, "public-network", "pn", "`port group` of registries, vCenter and published ports, and the way to the rest of the "+
			"world").WithDefault("VM Network"),
		option.Str(groupNetwork, "public-network-ip", "", "static `address/bits` there, such as 10.0.0.2/24; else DHCP"),
		option.Str(groupNetwork, "public-network-gateway", "", "`address` of the default gateway; goes with --public-network-ip"),
	}
	for _, n := range []struct{ name, alias, use string }{
		{"client", "cln", "for the Docker API, which is then served nowhere else; without it, on the public network"},
		{"management", "mn", "of vCenter and the hosts; without it the endpoint reaches them over the public network"},
	} {
		flags = append(flags,
			option.Str(groupNetwork, n.name+"-network", n.alias, "`port group` "+n.use),
			option.Str(groupNetwork, n.name+"-network-ip", "", "static `address/bits` there; else DHCP"),
			option.Str(groupNetwork, n.name+"-network-gateway", "", "networks behind a gateway there: `network[,network...]:gateway`, as in "+
				"10.1.0.0/16,10.2.0.0/16:10.0.0.1"))
	}
	return append(flags, dnsFlag())
}

func dnsFlag() option.Option {
	return option.Many(groupNetwork, "dns-server", "", "`address` of a name server of the endpoint, instead of those that DHCP names")
}

func containerNetworkFlags() []option.Option {
	return []option.Option{
		option.Many(groupNetwork, "container-network", "cn", "port group that containers may join, and what docker calls it: `portgroup:name`"),
		option.Many(groupNetwork, "container-network-gateway", "cng", "gateway and subnet of such a port group: `portgroup:address/bits`; without it DHCP"),
		option.Many(groupNetwork, "container-network-ip-range", "cnr",
			"addresses that containers are given there: `portgroup:first-last` or portgroup:network; else the whole subnet"),
		option.Many(groupNetwork, "container-network-dns", "cnd", "name server there: `portgroup:address`"),
		option.Many(groupNetwork, "container-network-firewall", "cnf",
			"who may talk to containers there: `portgroup:closed`, outbound, peers, published or open; published is the default"),
	}
}

// imageFlags are of pulls; configure has them too.
func imageFlags() []option.Option {
	return []option.Option{
		option.Many(groupImages, "registry-mirror", "", "`URL` of a mirror for docker.io"),
		option.Many(groupImages, "insecure-registry", "dir", "`host[:port]` of a registry without a trusted certificate"),
		option.Many(groupImages, "registry-ca", "rc", "PEM `file` with the certificate of an authority to trust for registries").AFile(),
		option.Many(groupImages, "allow-registry", "whitelist-registry,wr", "`registry` that users may use, and no other: host[:port], *.example.com or a network"),
		option.Str(groupImages, "http-proxy", "hproxy", "`URL` of the proxy for pulls over HTTP"),
		option.Str(groupImages, "https-proxy", "sproxy", "`URL` of the proxy for pulls over HTTPS"),
		option.Str(groupImages, "no-proxy", "", "`hosts`, separated by commas, that pulls reach without a proxy"),
	}
}

func tlsFlags() []option.Option {
	return []option.Option{
		option.Many(groupTLS, "tls-cname", "", "DNS `name` or address of the endpoint for its certificate"),
		option.Flag(groupTLS, "no-tlsverify", "kv", "let clients in without a client certificate"),
		option.Flag(groupTLS, "no-tls", "k", "no encryption: anybody who sees the traffic can take over the VCH"),
		option.Str(groupTLS, "cert-path", "tls-cert-path", "`folder` of the certificates; create makes missing ones "+
			"there").AFolder().WithDefaultText("./<name>"),
		option.Str(groupTLS, "tls-server-cert", "cert", "PEM `file` with the endpoint's own certificate and its chain").AFile(),
		option.Str(groupTLS, "tls-server-key", "key", "`file` of its key").AFile(),
		option.Many(groupTLS, "tls-ca", "ca", "PEM `file` of an authority whose client certificates are let in, instead of an authority that create makes").AFile(),
		option.Many(groupTLS, "organization", "", "`name` to put into certificates").WithDefaultText("the VCH's name"),
		option.Num(groupTLS, "certificate-key-size", "ksz", 256, "256, 384 or 521 `bits` for ECDSA; 2048 or more for RSA, as VIC's default was, which costs "+
			"an emulated endpoint far more time for each connection"),
	}
}

// HubTokenEnv is the environment variable of --hub-token.
const HubTokenEnv = "VIC_MACHINE_HUB_TOKEN"

// hubFlags say which hub knows the VCH.
func hubFlags() []option.Option {
	return []option.Option{
		option.Str(groupHub, "hub", "", "`URL` of the hub that the VCH trusts and is a resource of, such as https://hub.example.com:8443, by the name that the "+
			"endpoint reaches it by"),
		option.Str(groupHub, "hub-ca", "", "PEM `file` with the hub's authority, if the system does not trust it").AFile(),
		option.Many(groupHub, "hub-project", "", "`project` of the hub whose resource the VCH is").WithDefaultText("default-project"),
		option.Str(groupHub, "hub-token", "", "`name:secret` of a robot or user of the hub that may manage hosts").FromEnv(HubTokenEnv).Hidden(),
	}
}

// OpsPasswordEnv is the environment variable of --ops-password.
const OpsPasswordEnv = "VIC_MACHINE_OPS_PASSWORD"

func opsFlags() []option.Option {
	return []option.Option{
		option.Str(groupOps, "ops-user", "", "account that the endpoint uses, with its domain: `user@domain`; else the one that --user names"),
		option.Str(groupOps, "ops-password", "", "its `password`").FromEnv(OpsPasswordEnv).Hidden(),
		option.Flag(groupOps, "ops-grant-perms", "", "grant it the privileges that it needs, and no more; configure repairs them"),
	}
}

func isoFlags() []option.Option {
	return []option.Option{
		option.Str(groupOther, "appliance-iso", "ai", "`file` that the endpoint VM boots").AFile().WithDefaultText("appliance.iso beside vic-machine, in " +
			"iso there, or in ./iso"),
		option.Str(groupOther, "bootstrap-iso", "bi", "`file` that container VMs boot").AFile().WithDefaultText("bootstrap.iso, likewise"),
	}
}

func logFlags() []option.Option {
	return []option.Option{
		option.Str(groupOther, "syslog-address", "", "server that also gets the endpoint's log: `udp://host:port` or tcp://host:port"),
		option.Num(groupOther, "debug", "v", 0, "`1`: the endpoint logs what is of use to developers too, and a create that fails keeps what it made"),
	}
}

func createOtherFlags() []option.Option {
	return append(append(isoFlags(), logFlags()...),
		option.Str(groupOther, "container-name-convention", "", "`pattern` of the names of container VMs: {name} is the container's, {short} and {id} its "+
			"ID; {name}-{short} is the default"),
		option.Flag(groupOther, "force", "f", "trust any certificate of the target, take some errors of the checks as warnings, replace certificates that "+
			"cannot be used").ForRun(),
		option.Flag(groupOther, "no-reach-check", "", "do not ask the Docker API at the endpoint's address for a sign of life; for a machine that has no "+
			"route to it").ForRun(),
		option.Flag(groupOther, "dry-run", "", "run the checks, print what create would make and which privileges it needs, and make nothing").ForRun(),
		option.Str(groupOther, "output", "", "of the checks and the plan: `text` or json").WithDefault("text").ForRun(),
		option.Str(groupOther, "config", "", "TOML `file` with options, by their names, as inspect config prints it; the command line wins").ForRun(),
	)
}
