package vsphere

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	stateVersion = 1
	// saveDelay gathers changes that come together into one write.
	saveDelay = 300 * time.Millisecond
	saveShare = 20              // the pause after a save, in times that it took
	saveMost  = 5 * time.Second // the longest pause
)

// store keeps on disk what users make: VMs, vApps, pools, folders and port groups, with their
// references. It is written shortly after each change and when the lab stops.
type store struct {
	server *Server
	file   string

	mu     sync.Mutex
	dirty  map[types.ManagedObjectReference]bool
	kick   chan struct{}
	stop   chan struct{}
	once   sync.Once // closes stop
	ended  chan struct{}
	saving sync.Mutex
	// encoded holds the last form of each object; saving guards it.
	encoded map[types.ManagedObjectReference]json.RawMessage
	on      []types.ManagedObjectReference
}

// state is the file.
type state struct {
	Version int `json:"version"`
	// Counter is above the number in each reference that was given out: references are not reused.
	Counter int64             `json:"counter"`
	Base    map[string]string `json:"base"` // names and references of the fixed inventory
	Objects []savedObject     `json:"objects"`
}

type savedObject struct {
	Type string          `json:"type"`
	Data json.RawMessage `json:"data"`
}

// openStore reads the file and brings its objects back.
func (s *Server) openStore() (*store, error) {
	st := &store{server: s, file: filepath.Join(s.cfg.Dir, "state", "inventory.json"), dirty: map[types.ManagedObjectReference]bool{},
		kick: make(chan struct{}, 1), stop: make(chan struct{}), ended: make(chan struct{}),
		encoded: map[types.ManagedObjectReference]json.RawMessage{}}
	b, err := os.ReadFile(st.file)
	if errors.Is(err, os.ErrNotExist) {
		return st, nil
	}
	if err != nil {
		return nil, err
	}
	var saved state
	if err := json.Unmarshal(b, &saved); err != nil {
		return nil, fmt.Errorf("%s: %w", st.file, err)
	}
	if err := st.compatible(&saved); err != nil {
		return nil, err
	}
	if err := st.restore(&saved); err != nil {
		return nil, fmt.Errorf("%s: %w", st.file, err)
	}
	s.bound(s.context()) // this machine may not be the one it was
	return st, nil
}

func (st *store) compatible(saved *state) error {
	base := st.server.baseNames()
	same := saved.Version == stateVersion && len(saved.Base) == len(base)
	for k, v := range base {
		same = same && saved.Base[k] == v
	}
	if !same {
		return fmt.Errorf("%s was made by another version of the lab: remove the lab's folder to start afresh", st.file)
	}
	return nil
}

// baseNames says which reference each object of the fixed inventory has.
func (s *Server) baseNames() map[string]string {
	names := map[string]string{}
	for ref := range s.baseRefs {
		if e, ok := s.reg.Get(ref).(mo.Entity); ok {
			names[ref.Type+" "+ref.Value] = e.Entity().Name
		}
	}
	return names
}

// kept says which kinds of objects are saved.
func kept(kind string) bool {
	switch kind {
	case "VirtualMachine", "VirtualApp", "ResourcePool", "Folder", "DistributedVirtualPortgroup":
		return true
	}
	return false
}

// touch notes that an object changed. It is called within updates: no locks, no work.
func (st *store) touch(ref types.ManagedObjectReference) {
	if !kept(ref.Type) {
		return
	}
	st.mu.Lock()
	st.dirty[ref] = true
	st.mu.Unlock()
	select {
	case st.kick <- struct{}{}:
	default:
	}
}

// start runs the saver.
func (st *store) start() {
	for ref := range st.userObjects() {
		st.touch(ref)
	}
	go func() {
		defer close(st.ended)
		pause := saveDelay
		for {
			select {
			case <-st.stop:
				return
			case <-st.kick:
			}
			select {
			case <-st.stop:
				return
			case <-time.After(pause):
			}
			begun := time.Now()
			if err := st.save(); err != nil {
				st.server.cfg.Log.Error("inventory is not saved", "err", err)
			}
			// Each save writes all there is: a large inventory is saved less often.
			pause = min(max(saveDelay, saveShare*time.Since(begun)), saveMost)
		}
	}()
}

// end ends the saver.
func (st *store) end() {
	st.once.Do(func() { close(st.stop) })
	<-st.ended
}

// close ends the saver and saves everything.
func (st *store) close() error {
	st.end()
	for ref := range st.userObjects() {
		st.touch(ref)
	}
	return st.save()
}

func (st *store) userObjects() map[types.ManagedObjectReference]bool {
	refs := map[types.ManagedObjectReference]bool{}
	for _, e := range st.server.reg.All("") {
		if ref := e.Reference(); kept(ref.Type) && !st.server.baseRefs[ref] {
			refs[ref] = true
		}
	}
	return refs
}

// save writes what changed together with what did not.
func (st *store) save() error {
	st.saving.Lock() // two at once would write one file
	defer st.saving.Unlock()
	st.mu.Lock()
	dirty := st.dirty
	st.dirty = map[types.ManagedObjectReference]bool{}
	st.mu.Unlock()
	for ref := range dirty {
		if st.server.baseRefs[ref] {
			continue
		}
		b, err := st.encode(ref)
		if err != nil {
			return fmt.Errorf("%s: %w", ref.Value, err)
		}
		if b == nil {
			delete(st.encoded, ref)
			continue
		}
		st.encoded[ref] = b
	}
	return st.write()
}

// encode returns the JSON of an object; nil when it is gone.
func (st *store) encode(ref types.ManagedObjectReference) (json.RawMessage, error) {
	ctx := st.server.context()
	var buf bytes.Buffer
	var err error
	enc := types.NewJSONEncoder(&buf)
	with := func(o mo.Reference, v any) {
		ctx.WithLock(o, func() {
			if st.server.reg.Get(ref) != nil { // it may have gone while we waited
				err = enc.Encode(v)
			}
		})
	}
	switch o := st.server.reg.Get(ref).(type) {
	case *simulator.VirtualMachine:
		with(o, &o.VirtualMachine)
	case *simulator.VirtualApp:
		with(o, &o.VirtualApp)
	case *simulator.ResourcePool:
		with(o, &o.ResourcePool)
	case *simulator.Folder:
		with(o, &o.Folder)
	case *simulator.DistributedVirtualPortgroup:
		with(o, &o.DistributedVirtualPortgroup)
	}
	if err != nil || buf.Len() == 0 {
		return nil, err
	}
	return buf.Bytes(), nil
}

func (st *store) write() error {
	out := state{Version: stateVersion, Counter: st.server.counter(), Base: st.server.baseNames()}
	refs := make([]types.ManagedObjectReference, 0, len(st.encoded))
	for ref := range st.encoded {
		refs = append(refs, ref)
	}
	sort.Slice(refs, func(i, j int) bool { return number(refs[i]) < number(refs[j]) })
	for _, ref := range refs {
		out.Objects = append(out.Objects, savedObject{Type: ref.Type, Data: st.encoded[ref]})
	}
	b, err := json.Marshal(out)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(st.file), 0o700); err != nil {
		return err
	}
	tmp := st.file + ".new"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, st.file)
}

// resume lists the VMs that were on.
func (st *store) resume() []types.ManagedObjectReference { return st.on }

// counter takes a number from the registry's counter, which it does not show.
func (s *Server) counter() int64 {
	probe := &mo.Folder{}
	s.reg.NewEntity(probe)
	return number(probe.Self)
}

// number is the running number at the end of a reference.
func number(ref types.ManagedObjectReference) int64 {
	i := strings.LastIndexFunc(ref.Value, func(r rune) bool { return r < '0' || r > '9' })
	n, _ := strconv.ParseInt(ref.Value[i+1:], 10, 64) // no number sorts first
	return n
}
