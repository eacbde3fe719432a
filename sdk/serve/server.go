package serve

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"google.golang.org/grpc"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/kind"
	pluginv1 "github.com/openvic/vic/sdk/proto/plugin/v1"
	"github.com/openvic/vic/sdk/serve/strict"
)

// Server is a plugin's side of plugin.v1 and of the services of its components. Main makes one;
// tests may register one on a server of their own.
type Server[C any] struct {
	pluginv1.UnimplementedPluginServiceServer
	plugin Plugin[C]
	health *health
	life   context.Context
	end    context.CancelFunc

	mu       sync.RWMutex
	state    state
	instance Instance
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
	seen := map[string]bool{}
	for _, c := range s.plugin.Components {
		if seen[c.Kind] {
			return fmt.Errorf("plugin %s: %s is among Components twice: %w", s.plugin.Name, c.Kind, errdef.ErrInvalid)
		}
		seen[c.Kind] = true
		c.Register(r, func() (kind.Driver, error) { return s.driver(c.Kind) })
	}
	return nil
}

func (s *Server[C]) get() Instance {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.instance
}

// driver finds the driver of a kind; ErrUnavailable until Configure has made it.
func (s *Server[C]) driver(name string) (kind.Driver, error) {
	if err := s.ready(name); err != nil {
		return kind.Driver{}, err
	}
	d, _ := s.get().find(name)
	return d, nil
}

func (i Instance) find(name string) (kind.Driver, bool) {
	for _, d := range i.Drivers {
		if d.Kind == name && d.Made() {
			return d, true
		}
	}
	return kind.Driver{}, false
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
	instance, err := s.make(req)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.state = fresh
		s.health.report(err)
		return nil, errdef.ToGRPC(err)
	}
	s.instance, s.state = instance, configured
	s.health.report(nil)
	if instance.Health != nil {
		go instance.Health(s.life, s.health.report)
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

func (s *Server[C]) make(req *pluginv1.ConfigureRequest) (Instance, error) {
	config := s.plugin.Defaults
	if err := strict.Decode(req.GetSource(), req.GetToml(), &config); err != nil {
		return Instance{}, err
	}
	instance, err := s.plugin.Configure(s.life, config)
	if err != nil {
		return Instance{}, err
	}
	return instance, s.complete(instance)
}

// complete finds a component that Configure forgot to make, and a driver that is none's.
func (s *Server[C]) complete(i Instance) error {
	for _, c := range s.plugin.Components {
		if _, ok := i.find(c.Kind); !ok {
			return fmt.Errorf("plugin %s: Configure made no %s driver: %w", s.plugin.Name, c.Kind, errdef.ErrInternal)
		}
	}
	if have, want := len(i.Drivers), len(s.plugin.Components); have != want {
		return fmt.Errorf("plugin %s: Configure made %d drivers for %d components: %w", s.plugin.Name, have, want, errdef.ErrInternal)
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
	instance, was := s.instance, s.state
	s.state = stopped
	s.mu.Unlock()
	var err error
	if was == configured && instance.Close != nil {
		err = instance.Close(ctx)
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
