package vch

import (
	"errors"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/simtest"
	"github.com/openvic/vic/sdk/errdef"
)

// wanting is a change of a VCH as an Editor has read it.
func wanting(e *Editor, registry string, limit int64) Change {
	set := e.Record().Settings
	set.InsecureRegistries = append(set.InsecureRegistries, registry)
	set.Memory.Limit = limit
	return Change{Settings: set}
}

func TestWhoChangesWhatSomebodyElseHasChangedIsRefused(t *testing.T) {
	s := simtest.New(t)
	made(t, s, ready)
	first, second, upgrade := open(t, s), open(t, s), open(t, s)
	if _, err := first.Configure(t.Context(), wanting(first, "a:1", 0)); err != nil {
		t.Fatal(err)
	}
	before := s.Inventory()
	if _, err := second.Configure(t.Context(), wanting(second, "b:2", 2048)); !errors.Is(err, errdef.ErrConflict) || advice.Of(err) != "run the command again" {
		t.Errorf("error %v", err)
	}
	if _, err := upgrade.Upgrade(t.Context(), images(t, "2")); !errors.Is(err, errdef.ErrConflict) {
		t.Errorf("upgrade: %v", err)
	}
	if s.Inventory() != before {
		t.Error("the upgrade left its images behind")
	}
	now := open(t, s)
	if r := now.Record(); strings.Join(r.Settings.InsecureRegistries, " ") != "a:1" || r.Version != "1" {
		t.Errorf("%+v", r)
	}
	if m, _, err := allocations(t.Context(), s.Session, poolOf(t, now)); err != nil || m.Limit != 0 {
		t.Errorf("the limits were changed: %+v %v", m, err)
	}
	if _, err := now.Configure(t.Context(), wanting(now, "b:2", 2048)); err != nil {
		t.Errorf("again: %v", err)
	}
	if r := open(t, s).Record(); strings.Join(r.Settings.InsecureRegistries, " ") != "a:1 b:2" {
		t.Errorf("%+v", r)
	}
}

// TestAChangeThatIsOvertakenIsNotTakenBack: the endpoint never says that it has the first change, for it
// gets the second one before.
func TestAChangeThatIsOvertakenIsNotTakenBack(t *testing.T) {
	s := simtest.New(t)
	slow := ""
	made(t, s, func(_, revision string) string {
		if slow == "" {
			slow = revision
		}
		if revision != "" && revision == slow {
			return "starting"
		}
		return "ready"
	})
	was := open(t, s).config
	first := open(t, s)
	done := make(chan error, 1)
	go func() {
		_, err := first.Configure(t.Context(), wanting(first, "a:1", 0))
		done <- err
	}()
	s.Until("the first change is written", func() bool { return open(t, s).config != was })
	second := open(t, s)
	if _, err := second.Configure(t.Context(), wanting(second, "b:2", 0)); err != nil {
		t.Errorf("the second change: %v", err)
	}
	if err := <-done; err != nil {
		t.Errorf("the first change: %v", err)
	}
	if r := open(t, s).Record(); strings.Join(r.Settings.InsecureRegistries, " ") != "a:1 b:2" {
		t.Errorf("%+v", r.Settings)
	}
}

func poolOf(t *testing.T, e *Editor) types.ManagedObjectReference {
	t.Helper()
	ref, ok := e.Record().poolRef()
	if !ok {
		t.Fatal("no pool")
	}
	return ref
}
