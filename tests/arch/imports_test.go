package arch

import (
	"slices"
	"strings"
	"testing"
)

// module is the path of this module.
const module = "github.com/openvic/vic/"

// rule says what the packages of a folder may import. Folders match with all below them; the
// longest prefix of several in an allow list needs no care, since any match is enough.
type rule struct {
	folder string
	// except lists folders below it that the rule is not for.
	except []string
	// ours lists the folders of this module that may be imported, beside the folder itself.
	// nil allows all that is not denied.
	ours []string
	// denied lists import paths that must not be imported, ours ("core/plugin") or others
	// ("net/http").
	denied []string
	// also denied, not only directly but through any other package.
	deepDenied []string
	// thirdParty lists the modules that may be imported from outside the standard library and this
	// module; nil allows all that is not denied.
	thirdParty []string
}

const (
	govmomi  = "github.com/vmware/govmomi"
	goPlugin = "github.com/hashicorp/go-plugin"
	grpc     = "google.golang.org/grpc"
	protobuf = "google.golang.org/protobuf"
	rpcTypes = "google.golang.org/genproto/googleapis/rpc" // the details of a gRPC status
	docker   = "github.com/docker/docker"
)

var engineMayNot = []string{"core/dockerapi", "core/plugin", "core/config", "core/admin", "sdk/proto", "net/http", grpc, docker}

// rules is DESIGN section 4.
func rules() []rule {
	return []rule{
		{folder: "sdk", ours: []string{}, thirdParty: []string{grpc, protobuf, rpcTypes, goPlugin, "github.com/hashicorp/go-hclog", "github.com/BurntSushi/toml"}},
		{folder: "tether", ours: []string{"sdk/guest", "sdk/errdef"}, deepDenied: []string{goPlugin, govmomi}},
		{folder: "drivers", except: []string{"drivers/vsphere/machine"}, ours: []string{"sdk"}},
		{folder: "plugins", except: []string{"plugins/auth-vsphere"}, ours: []string{"sdk"}, denied: []string{govmomi}},
		{folder: "plugins/auth-vsphere", ours: []string{"sdk", "plugins/internal"}},
		{folder: "core", ours: []string{"sdk"}, deepDenied: []string{govmomi}},
		{folder: "core/engine", denied: engineMayNot},
		{folder: "core/access", ours: []string{}, thirdParty: []string{}},
		{folder: "core/dockerapi", denied: []string{"core/plugin", "sdk/proto"}},
		{folder: "contrib/lab", ours: []string{"sdk/guest"}},
		// A plugin links the kinds that it names, so that what all plugins link knows none.
		{folder: "sdk/serve", deepDenied: append(kindFolders("github.com/openvic/vic/sdk/"), module+"sdk/handover", module+"sdk/guest")},
		{folder: "sdk/kind", ours: []string{"sdk/errdef"}},
		// All kinds are treated alike: core/kinds holds the table, and who works with one kind asks for it.
		{folder: "core/plugin", except: []string{"core/plugin/internal"}, denied: kindFolders("sdk/")},
		{folder: "core/config", denied: kindFolders("sdk/")},
		{folder: "core/admin", except: []string{"core/admin/site"}, denied: kindFolders("sdk/")}, // the site shows the platform
		// The installer of a driver set knows the driver's configuration, privileges and session; it runs
		// where administrators sit and links no plugin, nor the kinds that one serves, but for the client by which it registers
		// hubs at vCenter Single Sign-On. Its service keeps guessers and browsers out as all our APIs do.
		{folder: "drivers/vsphere/machine", ours: []string{"sdk/guest", "sdk/errdef", "drivers/vsphere/config", "drivers/vsphere/privileges",
			"drivers/vsphere/session", "core/access", "plugins/auth-vsphere/sso", "sdk/secret"},
			deepDenied: append(kindFolders(module+"sdk/"), goPlugin, module+"sdk/serve")},
		// The driver does not know who installs it.
		{folder: "drivers/vsphere", except: []string{"drivers/vsphere/machine"}, denied: []string{"drivers/vsphere/machine"}},
		// The appliance is built with what vicd says of the plugins in it.
		{folder: "contrib", ours: []string{"sdk/guest", "core/config", "core/kinds"}},
	}
}

func TestImportsFollowTheRules(t *testing.T) {
	for _, p := range packages(t) {
		for _, r := range rules() {
			if !r.covers(p.name()) {
				continue
			}
			for _, imp := range p.Imports {
				if why := r.refuses(p.name(), imp); why != "" {
					t.Errorf("%s imports %s: %s", p.name(), strings.TrimPrefix(imp, module), why)
				}
			}
			for _, imp := range p.Deps {
				if matches(imp, r.deepDenied) {
					t.Errorf("%s depends on %s, which %s must not", p.name(), imp, r.folder)
				}
			}
		}
	}
}

func TestOneDriverDoesNotImportAnother(t *testing.T) {
	for _, p := range packages(t) {
		for _, folder := range []string{"drivers", "plugins"} {
			if !within(p.name(), folder) {
				continue
			}
			for _, imp := range p.Imports {
				name, ours := strings.CutPrefix(imp, module)
				if within(name, folder+"/internal") {
					continue // what they share
				}
				if ours && within(name, folder) && second(name) != second(p.name()) {
					t.Errorf("%s imports %s: one plugin may not import another", p.name(), name)
				}
			}
		}
	}
}

func TestOnlyServeImportsGoPlugin(t *testing.T) {
	for _, p := range packages(t) {
		if !within(p.name(), "sdk") || within(p.name(), "sdk/serve") {
			continue
		}
		for _, imp := range p.Imports {
			if matches(imp, []string{goPlugin, "github.com/hashicorp/go-hclog", "github.com/BurntSushi/toml"}) {
				t.Errorf("%s imports %s: in the SDK that is for sdk/serve alone", p.name(), imp)
			}
		}
	}
}

// The rules are only worth something if they can fail.
func TestRulesRefuse(t *testing.T) {
	for _, c := range []struct {
		from, imp string
		ok        bool
	}{
		{"core/engine", "net/http", false},
		{"core/engine", module + "core/dockerapi", false},
		{"core/engine", module + "core/image", true},
		{"core/plugin", module + "drivers/vsphere", false},
		{"core/plugin", govmomi + "/object", true}, // refused as a dependency, see deepDenied
		{"core/dockerapi", module + "sdk/proto/compute/v1", false},
		{"core/dockerapi", docker + "/api/server", true},
		{"tether/linkserver", module + "core/engine", false},
		{"tether/linkserver", module + "sdk/guest/linkv1", true},
		{"tether/linkserver", module + "sdk/compute", false},
		{"sdk/compute", "github.com/urfave/cli/v2", false},
		{"sdk/compute", "time", true},
		{"drivers/vsphere/machine/vch", module + "core/config", false},
		{"drivers/vsphere/machine/vch", module + "drivers/vsphere/session", true},
		{"drivers/vsphere/machine/hubvm", module + "plugins/auth-vsphere/sso", true},
		{"drivers/vsphere/machine/hubvm", module + "plugins/auth-vsphere", false},
		{"drivers/vsphere/machine/vch", module + "drivers/vsphere/storage", false},
		{"drivers/vsphere/session", module + "drivers/vsphere/machine/advice", false},
		{"drivers/vsphere", module + "drivers/vsphere/machine/vch", false},
		{"contrib/lab/vsphere", module + "drivers/vsphere", false},
		{"drivers/vsphere", module + "core/image", false},
		{"core/plugin", module + "sdk/compute", false},
		{"core/config", module + "sdk/network", false},
		{"core/kinds", module + "sdk/network", true},
		{"sdk/kind", module + "sdk/compute", false},
		{"plugins/auth-local", govmomi + "/sts", false},
		{"plugins/auth-vsphere/sso", govmomi + "/sts", true},
		{"plugins/auth-vsphere", module + "drivers/vsphere/session", false},
	} {
		refused := ""
		for _, r := range rules() {
			if r.covers(c.from) && refused == "" {
				refused = r.refuses(c.from, c.imp)
			}
		}
		if (refused == "") != c.ok {
			t.Errorf("%s imports %s: refused %q, want allowed = %v", c.from, c.imp, refused, c.ok)
		}
	}
}

func (r rule) covers(name string) bool { return within(name, r.folder) && !matches(name, r.except) }

// refuses says why a package must not have an import, or nothing.
func (r rule) refuses(from, imp string) string {
	name, ours := strings.CutPrefix(imp, module)
	switch {
	case matches(name, r.denied):
		return r.folder + " must not import that"
	case ours && r.ours != nil && !within(name, r.folder) && !matches(name, r.ours):
		return r.folder + " may import of ours only " + strings.Join(append([]string{r.folder}, r.ours...), ", ")
	case !ours && r.thirdParty != nil && thirdParty(imp) && !matches(imp, r.thirdParty):
		return r.folder + " may import of others only " + strings.Join(r.thirdParty, ", ")
	default:
		return ""
	}
}

// thirdParty tells modules from the standard library, whose paths have no dot.
func thirdParty(imp string) bool {
	first, _, _ := strings.Cut(imp, "/")
	return strings.Contains(first, ".")
}

func matches(name string, folders []string) bool {
	return slices.ContainsFunc(folders, func(folder string) bool { return within(name, folder) })
}

func within(name, folder string) bool {
	return name == folder || strings.HasPrefix(name, folder+"/")
}

// second returns the second element of a path: the name of a driver.
func second(name string) string {
	parts := strings.Split(name, "/")
	if len(parts) < 2 {
		return ""
	}
	return parts[1]
}
