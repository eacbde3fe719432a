package config

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/vmware/govmomi/object"

	"github.com/openvic/vic/sdk/errdef"
)

// nfsVersion is what an NFS store is mounted with unless it says otherwise.
const nfsVersion = "4.1"

// MaxVolumeMB is vSphere's largest virtual disk, 62 TB.
const MaxVolumeMB = 62 << 20

// labelRule is what users may call a volume store.
var labelRule = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{1,199}$`)

// CheckVolumeStore refuses what cannot be the label of a volume store; ErrInvalid.
func CheckVolumeStore(label string) error {
	if !labelRule.MatchString(label) {
		return fmt.Errorf("%.200q is not a label of 2 to 200 letters, digits, '_', '.' and '-', with a letter or digit first: %w", label, errdef.ErrInvalid)
	}
	return nil
}

// Share is an NFS volume store.
type Share struct {
	Host    string // name or address, with a port if it is not NFS's own
	Path    string // absolute
	Version string // "3", "4", "4.1", "4.2"
	Options string // further mount options, as nfs(5) has them: "soft,timeo=50"
	// UID and GID own the directories of new volumes; -1: whoever the server makes of root.
	UID, GID int
}

// At is the share's locator of a directory in it, with the version and the options.
func (s Share) At(dir string) string {
	u := url.URL{Scheme: "nfs", Host: s.Host, Path: path.Join(s.Path, dir), RawQuery: "vers=" + s.Version}
	if s.Options != "" {
		u.RawQuery += "&" + strings.ReplaceAll(s.Options, ",", "&")
	}
	return u.String()
}

// ParseShare reads "nfs://host/path?vers=4.1&soft&uid=1000&gid=1000". ok is false if it is no URL of that scheme;
// ErrInvalid if it is a wrong one.
func ParseShare(store string) (s Share, ok bool, err error) {
	if !strings.HasPrefix(store, "nfs://") {
		return s, false, nil
	}
	wrong := func(why string) (Share, bool, error) {
		return s, true, fmt.Errorf("%q: %s: %w", store, why, errdef.ErrInvalid)
	}
	u, err := url.Parse(store)
	switch {
	case err != nil:
		return wrong("it is not a URL like nfs://host/path")
	case u.Host == "" || path.Clean("/"+u.Path) == "/":
		return wrong("host or path is missing, as in nfs://host/path")
	case u.User != nil || u.Fragment != "":
		return wrong("it holds more than host, path and options")
	}
	s = Share{Host: u.Host, Path: path.Clean(u.Path), Version: nfsVersion, UID: -1, GID: -1}
	var options []string
	for _, o := range strings.FieldsFunc(u.RawQuery, func(r rune) bool { return r == '&' || r == ',' }) {
		key, value, _ := strings.Cut(o, "=")
		switch key {
		case "vers", "nfsvers":
			s.Version = value
		case "uid", "gid":
			n, err := strconv.ParseUint(value, 10, 31)
			if err != nil {
				return wrong(key + " is not a number")
			}
			if key == "uid" {
				s.UID = int(n)
			} else {
				s.GID = int(n)
			}
		case "addr", "clientaddr", "bg", "fg":
			return wrong("the option " + key + " is not for a store")
		default:
			options = append(options, o)
		}
	}
	s.Options = strings.Join(options, ",")
	switch s.Version {
	case "3", "4", "4.0", "4.1", "4.2":
		return s, true, nil
	}
	return wrong("NFS version " + s.Version + " is none of 3, 4.0, 4.1, 4.2")
}

func (c *Config) validateVolumes(bad func(string, string, ...any)) {
	for label, store := range c.Storage.VolumeStores {
		key := "storage.volume_stores." + label
		if err := CheckVolumeStore(label); err != nil {
			bad("storage.volume_stores", "%v", err)
			continue
		}
		if _, nfs, err := ParseShare(store); nfs {
			if err != nil {
				bad(key, "%v", err)
			}
			continue
		}
		var p object.DatastorePath
		if !p.FromString(store) || p.Path == "" {
			bad(key, "%q is neither a path like \"[datastore1] folder\" nor a share like nfs://host/path", store)
		}
	}
	if n := c.Storage.VolumeSizeMB; n < 1 || n > MaxVolumeMB {
		bad("storage.volume_size_mb", "%d is not between 1 and %d", n, MaxVolumeMB)
	}
}
