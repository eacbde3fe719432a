package vicd

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	dockerevents "github.com/docker/docker/daemon/events"
	"github.com/docker/docker/pkg/namesgenerator"
	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/openvic/vic/core/access"
	"github.com/openvic/vic/core/config"
	"github.com/openvic/vic/core/dockerapi"
	"github.com/openvic/vic/core/engine"
	"github.com/openvic/vic/core/event"
	"github.com/openvic/vic/core/image"
	"github.com/openvic/vic/core/kinds"
	"github.com/openvic/vic/core/link"
	"github.com/openvic/vic/core/metrics"
	"github.com/openvic/vic/core/plugin"
	"github.com/openvic/vic/core/tlsfiles"
	"github.com/openvic/vic/sdk/compute"
	"github.com/openvic/vic/sdk/kind"
	"github.com/openvic/vic/sdk/network"
	"github.com/openvic/vic/sdk/storage"
)

// docker is the engine with its images and its Docker API: what a daemon has beside the host when the
// engine's roles are named.
type docker struct {
	cfg     config.Config
	version string
	log     *slog.Logger
	host    *plugin.Host
	metrics *metrics.Metrics

	compute compute.Driver
	storage storage.Driver
	network network.Driver

	hub       *event.Hub
	events    *dockerevents.Events
	images    *image.Service
	engine    *engine.Engine
	listeners []net.Listener
	handler   http.Handler
}

// newDocker makes the parts that containers need; nothing of it touches a plugin yet. The listeners come
// first: a port that is taken is found out at once, and clients that are early wait in the queue.
func (d *daemon) newDocker(ctx context.Context) (*docker, error) {
	e := &docker{cfg: d.cfg, version: d.version, log: d.log, host: d.host, metrics: d.metrics, hub: &event.Hub{}, events: dockerevents.New()}
	logLives(e.hub, d.log)
	steps := []func() error{
		func() error { return e.listen(d.dockerTLS) },
		e.drivers,
		func() error { return e.openImages(ctx) },
		func() error { return e.openEngine(ctx) },
		func() error {
			return e.openAPI(ctx, &gate{ready: d.ready, reason: d.waitingFor, patience: gatePatience})
		},
	}
	for _, step := range steps {
		if err := step(); err != nil {
			e.close()
			return nil, err
		}
	}
	return e, nil
}

func (e *docker) listen(files *tlsfiles.Server) (err error) {
	e.listeners, err = dockerapi.Listen(e.cfg.Docker.Listen, e.cfg.Docker.Interface, files)
	return err
}

func (e *docker) drivers() error {
	var errs [3]error
	e.compute, errs[0] = driver(e, compute.Plugin())
	e.storage, errs[1] = driver(e, storage.Plugin())
	e.network, errs[2] = driver(e, network.Plugin())
	return errors.Join(errs[:]...)
}

// driver is that of the one plugin in a role.
func driver[D any](e *docker, k kind.Of[D]) (D, error) {
	return plugin.Driver(e.host, k, e.cfg.Roles.One(k.Name))
}

func (e *docker) openImages(ctx context.Context) (err error) {
	e.images, err = image.New(ctx, image.Options{Root: e.cfg.Images.Root, Layers: e.storage, Registries: registries(e.cfg.Images),
		Events: e.events, UsedBy: func() []image.ContainerUse { return usedBy(e.engine) }, Log: e.log})
	return err
}

func (e *docker) openEngine(ctx context.Context) error {
	cert, err := os.ReadFile(e.cfg.Link.CACert)
	if err != nil {
		return fmt.Errorf("link.ca_cert: %w", err)
	}
	key, err := os.ReadFile(e.cfg.Link.CAKey)
	if err != nil {
		return fmt.Errorf("link.ca_key: %w", err)
	}
	authority, err := link.NewAuthority(cert, key)
	if err != nil {
		return err
	}
	e.engine, err = engine.New(ctx, engine.Options{Compute: e.compute, Storage: e.storage, Network: e.network, Images: e.images,
		Authority: authority, Events: e.hub, Log: e.log, Limits: limits(e.cfg.Engine), Names: namesgenerator.GetRandomName})
	return err
}

// openAPI makes the Docker API, behind the gate.
func (e *docker) openAPI(ctx context.Context, g *gate) (err error) {
	var drivers [3]string
	for i, name := range kinds.Engine() {
		drivers[i] = e.cfg.Roles.One(name)
	}
	g.next, err = dockerapi.New(ctx, dockerapi.Options{Engine: e.engine, Images: images{e.images.Backend(), e.images, e.metrics.Pull},
		Hub: e.hub, Events: e.events,
		Name: e.cfg.Name, Version: e.version, ID: e.id(), Drivers: drivers,
		Registries: e.images.RegistryConfig})
	e.handler = access.Audit(g, access.LogTrail{Log: e.log})
	return err
}

// id is the same for a VCH whatever becomes of its endpoint VM: it is made from its authority.
func (e *docker) id() string {
	cert, err := os.ReadFile(e.cfg.Link.CACert)
	if err != nil {
		cert = []byte(e.cfg.Name)
	}
	sum := sha256.Sum256(cert)
	id, err := uuid.FromBytes(sum[:16])
	if err != nil {
		return e.cfg.Name
	}
	return id.String()
}

// Bounds of the Docker API's connections. A handshake and the headers of a request have headerTime together; clients keep a
// connection for their next request, and open another one when it was closed.
const (
	headerTime = 30 * time.Second
	idleTime   = 5 * time.Minute
	maxHeader  = 256 << 10 // X-Registry-Auth and X-Registry-Config carry credentials of many registries
)

// run adds to g what serves until ctx ends.
func (e *docker) run(ctx context.Context, g *errgroup.Group) {
	server := &http.Server{Handler: e.handler, ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
		ErrorLog:    slog.NewLogLogger(e.log.Handler(), slog.LevelInfo),
		BaseContext: func(net.Listener) context.Context { return dockerapi.WithLog(context.Background(), e.log) }}
	for _, l := range e.listeners {
		e.log.Info("docker API listens", "address", l.Addr().String())
		g.Go(func() error { return serve(server, l) })
	}
	g.Go(func() error { e.engine.Run(); return nil })
	g.Go(func() error {
		<-ctx.Done() // attached clients do not hold the end up: their containers go on
		return server.Close()
	})
}

func serve(s *http.Server, l net.Listener) error {
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("docker API: %w", err)
	}
	return nil
}

// close closes what newDocker has opened so far.
func (e *docker) close() {
	for _, l := range e.listeners {
		_ = l.Close()
	}
	if e.images != nil {
		e.images.Close()
	}
}
