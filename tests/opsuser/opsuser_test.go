package opsuser

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/openvic/vic/drivers/vsphere/privileges"
	"github.com/openvic/vic/drivers/vsphere/session"
	"github.com/openvic/vic/sdk/errdef"
)

var update = flag.Bool("update", false, "write docs/operations-user.md instead of comparing it")

const page = "../../docs/operations-user.md"

func TestThePrivilegesAreEnough(t *testing.T) {
	w := newWorld(t)
	for name, pool := range map[string]bool{"vApp": false, "resource pool": true} {
		t.Run(name, func(t *testing.T) {
			v := w.newVCH(t, pool)
			v.grant(t, lacking{})
			defer v.revoke()
			if o := v.live(t.Context(), t.TempDir()); o.err != nil {
				t.Errorf("%s: %v", o.step, o.err)
			}
		})
	}
}

// Each privilege is taken away by itself. Something must fail then, as denied, and the message must
// name the privilege; what fails is written down.
func TestNoneOfThePrivilegesIsTooMany(t *testing.T) {
	w := newWorld(t)
	var text strings.Builder
	text.WriteString(head)
	for _, pool := range []bool{false, true} {
		text.WriteString(map[bool]string{false: "\n## A VCH that is a vApp\n", true: "\n## A VCH that is a resource pool (a single ESXi host)\n"}[pool])
		for _, place := range privileges.Places(pool) {
			text.WriteString(section(t, w, pool, place))
		}
	}
	text.WriteString(hubSection())
	if *update {
		must(t, os.WriteFile(page, []byte(text.String()), 0o644))
		return
	}
	have, err := os.ReadFile(page)
	must(t, err)
	if string(have) != text.String() {
		t.Errorf("docs/operations-user.md is not what this run found; go test ./tests/opsuser -update writes it. Found:\n%s", text.String())
	}
}

// section tries what one place needs.
func section(t *testing.T, w *world, pool bool, place privileges.Place) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "\n### %s\n\n%s\n\n| without | fails first | with |\n| --- | --- | --- |\n", titles()[place], onto(place))
	missing := []lacking{{place, ""}}
	for _, id := range privileges.Role(place) {
		missing = append(missing, lacking{place, id})
	}
	for _, l := range missing {
		name := l.privilege
		if name == "" {
			name = "any permission"
		}
		t.Run(fmt.Sprintf("pool=%v %s without %s", pool, place, name), func(t *testing.T) {
			v := w.newVCH(t, pool)
			v.grant(t, l)
			defer v.revoke()
			o := v.live(t.Context(), t.TempDir())
			switch {
			case o.err == nil:
				t.Errorf("nothing fails: it is not needed")
				return
			case l.privilege != "" && !errors.Is(o.err, errdef.ErrDenied):
				t.Errorf("%s: not ErrDenied: %v", o.step, o.err)
			case !strings.Contains(o.err.Error(), l.privilege):
				t.Errorf("%s: the privilege is not named: %v", o.step, o.err)
			}
			fmt.Fprintf(&b, "| %s | %s | %s |\n", name, o.step, cell(message(o, v)))
		})
	}
	return b.String()
}

// cell makes a message fit for a table: without numbers that differ from run to run.
func cell(s string) string {
	s = regexp.MustCompile(`\b(vm|group|datacenter|datastore|resgroup|dvportgroup|dvs)-v?\d+\b`).ReplaceAllString(s, "$1-N")
	s = regexp.MustCompile(`[0-9a-f]{12,64}`).ReplaceAllString(s, "ID")
	// What every message says, head tells once.
	s = strings.ReplaceAll(s, strings.TrimPrefix(session.Denied("X"), "the vSphere account of this VCH lacks X"), "")
	return strings.ReplaceAll(strings.ReplaceAll(s, "\n", " "), "|", `\|`)
}

func titles() map[privileges.Place]string {
	return map[privileges.Place]string{privileges.Datacenter: "On the datacenter", privileges.Datastore: "On each datastore",
		privileges.Network: "On the bridge's port group and on container networks", privileges.Switch: "On their distributed switch",
		privileges.VCH: "On the vApp", privileges.Pool: "On the resource pool", privileges.Folder: "On the VM folder"}
}

// onto says how to grant, and what for.
func onto(place privileges.Place) string {
	var b strings.Builder
	if place.Propagates() {
		b.WriteString("With \"propagate to children\".")
	} else {
		b.WriteString("Without propagating.")
	}
	if len(privileges.Needs(place)) == 0 {
		b.WriteString(" The role Read-only is enough.")
	}
	for _, n := range privileges.Needs(place) {
		fmt.Fprintf(&b, "\n- `%s`: %s", n.ID, n.For)
	}
	return b.String()
}

const head = `# The operations user

The endpoint VM of a VCH works in vSphere with an account of its own, the operations user. It needs the privileges below and no others. ` +
	"`vic-machine create --ops-user NAME --ops-password PASSWORD --ops-grant-perms`" +
	` makes the roles and grants them; to do it by hand, make one role for each heading and give it to the user on the object that the heading names. Every role of vCenter also holds System.Anonymous, System.View and System.Read. With ` + "`--affinity-vm-group`" + ` it needs ` + "`Host.Inventory.EditCluster`" + ` on the cluster too, without propagating; the driver then puts each container VM into the VCH's group.

A test writes this page (` + "`go test ./tests/opsuser -update`" +
	`): it runs the drivers against the lab, which enforces permissions. With exactly these privileges everything works; the tables say what fails first without one of them. When vSphere refuses a call, the error names the privilege and the object, and says how to grant it. The tables leave that advice out; N stands for a number, ID for a container's.
`
