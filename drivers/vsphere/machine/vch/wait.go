package vch

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/progress"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
)

// The extraConfig keys that matter here.
const (
	keyConfig    = guest.Prefix + guest.KeyConfig
	keyStatus    = guest.Prefix + guest.KeyStatus
	keyAddresses = guest.Prefix + guest.KeyAddresses
)

// patience is how long an endpoint may report a failure, and start its services again, before
// create gives up.
const patience = 30 * time.Second

// round is how long a wait for updates lasts, in seconds; after it the state is looked at again, so
// that patience can run out.
const round = 5

// waiter waits until an endpoint reports that it serves, and tells what happens meanwhile.
type waiter struct {
	client *vim25.Client
	vm     *object.VirtualMachine
	log    *progress.Log
	port   int
	iface  string // the interface whose address clients use
	// asks are the interfaces whose addresses DHCP gives; one without is told of.
	asks []string
	// revision, if set, is the configuration that the endpoint must have taken.
	revision string

	// look says where people find out more about this endpoint: a part of a sentence.
	look string

	said    []string  // what was printed already
	last    snapshot  // the newest
	failing time.Time // since when it has reported failures; zero: it has not
	why     string    // the first of them
	failed  snapshot  // in which it was
}

// snapshot is what matters of the endpoint VM's state.
type snapshot struct {
	power     types.VirtualMachinePowerState
	address   netip.Addr
	addresses string // of all interfaces, as the guest reports them
	revision  string // the configuration that was written last
	status    guest.Status
}

// wait follows the VM with a property collector: every change is seen at once, without polling.
func (w *waiter) wait(ctx context.Context) (*Ready, error) {
	for {
		ready, err := w.follow(ctx)
		if ctx.Err() != nil {
			err := fmt.Errorf("the endpoint does not serve yet; %s: %w", w.lastSaid(), context.Cause(ctx))
			if known := w.cause(w.last).advice(); known != "" {
				err = advice.Wrap(err, "%s", known)
			}
			return nil, err
		}
		if ready != nil || err != nil {
			return ready, err
		}
	}
}

// follow looks at every update until one gives the answer, or until none came for round.
func (w *waiter) follow(ctx context.Context) (ready *Ready, err error) {
	filter := new(property.WaitFilter).Add(w.vm.Reference(), w.vm.Reference().Type,
		[]string{"runtime.powerState", "guest.ipAddress", "config.extraConfig"})
	filter.Options = &types.WaitOptions{MaxWaitSeconds: types.NewInt32(round)}
	var failed error
	err = property.WaitForUpdatesEx(ctx, property.DefaultCollector(w.client), filter, func([]types.ObjectUpdate) bool {
		var s snapshot
		if s, failed = readSnapshot(ctx, w.client, w.vm.Reference(), w.iface); failed == nil {
			ready, failed = w.judge(s)
		}
		return ready != nil || failed != nil
	})
	if failed != nil {
		return nil, failed
	}
	if ready == nil && err != nil {
		return nil, fmt.Errorf("wait for the endpoint VM: %w", err)
	}
	return ready, nil
}

// judge returns the answer if s gives one, and prints what is new.
func (w *waiter) judge(s snapshot) (*Ready, error) {
	w.last = s
	if s.power != types.VirtualMachinePowerStatePoweredOn {
		return nil, fmt.Errorf("the endpoint VM is %s: its kernel did not start, or somebody switched it off: %w", s.power, errdef.ErrUnavailable)
	}
	if s.address.IsValid() {
		w.say("the endpoint's guest is up, its address is %s", s.address)
	}
	for _, name := range sorted(s.status.Services) {
		w.say("service %s: %s", name, s.status.Services[name])
	}
	if s.status.Message != "" && s.status.State != "ready" {
		w.say("endpoint: %s", s.status.Message)
	}
	if w.revision != "" && s.revision != "" && s.revision != w.revision {
		return nil, errOvertaken
	}
	if w.revision != "" && s.status.Revision != w.revision {
		return nil, nil // it has not looked yet; what it reports is of before
	}
	if s.status.State == "ready" {
		w.failing = time.Time{}
		if s.address.IsValid() {
			w.tellMissing(s)
			return &Ready{VM: w.vm.Reference().Value, Address: s.address, Port: w.port}, nil
		}
		w.say("the endpoint is ready but has no address on the %s network yet: is there a DHCP server?", w.iface)
		return nil, nil
	}
	if why := refusal(s.status); why != "" && w.revision != "" {
		return nil, advice.Wrap(fmt.Errorf("the endpoint refuses its new configuration: %s: %w", why, errdef.ErrUnavailable), "change what it complains of")
	}
	if why := failure(s.status, w.revision != ""); why != "" && w.failing.IsZero() {
		w.failing, w.why, w.failed = time.Now(), why, s // only being ready clears it: a service that ends again and again looks well in between
	}
	if !w.failing.IsZero() && time.Since(w.failing) > patience {
		return nil, advice.Wrap(fmt.Errorf("the endpoint does not get over a failure: %s: %w", w.why, errdef.ErrUnavailable), "%s", w.failureAdvice())
	}
	return nil, nil
}

// cause is what a state of the endpoint tells of why it does not serve.
func (w *waiter) cause(s snapshot) cause {
	return cause{status: s.status, iface: w.iface, address: s.address.IsValid(), look: w.look}
}

// failureAdvice is about the first failure; what the endpoint reports now may be about one that followed.
func (w *waiter) failureAdvice() string {
	for _, s := range []snapshot{w.failed, w.last} {
		if known := w.cause(s).advice(); known != "" {
			return known
		}
	}
	return w.cause(w.last).neutral()
}

// tellMissing warns of interfaces that nobody gave an address; the endpoint goes on asking.
func (w *waiter) tellMissing(s snapshot) {
	for _, name := range w.asks {
		if !addressOf(s.addresses, name).IsValid() {
			w.say("warning: the endpoint has no address on the %s network: no DHCP server answers there; for a static one there is --%s-network-ip", name, name)
		}
	}
}

// failure says what is wrong with an endpoint, or "". A service that takes a new configuration by ending
// and starting anew is well.
func failure(s guest.Status, renewed bool) string {
	for _, name := range sorted(s.Services) {
		if renewed && s.Services[name] == "exited 0" {
			continue
		}
		if strings.HasPrefix(s.Services[name], "exited") {
			return "service " + name + ": " + s.Services[name]
		}
	}
	if s.State == "failed" {
		return s.Message
	}
	return ""
}

// refusal says why a service does not take its new configuration, or "".
func refusal(s guest.Status) string {
	for _, name := range sorted(s.Services) {
		if why, ok := strings.CutPrefix(s.Services[name], "reload failed: "); ok {
			return name + ": " + why
		}
	}
	return ""
}

// say prints a line unless it was printed before.
func (w *waiter) say(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	if !slices.Contains(w.said, line) {
		w.said = append(w.said, line)
		w.log.Printf("%s", line)
	}
}

func (w *waiter) lastSaid() string {
	if len(w.said) == 0 {
		return "the endpoint's guest said nothing at all"
	}
	return "the last that was seen: " + w.said[len(w.said)-1]
}

func sorted(m map[string]string) []string {
	var names []string
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// readSnapshot asks for the current state: the updates of extraConfig come whole from some servers
// and key by key from others.
func readSnapshot(ctx context.Context, c *vim25.Client, vm types.ManagedObjectReference, iface string) (snapshot, error) {
	var m mo.VirtualMachine
	pc := property.DefaultCollector(c)
	if err := pc.RetrieveOne(ctx, vm, []string{"runtime.powerState", "guest.ipAddress", "config.extraConfig"}, &m); err != nil {
		return snapshot{}, fmt.Errorf("read the endpoint VM: %w", err)
	}
	return snapshotOf(m, iface)
}

func snapshotOf(m mo.VirtualMachine, iface string) (snapshot, error) {
	s := snapshot{power: m.Runtime.PowerState}
	var extra object.OptionValueList
	if m.Config != nil {
		extra = m.Config.ExtraConfig
	}
	status, _ := extra.GetString(keyStatus)
	if status != "" {
		if err := json.Unmarshal([]byte(status), &s.status); err != nil {
			return s, fmt.Errorf("status of the endpoint VM: %w: %w", errdef.ErrInvalid, err)
		}
	}
	s.revision, _ = extra.GetString(keyRevision)
	addresses, _ := extra.GetString(keyAddresses)
	s.address, s.addresses = addressOf(addresses, iface), addresses
	if !s.address.IsValid() && m.Guest != nil && addresses == "" {
		s.address, _ = netip.ParseAddr(m.Guest.IpAddress)
	}
	return s, nil
}

// addressOf finds the address of an interface in "bridge=172.16.0.1,public=10.0.0.5".
func addressOf(s, iface string) netip.Addr {
	for _, e := range strings.Split(s, ",") {
		name, addr, _ := strings.Cut(e, "=")
		a, err := netip.ParseAddr(addr)
		if name == iface && err == nil && !a.IsLinkLocalUnicast() {
			return a
		}
	}
	return netip.Addr{}
}
