// Package guest is what the host and the tether agree on: the configuration that a VM finds in its
// guestinfo keys, the records that it leaves there, and (in linkv1) the protocol of the link.
package guest

import (
	"net/netip"
	"time"
)

// The guestinfo keys, all below Prefix. Values are one line of text.
const (
	Prefix = "guestinfo.vic."
	// KeyConfig holds a Config as JSON; host to guest.
	KeyConfig = "config"
	// KeyLink holds a Link as JSON, written by the compute driver; host to guest.
	KeyLink = "link"
	// KeyNetwork holds a NetworkConfig as JSON: what has changed since KeyConfig was written. Where
	// it is there, it stands in place of Config's own; host to guest.
	KeyNetwork = "network"
	// KeyExit holds an Exit as JSON; guest to host, written when the process has ended.
	KeyExit = "exit"
	// KeyStarted holds the RFC 3339 time at which the process was started; guest to host.
	KeyStarted = "started"
	// KeyAddresses holds the guest's addresses, separated by commas, with the interface names:
	// "eth0=172.16.0.2,eth0=fe80::1"; guest to host.
	KeyAddresses = "addresses"
	// KeyStatus holds a Status as JSON; appliance to host.
	KeyStatus = "status"
	// KeyUpdate holds an Update as JSON: what has changed since the Config was written; host to guest.
	KeyUpdate = "update"
	// KeyRevision holds a word that changes with every change of an appliance's KeyConfig; host to
	// guest. The appliance looks at it now and then, reads KeyConfig again when it is a new one, and
	// shows it in its Status once the change is in effect.
	KeyRevision = "revision"
	// KeySync holds a number that the guest writes and reads back, where it cannot otherwise tell which
	// answer belongs to which of its questions.
	KeySync = "sync"
)

// IPKey is the guestinfo key that VMware Tools write the guest's primary address to
// ("info-set guestinfo.ip 10.0.0.5"); vSphere shows it as guest.ipAddress.
const IPKey = "guestinfo.ip"

// RPCIPort is the name of the virtio-serial port that carries RPCI text where there is no VMware
// backdoor: each request is one line, "info-get guestinfo.x" or "info-set guestinfo.x value"; each
// answer is one line, "1 value" or "0 reason". Between answers the host may send "tclo OS_Halt", which
// asks the guest to shut down, or "tclo Time_Synchronize 1": the machine was paused, or has moved.
const RPCIPort = "org.openvic.rpci"

// TimeCommand asks for the host's time, in whole seconds and microseconds since 1970: "1 1790000000
// 250000". RPCI has no such command: on ESXi the backdoor itself tells the time (GETTIMEFULL), which
// QEMU's model of it does not.
const TimeCommand = "time"

// Directories in the file system of a container's disk.
const (
	RootfsDir = "rootfs" // the container's root file system
	StateDir  = "vic"    // the tether's: StateDir/log holds the output
)

// VolumeDir is the directory in the file system of a volume's disk that containers see: they do not
// see the file system's own lost+found.
const VolumeDir = "data"

// SCSITarget is the SCSI target (unit number) of the i-th disk: 0 to 6, 8 to 15. Target 7 is the
// controller's own on vSphere.
func SCSITarget(i int) int {
	if i >= 7 {
		return i + 1
	}
	return i
}

// MaxDisks is the number of disks that one controller takes.
const MaxDisks = 15

// Config is all that a tether needs to know. A VM with Appliance set runs services (the endpoint
// VM); any other runs one process.
type Config struct {
	Version    int       `json:"version"` // 1
	ID         string    `json:"id"`
	Name       string    `json:"name,omitempty"`
	Hostname   string    `json:"hostname,omitempty"`
	Domainname string    `json:"domainname,omitempty"`
	Root       Root      `json:"root,omitzero"`
	Mounts     []Mount   `json:"mounts,omitempty"`
	Networks   []Network `json:"networks,omitempty"`
	Hosts      []Host    `json:"hosts,omitempty"`
	DNS        DNS       `json:"dns,omitzero"`
	Process    Process   `json:"process,omitzero"`
	Log        Log       `json:"log,omitzero"`
	Restart    Restart   `json:"restart,omitzero"`
	Health     *Health   `json:"health,omitempty"`
	Limits     Limits    `json:"limits,omitzero"`
	Security   Security  `json:"security,omitzero"`
	Tmpfs      []Tmpfs   `json:"tmpfs,omitempty"`
	// Sysctl are set before the process starts.
	Sysctl map[string]string `json:"sysctl,omitempty"`
	// ShmSize is the size of /dev/shm in bytes; 0 means 64 MiB.
	ShmSize int64 `json:"shmSize,omitempty"`
	// Identity is what the tether shows on the link.
	Identity  Identity   `json:"identity,omitzero"`
	Appliance *Appliance `json:"appliance,omitempty"`
}

// Root says how the container's root file system is assembled from disks.
type Root struct {
	Kind     string `json:"kind,omitempty"`  // "single" or "overlay", as storage.RootKind
	Disks    []int  `json:"disks,omitempty"` // indices into compute.CreateRequest.Disks
	ReadOnly bool   `json:"readonly,omitempty"`
}

// Mount is a disk, or another file system, that is mounted somewhere below the root.
type Mount struct {
	// Disk counts if FSType is empty: the index into compute.CreateRequest.Disks.
	Disk     int    `json:"disk"`
	Target   string `json:"target"`
	ReadOnly bool   `json:"readonly,omitempty"`
	// FSType, Source and Options, if FSType is not empty, are what mount(8) takes in place of a
	// disk: "nfs", "filer:/export", "vers=4.1,soft".
	FSType  string `json:"fstype,omitempty"`
	Source  string `json:"source,omitempty"`
	Options string `json:"options,omitempty"`
	// SubDir is the directory of the file system that is mounted, e.g. VolumeDir; it is made if it
	// is not there. Mounts of one disk or source share one file system.
	SubDir string `json:"subdir,omitempty"`
	// Volume is the volume's name, for messages.
	Volume string `json:"volume,omitempty"`
	// Populate: if it is empty it gets what the image has at Target, with the owner, mode and
	// extended attributes of the directory itself.
	Populate bool `json:"populate,omitempty"`
	// Format makes an ext4 of this label on a disk that holds no file system yet (appliance only).
	Format string `json:"format,omitempty"`
}

// Network configures one NIC, found by its MAC address.
type Network struct {
	ID        string         `json:"id,omitempty"`
	Name      string         `json:"name"`                // network name
	MAC       string         `json:"mac"`                 // empty: the VM has one NIC (appliance only)
	Interface string         `json:"interface,omitempty"` // renamed to this; default eth0, eth1, ... in order
	DHCP      bool           `json:"dhcp,omitempty"`
	Addresses []netip.Prefix `json:"addresses,omitempty"`
	Gateway   netip.Addr     `json:"gateway,omitzero"`  // default route if valid
	Gateway6  netip.Addr     `json:"gateway6,omitzero"` // likewise of IPv6
	// NoGateway ignores the default route that DHCP gives (appliance only): a VM with several networks
	// has one of them to the rest of the world.
	NoGateway bool    `json:"noGateway,omitempty"`
	Routes    []Route `json:"routes,omitempty"`
	// Names and Links are for the network driver, which finds them here again after a restart:
	// what the container is called on this network, and what it calls others (alias to name).
	Names    []string          `json:"names,omitempty"`
	Links    map[string]string `json:"links,omitempty"`
	Upstream []netip.Addr      `json:"upstream,omitempty"` // DNS servers that the driver asks for it
	Firewall *Firewall         `json:"firewall,omitempty"`
}

// Route is a static route.
type Route struct {
	Destination netip.Prefix `json:"destination"`
	Via         netip.Addr   `json:"via"`
}

// Host is a line of /etc/hosts.
type Host struct {
	Address netip.Addr `json:"address"`
	Names   []string   `json:"names"`
}

// DNS is /etc/resolv.conf. With DHCP and no servers, the ones that DHCP gave.
type DNS struct {
	Servers []netip.Addr `json:"servers,omitempty"`
	Search  []string     `json:"search,omitempty"`
	Options []string     `json:"options,omitempty"`
}

// Process is the container's process, or one of exec.
type Process struct {
	Args []string `json:"args,omitempty"`
	Env  []string `json:"env,omitempty"`
	Dir  string   `json:"dir,omitempty"`
	// User is Docker's "user", "uid", "user:group", "uid:gid"; looked up in the root file system.
	User      string   `json:"user,omitempty"`
	Groups    []string `json:"groups,omitempty"` // additional groups
	TTY       bool     `json:"tty,omitempty"`
	Stdin     bool     `json:"stdin,omitempty"`     // else /dev/null
	StdinOnce bool     `json:"stdinOnce,omitempty"` // close stdin when the first attached client ends
	Width     uint16   `json:"width,omitempty"`     // initial terminal size in characters
	Height    uint16   `json:"height,omitempty"`
	// Init puts a small init before the process: PID 1 passes signals on and reaps.
	Init    bool     `json:"init,omitempty"`
	Rlimits []Rlimit `json:"rlimits,omitempty"`
	// Privileged gives an exec all capabilities, whatever Config.Security says.
	Privileged bool `json:"privileged,omitempty"`
}

// Log bounds the output that is kept.
type Log struct {
	None     bool  `json:"none,omitempty"`     // nothing is kept: output is for those who are attached
	MaxSize  int64 `json:"maxSize,omitempty"`  // bytes per file; 0 means 16 MiB
	MaxFiles int   `json:"maxFiles,omitempty"` // files kept; 0 means 5
}

// Identity is the tether's key pair for the link and the authority that the host must show; all
// PEM. The certificate's common name and DNS name are the container's ID; the host's certificate
// has the common name HostName.
type Identity struct {
	CA   string `json:"ca,omitempty"`
	Cert string `json:"cert,omitempty"`
	Key  string `json:"key,omitempty"`
}

// HostName is the name that the host's certificate carries on the link. On the link the tether is
// the TLS server (it serves gRPC) though it is the one that dials.
const HostName = "vicd"

// Link tells the tether where to dial. After connecting it sends the preface, the line
// PrefacePrefix + ID + "\n", and then serves TLS on the same connection.
type Link struct {
	// Address is "host:port". An IPv6 link-local host has no zone: the interface comes from MAC.
	Address string `json:"address"`
	MAC     string `json:"mac"` // the NIC to dial from
	// Isolated: the NIC is the tether's alone; it goes into a network namespace of its own that the
	// container does not see.
	Isolated bool `json:"isolated,omitempty"`
}

// PrefacePrefix begins the preface line of a link.
const PrefacePrefix = "VIC1 "

// Exit is the record of a finished run.
type Exit struct {
	Code     int32     `json:"code"`
	OOM      bool      `json:"oom,omitempty"`
	Error    string    `json:"error,omitempty"`
	Started  time.Time `json:"started,omitzero"`
	Finished time.Time `json:"finished,omitzero"`
}

// Status is what an appliance's supervisor reports.
type Status struct {
	State   string `json:"state"` // "starting", "ready", "failed"
	Message string `json:"message,omitempty"`
	// Services is name to "running", "ready", "reloading", "exited 1", "reload failed: why", ...
	Services map[string]string `json:"services,omitempty"`
	// Revision is the value of KeyRevision whose configuration was handed to the services last.
	Revision string `json:"revision,omitempty"`
	// Debug is what KeyDebug has led to; nil: nothing since the boot.
	Debug *DebugStatus `json:"debug,omitempty"`
	Time  time.Time    `json:"time"`
}

// Appliance makes the tether a supervisor of services.
type Appliance struct {
	// Files are written before the services start, below /.
	Files []File `json:"files,omitempty"`
	// Services are started in order and started again when they end, after 0.1 s at first and up
	// to 30 s when they keep ending. A service gets SIGHUP when files have changed, and is started anew
	// when its own arguments or environment have.
	Services []Service         `json:"services"`
	Sysctl   map[string]string `json:"sysctl,omitempty"`
	Modules  []string          `json:"modules,omitempty"` // kernel modules to load
	// Syslog is where the services' output goes too: "udp://host:port" or "tcp://host:port".
	Syslog string `json:"syslog,omitempty"`
}

// File is a file of the appliance's configuration.
type File struct {
	Path string `json:"path"`
	Mode uint32 `json:"mode,omitempty"` // 0 means 0600
	Data []byte `json:"data"`
}

// Service is one supervised program. NOTIFY_SOCKET is set for it: it reports READY=1 and STATUS=...
// as sd_notify(3) describes; after a reload READY=1 again, or ERRNO=1 with a STATUS that says why the
// old configuration stays in use.
type Service struct {
	Name string   `json:"name"`
	Args []string `json:"args"`
	Env  []string `json:"env,omitempty"`
}
