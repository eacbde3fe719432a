package serve

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"google.golang.org/grpc"

	"github.com/openvic/vic/sdk/compute"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/network"
	pluginv1 "github.com/openvic/vic/sdk/proto/plugin/v1"
	"github.com/openvic/vic/sdk/serve/strict"
	"github.com/openvic/vic/sdk/storage"
)

// Server is a plugin's side of plugin.v1 and of the services of its components. Main makes one;
// tests may register one on a server of their own.
type Server[C any] struct {
	pluginv1.UnimplementedPluginServiceServer
	plugin Plugin[C]
	health *health
	life   context.Context
	end    context.CancelFunc

	mu      sync.RWMutex
	state   state
	drivers Drivers
}

type state int

const (
	fresh state = iota
	configuring
	configured
	stopped
)

// NewServer makes a server that lives until ctx ends or Stop is called.
func NewServer[C any](ctx context.Context, p Plugin[C]) *Server[C] {
	life, end := context.WithCancel(ctx)
	return &Server[C]{
		plugin: p, life: life, end: end,
		health: newHealth(errors.New("not configured yet")),
	}
}

// Register adds plugin.v1 and the services of all components to a gRPC server.
func (s *Server[C]) Register(r grpc.ServiceRegistrar) error {
	pluginv1.RegisterPluginServiceServer(r, s)
	for _, c := range s.plugin.Components {
		switch c.Kind {
		case KindCompute:
			compute.Register(r, func() (compute.Driver, error) { return s.get().Compute, s.ready(c.Kind) })
		case KindStorage:
			storage.Register(r, func() (storage.Driver, error) { return s.get().Storage, s.ready(c.Kind) })
		case KindNetwork:
			network.Register(r, func() (network.Driver, error) { return s.get().Network, s.ready(c.Kind) })
		default:
			return fmt.Errorf("component %s: kind %q: %w", c.Name, c.Kind, errdef.ErrUnsupported)
		}
	}
	return nil
}

func (s *Server[C]) get() Drivers {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.drivers
}

func (s *Server[C]) ready(kind string) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.state != configured {
		return fmt.Errorf("plugin %s: %s driver is not configured: %w", s.plugin.Name, kind, errdef.ErrUnavailable)
	}
	return nil
}

// Describe says what the plugin is.
func (s *Server[C]) Describe(context.Context, *pluginv1.DescribeRequest) (*pluginv1.DescribeResponse, error) {
	resp := &pluginv1.DescribeResponse{
		Name: s.plugin.Name, Version: s.plugin.Version, ExampleConfig: s.plugin.Example,
	}
	for _, c := range s.plugin.Components {
		resp.Components = append(resp.Components, &pluginv1.Component{
			Kind: c.Kind, Name: c.Name, Capabilities: c.Capabilities,
		})
	}
	return resp, nil
}

// Configure decodes the configuration and makes the drivers.
func (s *Server[C]) Configure(_ context.Context, req *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	if err := s.move(fresh, configuring); err != nil {
		return nil, errdef.ToGRPC(err)
	}
	drivers, err := s.make(req)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.state = fresh
		s.health.report(err)
		return nil, errdef.ToGRPC(err)
	}
	s.drivers, s.state = drivers, configured
	s.health.report(nil)
	if drivers.Health != nil {
		go drivers.Health(s.life, s.health.report)
	}
	return &pluginv1.ConfigureResponse{}, nil
}

func (s *Server[C]) move(from, to state) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != from {
		return fmt.Errorf("plugin %s: is configured already: %w", s.plugin.Name, errdef.ErrConflict)
	}
	s.state = to
	return nil
}

func (s *Server[C]) make(req *pluginv1.ConfigureRequest) (Drivers, error) {
	config := s.plugin.Defaults
	if err := strict.Decode(req.GetSource(), req.GetToml(), &config); err != nil {
		return Drivers{}, err
	}
	drivers, err := s.plugin.Configure(s.life, config)
	if err != nil {
		return Drivers{}, err
	}
	return drivers, s.complete(drivers)
}

// complete finds a component that Configure forgot to make.
func (s *Server[C]) complete(d Drivers) error {
	have := map[string]bool{
		KindCompute: d.Compute != nil, KindStorage: d.Storage != nil, KindNetwork: d.Network != nil,
	}
	for _, c := range s.plugin.Components {
		if !have[c.Kind] {
			return fmt.Errorf("plugin %s: Configure made no %s driver: %w", s.plugin.Name, c.Kind, errdef.ErrInternal)
		}
	}
	return nil
}

// WatchHealth reports health until the stream ends.
func (s *Server[C]) WatchHealth(_ *pluginv1.WatchHealthRequest, stream grpc.ServerStreamingServer[pluginv1.WatchHealthResponse]) error {
	for {
		err, changed := s.health.get()
		m := &pluginv1.WatchHealthResponse{Healthy: err == nil}
		if err != nil {
			m.Message = err.Error()
		}
		if err := stream.Send(m); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-stream.Context().Done():
			return nil
		case <-s.life.Done():
			return nil
		}
	}
}

// Stop closes the drivers.
func (s *Server[C]) Stop(ctx context.Context, _ *pluginv1.StopRequest) (*pluginv1.StopResponse, error) {
	s.mu.Lock()
	drivers, was := s.drivers, s.state
	s.state = stopped
	s.mu.Unlock()
	var err error
	if was == configured && drivers.Close != nil {
		err = drivers.Close(ctx)
	}
	s.end()
	return &pluginv1.StopResponse{}, errdef.ToGRPC(err)
}

// health holds the last report and wakes those who watch.
type health struct {
	mu      sync.Mutex
	err     error
	changed chan struct{}
}

func newHealth(err error) *health { return &health{err: err, changed: make(chan struct{})} }

func (h *health) report(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err = err
	close(h.changed)
	h.changed = make(chan struct{})
}

func (h *health) get() (error, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err, h.changed
}
