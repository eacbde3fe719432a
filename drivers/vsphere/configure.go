package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/compute"
	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/drivers/vsphere/inventory"
	"github.com/openvic/vic/drivers/vsphere/linkrouter"
	"github.com/openvic/vic/drivers/vsphere/network"
	"github.com/openvic/vic/drivers/vsphere/people"
	"github.com/openvic/vic/drivers/vsphere/platform"
	"github.com/openvic/vic/drivers/vsphere/session"
	"github.com/openvic/vic/drivers/vsphere/storage"
	"github.com/openvic/vic/drivers/vsphere/storage/endpoint"
	"github.com/openvic/vic/sdk/auth"
	sdkcompute "github.com/openvic/vic/sdk/compute"
	"github.com/openvic/vic/sdk/kind"
	sdknetwork "github.com/openvic/vic/sdk/network"
	sdkplatform "github.com/openvic/vic/sdk/platform"
	"github.com/openvic/vic/sdk/serve"
	sdkstorage "github.com/openvic/vic/sdk/storage"
)

const (
	workDir  = "/run/vic-driver-vsphere"
	dnsAgain = time.Second
)

// configure connects and makes the drivers. parent ends when the plugin stops.
func configure(parent context.Context, c config.Config) (_ serve.Instance, err error) {
	c.SetDefaults()
	if err := c.Validate(); err != nil {
		return serve.Instance{}, err
	}
	log := slog.Default() // the host adds the names of the VCH and of the plugin
	host, err := endpoint.New(workDir)
	if err != nil {
		return serve.Instance{}, err
	}
	ctx, cancel := context.WithCancel(parent)
	s, err := session.Open(ctx, c.VCenter, log)
	if err != nil {
		cancel()
		return serve.Instance{}, err
	}
	defer func() {
		if err != nil { // the host tries again: leave nothing running
			cancel()
			_ = s.Close(context.WithoutCancel(parent))
		}
	}()
	inv := inventory.New(s, types.ManagedObjectReference{Type: c.VCH.PoolType, Value: c.VCH.Pool}, log)
	go inv.Run(ctx)
	if err := inv.WaitReady(ctx); err != nil {
		return serve.Instance{}, err
	}
	disks, err := storage.New(ctx, s, inv, host, &c, log)
	if err != nil {
		return serve.Instance{}, err
	}
	router := linkrouter.NewRouter(func(id string) bool { _, ok := inv.Get(id); return ok }, log)
	vms := compute.New(s, inv, router, disks, &c, log)
	nets, err := network.New(ctx, network.Options{Inventory: inv, Config: &c, Store: disks.Blobs("networks"), System: network.Kernel{}, Dir: workDir, Log: log})
	if err != nil {
		return serve.Instance{}, err
	}
	go vms.Run(ctx)
	go nets.Run(ctx)
	go serveLinks(ctx, router, c.Link.Listen, log)
	go serveDNS(ctx, nets, c.Network.Bridge.Interface, log)
	return serve.Instance{
		Drivers: []kind.Driver{
			sdkcompute.Plugin().Serve(vms), sdkstorage.Plugin().Serve(disks), sdknetwork.Plugin().Serve(nets),
			auth.Plugin().Serve(people.New(s, &c)), sdkplatform.Plugin().Serve(platform.New(s, &c)),
		},
		Health: inv.Health,
		Close: func(end context.Context) error {
			cancel()
			return s.Close(end)
		}}, nil
}

func serveLinks(ctx context.Context, r *linkrouter.Router, address string, log *slog.Logger) {
	for ctx.Err() == nil {
		l, err := linkrouter.Listen(ctx, address, log)
		if err == nil {
			err = r.Serve(ctx, l)
		}
		if err != nil && ctx.Err() == nil {
			log.Error("links are not served; trying again", "err", err)
		}
	}
}

func serveDNS(ctx context.Context, names network.Names, iface string, log *slog.Logger) {
	f := network.NewForwarder(names, log)
	for ctx.Err() == nil {
		if err := f.Serve(ctx, iface); err != nil && ctx.Err() == nil {
			log.Error("DNS is not served; trying again", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(dnsAgain):
		}
	}
}
