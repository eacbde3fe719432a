// Package enginetest is a world for tests of what stands on the engine: drivers in memory whose VMs
// boot a fake tether (core/link/linktest), and an engine over them.
package enginetest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/openvic/vic/core/engine"
	"github.com/openvic/vic/core/event"
	"github.com/openvic/vic/core/link"
	"github.com/openvic/vic/core/link/linktest"
	"github.com/openvic/vic/sdk/compute"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/guest/outlog"
	"github.com/openvic/vic/sdk/network"
	"github.com/openvic/vic/sdk/storage"
)

// Layer is the layer of the world's one image.
const Layer = "1111111111111111111111111111111111111111111111111111111111111111"

// World is a platform in memory. It outlives the engines that are made over it.
type World struct {
	Compute   *compute.Fake
	Storage   *storage.Fake
	Network   *network.Fake
	Images    *Images
	Authority *link.Authority
	// MaxContainers is for the engines that are made from now on.
	MaxContainers int
	// Drivers replaces what engines see of the platform, for a test that stands between; nil: nothing does.
	Drivers func(compute.Driver, storage.Driver, network.Driver) (compute.Driver, storage.Driver, network.Driver)

	t       testing.TB
	ctx     context.Context // ends with the test, and all VMs with it
	mu      sync.Mutex
	tethers map[string]*linktest.Tether
	disks   map[string]*linktest.Output
	boots   int
	mute    bool
	booting bool
	hooks   map[string]func(context.Context) error
}

// New makes an empty world.
func New(t testing.TB) *World {
	t.Helper()
	authority, err := link.NewAuthority(NewCA(t))
	if err != nil {
		t.Fatal(err)
	}
	w := &World{Compute: compute.NewFake(), Storage: storage.NewFake(), Network: network.NewFake(), Images: &Images{held: map[string]string{}},
		Authority: authority, t: t, tethers: map[string]*linktest.Tether{}, disks: map[string]*linktest.Output{}}
	ctx, cancel := context.WithCancel(context.Background())
	w.ctx = ctx
	t.Cleanup(func() { cancel(); w.end() })
	if _, err := w.Storage.WriteLayer(ctx, storage.WriteLayerRequest{ID: Layer}, bytes.NewReader(make([]byte, 1024))); err != nil {
		t.Fatal(err)
	}
	if err := w.Storage.CommitLayer(ctx, Layer); err != nil {
		t.Fatal(err)
	}
	w.Compute.OnStart = w.boot
	return w
}

// Engine makes an engine over the world; it ends with the test or when stop is called.
func (w *World) Engine() (e *engine.Engine, hub *event.Hub, stop func()) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	hub = &event.Hub{}
	var (
		vms   compute.Driver = hookedCompute{w.Compute, w}
		disks storage.Driver = hookedStorage{w.Storage, w}
		nets  network.Driver = hookedNetwork{w.Network, w}
	)
	if w.Drivers != nil {
		vms, disks, nets = w.Drivers(vms, disks, nets)
	}
	e, err := engine.New(ctx, engine.Options{Compute: vms, Storage: disks, Network: nets, Images: hookedImages{w.Images, w},
		Authority: w.Authority, Events: hub, Limits: engine.Limits{DefaultMemoryMB: 256, MaxContainers: w.MaxContainers},
		Names: func(n int) string { return fmt.Sprintf("made_up%d", n) }})
	if err != nil {
		w.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); e.Run() }()
	stop = func() { cancel(); <-done }
	w.t.Cleanup(stop)
	select {
	case <-e.Ready():
	case <-time.After(10 * time.Second):
		w.t.Fatal("the engine does not become ready")
	}
	return e, hub, stop
}

// end is the end of all VMs.
func (w *World) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range w.tethers {
		t.Halt()
	}
}

// Mute makes VMs boot without a tether that answers.
func (w *World) Mute(mute bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mute = mute
}

// HoldBoots makes VMs boot with a tether that answers, and whose process is not started until its
// SetBooting says so.
func (w *World) HoldBoots(hold bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.booting = hold
}

// Tether returns the tether of a VM that is on.
func (w *World) Tether(id string) *linktest.Tether {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tethers[id]
}

// boot plays the guest of one VM until the VM is off.
func (w *World) boot(req compute.CreateRequest) {
	var cfg guest.Config
	if err := json.Unmarshal([]byte(req.Guest[guest.KeyConfig]), &cfg); err != nil {
		w.t.Errorf("guest configuration of %s: %v", req.ID, err)
		return
	}
	var u guest.Update
	if text := req.Guest[guest.KeyUpdate]; text != "" {
		if err := json.Unmarshal([]byte(text), &u); err != nil {
			w.t.Errorf("update of the guest configuration of %s: %v", req.ID, err)
		}
	}
	if u.Restart != nil {
		cfg.Restart = *u.Restart
	}
	if text := req.Guest[guest.KeyNetwork]; text != "" {
		var n guest.NetworkConfig
		if err := json.Unmarshal([]byte(text), &n); err != nil {
			w.t.Errorf("network configuration of %s: %v", req.ID, err)
		}
		cfg.SetNetwork(n)
	}
	w.mu.Lock()
	if w.disks[req.ID] == nil {
		w.disks[req.ID] = linktest.NewOutput()
	}
	log := w.disks[req.ID]
	w.boots++
	boot, mute, booting := w.boots, w.mute, w.booting
	w.mu.Unlock()
	vm, err := w.Compute.Get(w.ctx, req.ID)
	if err != nil {
		return // destroyed right after its start
	}
	var t *linktest.Tether
	t, err = linktest.Boot(cfg, fmt.Sprint(boot), log, func(x guest.Exit) {
		t.Halt() // before the power goes: the next boot is another tether's
		w.writeLog(req.ID, log)
		w.Compute.Exit(req.ID, compute.Exit{Code: x.Code, Error: x.Error, Started: x.Started, Finished: x.Finished})
	})
	if err != nil {
		w.t.Errorf("boot of %s: %v", req.ID, err)
		return
	}
	t.SetBooting(booting)
	w.mu.Lock()
	w.tethers[req.ID] = t
	w.mu.Unlock()
	defer t.Halt()
	for !mute && w.ctx.Err() == nil {
		conn, err := w.Compute.Dial(req.ID)
		if err != nil {
			break
		}
		if w.Tether(req.ID) != t { // of the next boot
			_ = conn.Close()
			break
		}
		t.Serve(conn)
	}
	w.awaitOff(req.ID, vm.PoweredOn)
	t.Halt()
	w.writeLog(req.ID, log)
}

// awaitOff returns when the boot of a VM that was powered on at that time is over.
func (w *World) awaitOff(id string, poweredOn time.Time) {
	errOff := errors.New("off")
	over := func(vm compute.VM) bool { return vm.State == compute.StateOff || !vm.PoweredOn.Equal(poweredOn) }
	err := w.Compute.Watch(w.ctx, func(ev compute.Event) error {
		seen := ev.Kind != compute.EventSnapshot
		for _, vm := range append(ev.VMs, ev.VM) {
			if vm.ID != id {
				continue
			}
			if seen = true; ev.Kind == compute.EventRemove || over(vm) {
				return errOff
			}
		}
		if !seen {
			return errOff // it is not there any more
		}
		return nil
	})
	if !errors.Is(err, errOff) && w.ctx.Err() == nil {
		w.t.Errorf("watch of %s: %v", id, err)
	}
}

// writeLog leaves the log on the disk, as the tether does.
func (w *World) writeLog(id string, log *linktest.Output) {
	if !w.Storage.HasDisk(id) {
		return
	}
	var b []byte
	var offset int64
	for _, r := range log.Records() {
		rec := outlog.Record{Offset: offset, Stream: outlog.Stream(r.Stream), Time: r.Time, Data: r.Data}
		b = append(outlog.AppendHeader(b, rec), r.Data...)
		offset = rec.Next()
	}
	if len(b) > 0 {
		w.Storage.PutFile(id, guest.StateDir+"/log/0000000000000000.log", b)
	}
}

// Images counts what is held.
type Images struct {
	mu   sync.Mutex
	held map[string]string
}

// Hold implements engine.Images.
func (i *Images) Hold(_ context.Context, id, layer string) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.held[id] = layer
	return nil
}

// Release implements engine.Images.
func (i *Images) Release(_ context.Context, id string) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.held, id)
	return nil
}

// Held is the number of containers that hold an image.
func (i *Images) Held() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.held)
}

// NewCA makes a certificate authority, both PEM.
func NewCA(t testing.TB) (cert, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0), KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	kd, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: kd})
}
