package vsphere

import (
	"context"
	"sort"
	"sync"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// haltTimeout is how long guests have to shut down when the lab stops.
const haltTimeout = 10 * time.Second

// closeTimeout is how long requests that are being answered have.
const closeTimeout = 3 * time.Second

// VMStatus is a VM as `vic-lab status` shows it.
type VMStatus struct {
	Name  string `json:"name"`
	Ref   string `json:"ref"`
	Power string `json:"power"`
	IP    string `json:"ip,omitempty"`
}

// VMs lists the VMs by name.
func (s *Server) VMs() []VMStatus {
	l := []VMStatus{}
	for _, vm := range s.vms() {
		s.withVM(vm.Self, func(_ *simulator.Context, vm *simulator.VirtualMachine) {
			l = append(l, VMStatus{Name: vm.Name, Ref: vm.Self.Value, Power: string(vm.Runtime.PowerState), IP: vm.Guest.IpAddress})
		})
	}
	sort.Slice(l, func(i, j int) bool { return l[i].Name < l[j].Name })
	return l
}

// Resume powers on the VMs that were on when the inventory was saved, in the order in which they
// were made.
func (s *Server) Resume() {
	for _, ref := range s.store.resume() {
		t, ok := s.powerOnTask(ref)
		if !ok {
			continue
		}
		go func() {
			if _, f := await(s.context(), t); f != nil {
				s.cfg.Log.Error("VM does not come back", "vm", ref.Value, "fault", faultText(f))
			}
		}()
	}
}

func faultText(f types.BaseMethodFault) string {
	if g, ok := f.(*types.GenericVmConfigFault); ok {
		return g.Reason
	}
	if m := f.GetMethodFault().FaultMessage; len(m) > 0 {
		return m[0].Message
	}
	return ""
}

// Stop asks all guests to shut down, ends those that do not, and saves the inventory with the VMs
// that were on marked as on.
func (s *Server) Stop(ctx context.Context) error {
	s.stopping.Store(true)
	s.mu.Lock()
	var on []*running
	for _, m := range s.machines {
		on = append(on, m)
	}
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, haltTimeout)
	defer cancel()
	var wg sync.WaitGroup
	for _, m := range on {
		wg.Go(func() {
			if err := m.Tell(haltRequest); err == nil {
				select {
				case <-m.Done():
				case <-ctx.Done():
				}
			}
			m.Kill()
		})
	}
	wg.Wait()
	return s.store.close()
}

// Close ends the API and kills what still runs. It can be called again.
func (s *Server) Close() { s.closeOnce.Do(s.close) }

func (s *Server) close() {
	s.stopping.Store(true)
	close(s.closing)
	s.store.end()
	s.mu.Lock()
	var left []*running
	for _, m := range s.machines {
		left = append(left, m)
	}
	s.mu.Unlock()
	for _, m := range left {
		m.Kill()
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.server.CloseClientConnections()
		s.server.Close() // waits for requests that are being answered
	}()
	select {
	case <-ended:
	case <-time.After(closeTimeout):
		s.cfg.Log.Warn("a request does not end")
	}
}
