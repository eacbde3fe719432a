package cli

import "github.com/urfave/cli/v2"

// createFlags are all options of create; options.go says what they mean. Their names are those of
// VIC's vic-machine where it had them.
func createFlags() []cli.Flag {
	var all []cli.Flag
	for _, f := range [][]cli.Flag{targetFlags(), {nameFlag()}, computeFlags(), endpointFlags(), storageFlags(), networkFlags(),
		containerNetworkFlags(), imageFlags(), tlsFlags(), opsFlags(), createOtherFlags()} {
		all = append(all, f...)
	}
	return all
}

func str(group, name, alias, usage string) *cli.StringFlag {
	return &cli.StringFlag{Name: name, Aliases: aliases(alias), Category: group, Usage: usage}
}

func many(group, name, alias, usage string) *cli.StringSliceFlag {
	return &cli.StringSliceFlag{Name: name, Aliases: aliases(alias), Category: group, Usage: usage + "; may be repeated"}
}

func number(group, name, alias string, value int64, usage string) *cli.Int64Flag {
	return &cli.Int64Flag{Name: name, Aliases: aliases(alias), Category: group, Value: value, Usage: usage}
}

func toggle(group, name, alias, usage string) *cli.BoolFlag {
	return &cli.BoolFlag{Name: name, Aliases: aliases(alias), Category: group, Usage: usage}
}

func aliases(a string) []string {
	if a == "" {
		return nil
	}
	return []string{a}
}

func nameFlag() cli.Flag {
	return &cli.StringFlag{Name: "name", Aliases: []string{"n"}, Value: defaultName, Usage: "`name` of the VCH: its vApp, endpoint VM and datastore folder"}
}

func computeFlags() []cli.Flag {
	return append([]cli.Flag{
		str(groupCompute, "compute-resource", "r", "`cluster`, host or resource pool; may be left out if there is only one"),
	}, limitFlags()...)
}

// limitFlags bound what a VCH uses; configure has them too.
func limitFlags() []cli.Flag {
	return []cli.Flag{
		number(groupCompute, "memory", "mem", 0, "limit of the memory of all the VCH's VMs together in `MiB`; 0: none"),
		number(groupCompute, "memory-reservation", "memr", 0, "memory in `MiB` that vSphere keeps free for them"),
		str(groupCompute, "memory-shares", "mems", "their part when memory is scarce: low, normal, high or a `number`"),
		number(groupCompute, "cpu", "", 0, "limit of the processor time of all the VCH's VMs together in `MHz`; 0: none"),
		number(groupCompute, "cpu-reservation", "cpur", 0, "processor time in `MHz` that vSphere keeps free for them"),
		str(groupCompute, "cpu-shares", "cpus", "their part when processor time is scarce: low, normal, high or a `number`"),
		number(groupCompute, "containers", "", 0, "how many containers there may be, running or not; `0`: as many as fit"),
		number(groupCompute, "container-memory", "", 256, "memory in `MiB` of container VMs for which docker run gives no -m (VIC gave 2048)"),
	}
}

func endpointFlags() []cli.Flag {
	return []cli.Flag{
		number(groupCompute, "endpoint-memory", "", 2048, "memory of the endpoint VM in `MiB`"),
		number(groupCompute, "endpoint-cpu", "", 1, "`CPUs` of the endpoint VM"),
	}
}

func storageFlags() []cli.Flag {
	return []cli.Flag{
		str(groupStorage, "image-store", "i", "`datastore` or datastore/path for images; the VCH's folder and its VMs are on the same datastore"),
		volumeStoreFlag(),
		number(groupStorage, "default-volume-size", "", 0, "size in `MiB` of volumes for which docker volume create names none; 0: 1024"),
		number(groupStorage, "state-size", "", 40, "size in `GiB` of the endpoint's disk for downloads and image metadata; it is thin"),
	}
}

func volumeStoreFlag() cli.Flag {
	return many(groupStorage, "volume-store", "vs", "place of volumes, `datastore/path:label` or nfs://host/path?options:label; "+
		"the one labelled default is taken where docker volume create names none")
}

func networkFlags() []cli.Flag {
	flags := []cli.Flag{
		str(groupNetwork, "bridge-network", "b", "`port group` for container VMs, of this VCH alone; on vCenter a distributed one"),
		&cli.StringFlag{Name: "bridge-network-range", Aliases: []string{"bnr"}, Category: groupNetwork, Value: "172.16.0.0/16",
			Usage: "`IP range` of the bridge network"},
		number(groupNetwork, "bridge-network-width", "bnw", 0, "prefix length in `bits` of the default bridge and of each network that docker network create takes from --bridge-network-range; 0: the default bridge has all of it"),
		&cli.StringFlag{Name: "public-network", Aliases: []string{"pn"}, Category: groupNetwork, Value: "VM Network",
			Usage: "`port group` of registries, vCenter and published ports, and the way to the rest of the world"},
		str(groupNetwork, "public-network-ip", "", "static `address/bits` there, such as 10.0.0.2/24; else DHCP"),
		str(groupNetwork, "public-network-gateway", "", "`address` of the default gateway; goes with --public-network-ip"),
	}
	for _, n := range []struct{ name, alias, use string }{
		{"client", "cln", "on which the Docker API is served, and nowhere else; else it is served on the public network"},
		{"management", "mn", "on which vCenter and the hosts are; else they are reached over the public network"},
	} {
		flags = append(flags,
			str(groupNetwork, n.name+"-network", n.alias, "`port group` "+n.use),
			str(groupNetwork, n.name+"-network-ip", "", "static `address/bits` there; else DHCP"),
			str(groupNetwork, n.name+"-network-gateway", "", "networks behind a gateway there: `network[,network...]:gateway`, as in 10.1.0.0/16,10.2.0.0/16:10.0.0.1"))
	}
	return append(flags, dnsFlag())
}

func dnsFlag() cli.Flag {
	return many(groupNetwork, "dns-server", "", "`address` of a name server of the endpoint, instead of those that DHCP names")
}

func containerNetworkFlags() []cli.Flag {
	return []cli.Flag{
		many(groupNetwork, "container-network", "cn", "port group that containers may join, and what docker calls it: `portgroup:name`"),
		many(groupNetwork, "container-network-gateway", "cng", "gateway and subnet of such a port group: `portgroup:address/bits`; without it DHCP"),
		many(groupNetwork, "container-network-ip-range", "cnr", "addresses that containers are given there: `portgroup:first-last` or portgroup:network; else the whole subnet"),
		many(groupNetwork, "container-network-dns", "cnd", "name server there: `portgroup:address`"),
		many(groupNetwork, "container-network-firewall", "cnf", "who may talk to containers there: `portgroup:closed`, outbound, peers, published or open; published is the default"),
	}
}

// imageFlags are of pulls; configure has them too.
func imageFlags() []cli.Flag {
	return []cli.Flag{
		many(groupImages, "registry-mirror", "", "`URL` of a mirror for docker.io"),
		many(groupImages, "insecure-registry", "dir", "`host[:port]` of a registry without a trusted certificate"),
		many(groupImages, "registry-ca", "rc", "`file` with the certificate of an authority, PEM, that registries' certificates may be signed by"),
		many(groupImages, "whitelist-registry", "wr", "`registry` that may be used, and no other: host[:port], *.example.com or a network"),
		str(groupImages, "http-proxy", "hproxy", "`URL` of the proxy for pulls over HTTP"),
		str(groupImages, "https-proxy", "sproxy", "`URL` of the proxy for pulls over HTTPS"),
		str(groupImages, "no-proxy", "", "`hosts`, separated by commas, that pulls reach without a proxy"),
	}
}

func tlsFlags() []cli.Flag {
	return []cli.Flag{
		many(groupTLS, "tls-cname", "", "DNS `name` or address of the endpoint for its certificate"),
		toggle(groupTLS, "no-tlsverify", "kv", "let clients in without a certificate of theirs"),
		toggle(groupTLS, "no-tls", "k", "no encryption: anybody who sees the traffic can take over the VCH"),
		&cli.StringFlag{Name: "cert-path", Aliases: []string{"tls-cert-path"}, Category: groupTLS, DefaultText: "./<name>",
			Usage: "`folder` in which certificates are looked for, and written if they are not there"},
		str(groupTLS, "tls-server-cert", "cert", "`file` of the endpoint's own certificate, PEM, with its chain"),
		str(groupTLS, "tls-server-key", "key", "`file` of its key"),
		many(groupTLS, "tls-ca", "ca", "`file` of an authority whose client certificates are let in, PEM, instead of one that is made"),
		&cli.StringSliceFlag{Name: "organization", Category: groupTLS, DefaultText: "the VCH's name",
			Usage: "`name` to put into certificates; may be repeated"},
		&cli.IntFlag{Name: "certificate-key-size", Aliases: []string{"ksz"}, Category: groupTLS, Value: 256,
			Usage: "256, 384 or 521 `bits` for ECDSA; 2048 or more for RSA, as VIC's default was, which costs an emulated endpoint far more time for each connection"},
	}
}

func opsFlags() []cli.Flag {
	return []cli.Flag{
		str(groupOps, "ops-user", "", "account that the endpoint uses, with its domain: `user@domain`; else the one that --user names"),
		&cli.StringFlag{Name: "ops-password", Category: groupOps, EnvVars: []string{"VIC_MACHINE_OPS_PASSWORD"}, Usage: "its `password`"},
		toggle(groupOps, "ops-grant-perms", "", "give it the privileges that it needs, and no more; configure mends them"),
	}
}

func isoFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "appliance-iso", Aliases: []string{"ai"}, Category: groupOther, DefaultText: "appliance.iso beside vic-machine, in iso there, or in ./iso",
			Usage: "`file` that the endpoint VM boots"},
		&cli.StringFlag{Name: "bootstrap-iso", Aliases: []string{"bi"}, Category: groupOther, DefaultText: "bootstrap.iso, likewise",
			Usage: "`file` that container VMs boot"},
	}
}

func logFlags() []cli.Flag {
	return []cli.Flag{
		str(groupOther, "syslog-address", "", "server that gets the endpoint's log too: `udp://host:port` or tcp://host:port"),
		&cli.IntFlag{Name: "debug", Aliases: []string{"v"}, Category: groupOther, Usage: "`1`: the endpoint logs what is of use to developers too, and a create that fails keeps what it made"},
	}
}

func createOtherFlags() []cli.Flag {
	return append(append(isoFlags(), logFlags()...),
		str(groupOther, "container-name-convention", "", "`pattern` of the names of container VMs: {name} is the container's, {short} and {id} its ID; {name}-{short} is the default"),
		toggle(groupOther, "force", "f", "trust any certificate of the target, take some errors of the checks as warnings, replace certificates that cannot be used"),
		toggle(groupOther, "no-reach-check", "", "do not ask the Docker API at the endpoint's address for a sign of life; for a machine that has no route to it"),
		toggle(groupOther, "dry-run", "", "run the checks, print what would be made and which privileges that needs, and make nothing"),
		&cli.StringFlag{Name: "output", Value: "text", Category: groupOther, Usage: "of the checks and the plan: `text` or json"},
		&cli.StringFlag{Name: "config", Category: groupOther, Usage: "TOML `file` with options, by their names, as inspect config prints it; the command line comes first"},
	)
}
