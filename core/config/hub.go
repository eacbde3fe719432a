package config

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/openvic/vic/core/kinds"
	"github.com/openvic/vic/sdk/serve/strict"
)

// Hub is hub.toml; conf/hub.toml explains every key.
type Hub struct {
	Name   string `toml:"name"`
	Listen string `toml:"listen"`
	// URL is the address that clients are told, for token services and redirects; empty: the one that they used.
	URL      string      `toml:"url"`
	Data     string      `toml:"data"`
	TLS      HubTLS      `toml:"tls"`
	Limits   HubLimits   `toml:"limits"`
	Database HubDatabase `toml:"database"`
	Storage  HubStorage  `toml:"storage"`
	Access   HubAccess   `toml:"access"`
	GC       HubGC       `toml:"gc"`
	Outbound HubOutbound `toml:"outbound"`
	Audit    HubAudit    `toml:"audit"`
	Scan     HubScan     `toml:"scan"`
	// Replication is how much goes to other registries, and comes from them, at once.
	Replication HubReplication `toml:"replication"`
	Plugins     Plugins        `toml:"plugins"`
	Roles       Roles          `toml:"roles"`
	// File is where this was read; empty: nowhere.
	File string `toml:"-"`
}

// HubTLS is the certificate of the hub's one port.
type HubTLS struct {
	Cert string `toml:"cert"`
	Key  string `toml:"key"`
	// Names are the host names and addresses in the certificate that the hub makes itself when Cert is empty.
	Names []string `toml:"names"`
	// ACME gets a certificate for further names.
	ACME HubACME `toml:"acme"`
}

// HubACME is an authority that gives the hub a certificate by ACME; without Names there is none.
type HubACME struct {
	Names     []string `toml:"names"`
	Directory string   `toml:"directory"` // empty: Let's Encrypt
	Email     string   `toml:"email"`
	CA        string   `toml:"ca"` // file of who signed the directory's certificate; empty: the system's authorities
}

// acmeHost is a host name with a dot in it: no authority issues for others.
var acmeHost = regexp.MustCompile(`^([a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?\.)+[a-zA-Z][a-zA-Z0-9-]*$`)

func (a HubACME) validate() error {
	for _, n := range a.Names {
		if !acmeHost.MatchString(n) || len(n) > 253 {
			return invalid("tls.acme.names", "%q is no full host name, such as hub.example.com", n)
		}
	}
	if len(a.Names) == 0 && (a.Directory != "" || a.CA != "" || a.Email != "") {
		return invalid("tls.acme.names", "is empty: name the hosts that the certificate is for")
	}
	if a.Directory != "" && !strings.HasPrefix(a.Directory, "https://") {
		return invalid("tls.acme.directory", "%q does not begin with https://", a.Directory)
	}
	return nil
}

// HubLimits bound what comes in at the port.
type HubLimits struct {
	// Connections are all that are open at once; PerAddress those from one IPv4 address or IPv6 /64. 0: no bound.
	Connections int `toml:"connections"`
	PerAddress  int `toml:"connections_per_address"`
}

// HubDatabase is where the hub remembers.
type HubDatabase struct {
	URL string `toml:"url"`
}

// HubStorage is where the content of images lies.
type HubStorage struct {
	Folder string `toml:"folder"`
	S3     HubS3  `toml:"s3"`
	// Redirect lets clients fetch content from S3 themselves.
	Redirect bool `toml:"redirect"`
}

// HubS3 is a bucket; an empty Bucket means that there is none.
type HubS3 struct {
	Bucket   string `toml:"bucket"`
	Region   string `toml:"region"`
	Endpoint string `toml:"endpoint"`
	Prefix   string `toml:"prefix"`
	// Credentials is a file of two lines, the access key and the secret key; empty: those of the machine's role.
	Credentials string `toml:"credentials"`
}

// HubGC says when the hub collects garbage without being told.
type HubGC struct {
	Hourly  bool `toml:"hourly"`
	OnStart bool `toml:"on_start"`
}

// HubAudit says for how long the audit log is kept, 0: for ever; and where its lines go as well.
type HubAudit struct {
	KeepDays int `toml:"keep_days"`
	// Syslog is udp://HOST:PORT, tcp://HOST:PORT or tls://HOST:PORT; empty: nowhere. SyslogCA is a file with the authority
	// of a TLS server; empty: the system's.
	Syslog   string `toml:"syslog"`
	SyslogCA string `toml:"syslog_ca"`
}

func (a HubAudit) validate() error {
	const most = 36500
	if a.KeepDays < 0 || a.KeepDays > most {
		return invalid("audit.keep_days", "%d: want 1 to %d days, or 0 for ever", a.KeepDays, most)
	}
	return nil
}

// HubScan is where scanners find the hub.
type HubScan struct {
	// URL is its address for them; empty: that of clients, or the first name of the certificate.
	URL string `toml:"url"`
	// CA is a file with the authority of the certificate that they see there; empty: the hub's own, or the system's.
	CA string `toml:"ca"`
}

// HubAccess says who begins with what.
type HubAccess struct {
	// CloudAdmins are groups, by ID, that are cloud administrators of a hub that has none yet; empty: those that the
	// identity sources name.
	CloudAdmins []string `toml:"cloud_admins"`
	// SessionIdle and SessionLongest are when a browser's session ends: without a request, and in all.
	SessionIdle    time.Duration `toml:"session_idle"`
	SessionLongest time.Duration `toml:"session_longest"`
	// CheckEvery is how old the word of an identity source about a user may be; Outage is how long the last one counts while
	// the source does not answer.
	CheckEvery time.Duration `toml:"check_every"`
	Outage     time.Duration `toml:"outage"`
	// Examples is the word that the names of the example users begin with; empty: there are none.
	Examples string `toml:"examples"`
}

// HubOutbound is where the hub itself may connect to because a user named an address. Each entry is an address or a range
// of addresses.
type HubOutbound struct {
	Allow []string `toml:"allow"`
	Deny  []string `toml:"deny"`
}

// HubReplication bounds what one hub copies to other registries, and from them.
type HubReplication struct {
	// Parallel is how many artifacts are copied at once.
	Parallel int `toml:"parallel"`
}

func (r HubReplication) validate() error {
	const most = 64
	if r.Parallel < 1 || r.Parallel > most {
		return invalid("replication.parallel", "%d: want 1 to %d artifacts", r.Parallel, most)
	}
	return nil
}

// DefaultHub holds the values of keys that hub.toml leaves out.
func DefaultHub() Hub {
	return Hub{
		Name: "hub", Listen: "tcp://0.0.0.0:8443", Data: "/var/lib/vic-hub",
		TLS:     HubTLS{Names: []string{"localhost", "127.0.0.1"}},
		Limits:  HubLimits{Connections: 10000, PerAddress: 1000},
		Storage: HubStorage{S3: HubS3{Region: "us-east-1"}},
		Access:  HubAccess{SessionIdle: time.Hour, SessionLongest: 12 * time.Hour, CheckEvery: 10 * time.Minute, Outage: 12 * time.Hour},
		GC:      HubGC{Hourly: true}, Replication: HubReplication{Parallel: 4},
		Plugins: Plugins{Dir: "/etc/vic-hub/plugins.d"},
	}
}

// LoadHub reads and checks hub.toml. What is left empty and follows from Data is filled in.
func LoadHub(path string) (Hub, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Hub{}, fmt.Errorf("configuration: %w", err)
	}
	h, err := ParseHub(path, string(text))
	h.File = path
	return h, err
}

// ParseHub reads and checks the text of a hub.toml; path is for messages.
func ParseHub(path, text string) (Hub, error) {
	h := DefaultHub()
	if err := strict.Decode(path, text, &h); err != nil {
		return Hub{}, err
	}
	if err := h.validate(); err != nil {
		return Hub{}, fmt.Errorf("%s: %w", path, err)
	}
	if h.Database.URL == "" {
		h.Database.URL = "sqlite:" + filepath.Join(h.Data, "hub.db")
	}
	if h.Storage.Folder == "" && h.Storage.S3.Bucket == "" {
		h.Storage.Folder = filepath.Join(h.Data, "objects")
	}
	return h, nil
}

func (h Hub) validate() error {
	errs := []error{
		required("name", h.Name, "the hub's name"),
		address("listen", h.Listen),
		TLS{Cert: h.TLS.Cert, Key: h.TLS.Key}.validate(), h.TLS.ACME.validate(),
		httpURL("url", h.URL), httpURL("scan.url", h.Scan.URL), h.Database.validate(), h.Storage.validate(),
		required("plugins.dir", h.Plugins.Dir, "the directory with one TOML file for each plugin"),
		h.Roles.validate(), h.Audit.validate(), h.Outbound.validate(), h.Replication.validate(), h.Access.validate(),
	}
	for name, n := range map[string]int{"limits.connections": h.Limits.Connections, "limits.connections_per_address": h.Limits.PerAddress} {
		if n < 0 {
			errs = append(errs, invalid(name, "%d is no number of connections: 0 is no bound", n))
		}
	}
	if !filepath.IsAbs(h.Data) {
		errs = append(errs, invalid("data", "%q is not an absolute path", h.Data))
	}
	if h.TLS.Cert == "" && len(h.TLS.Names) == 0 {
		errs = append(errs, invalid("tls.names", "is empty: name the hosts and addresses that clients reach the hub by, or give tls.cert and tls.key"))
	}
	for _, k := range kinds.Engine() {
		if len(h.Roles[k]) > 0 {
			errs = append(errs, invalid("roles."+k, "is no role of a hub: containers run in virtual container hosts"))
		}
	}
	return errors.Join(errs...)
}

func httpURL(key, text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.User != nil {
		return invalid(key, "%q is not https://HOST or https://HOST:PORT", text)
	}
	return nil
}

// examplesWord is what every source of users takes in a name.
var examplesWord = regexp.MustCompile(`^[a-z][a-z0-9]{0,19}$`)

func (a HubAccess) validate() error {
	const day = 24 * time.Hour
	for _, d := range []struct {
		key         string
		value       time.Duration
		least, most time.Duration
	}{
		{"session_idle", a.SessionIdle, time.Minute, 30 * day}, {"session_longest", a.SessionLongest, a.SessionIdle, 30 * day},
		{"check_every", a.CheckEvery, time.Minute, day}, {"outage", a.Outage, a.CheckEvery, 30 * day},
	} {
		if d.value < d.least || d.value > d.most {
			return invalid("access."+d.key, "%s is not between %s and %s", d.value, d.least, d.most)
		}
	}
	if a.Examples != "" && !examplesWord.MatchString(a.Examples) {
		return invalid("access.examples", "%q is not a word of 1 to 20 small letters and digits that begins with a letter", a.Examples)
	}
	return nil
}

func (d HubDatabase) validate() error {
	for _, scheme := range []string{"", "sqlite:/", "postgres://", "postgresql://"} {
		if d.URL == "" || scheme != "" && strings.HasPrefix(d.URL, scheme) {
			return nil
		}
	}
	// It may hold a password and is not repeated.
	return invalid("database.url", "is neither sqlite:/PATH nor postgres://USER@HOST/NAME")
}

func (o HubOutbound) validate() error {
	var errs []error
	for key, list := range map[string][]string{"outbound.allow": o.Allow, "outbound.deny": o.Deny} {
		for _, text := range list {
			_, perr := netip.ParsePrefix(text)
			if _, err := netip.ParseAddr(text); err != nil && perr != nil {
				errs = append(errs, invalid(key, "%q is no address and no range of addresses like 10.0.0.0/8", text))
			}
		}
	}
	return errors.Join(errs...)
}

func (s HubStorage) validate() error {
	switch {
	case s.Folder != "" && s.S3.Bucket != "":
		return invalid("storage.folder and storage.s3.bucket", "exclude each other: content lies in one place")
	case s.Folder != "" && !filepath.IsAbs(s.Folder):
		return invalid("storage.folder", "%q is not an absolute path", s.Folder)
	case s.S3.Bucket != "" && s.S3.Region == "":
		return invalid("storage.s3.region", "is empty: give the bucket's region, or any word for a server that has none")
	case s.Redirect && s.S3.Bucket == "":
		return invalid("storage.redirect", "is for S3: there is no bucket to send clients to")
	}
	return nil
}
