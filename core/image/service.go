package image

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/diff"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/core/metadata"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/plugins/content/local"
	dockerimages "github.com/docker/docker/daemon/containerd"
	dockerevents "github.com/docker/docker/daemon/events"
	"github.com/docker/docker/registry"
	"github.com/google/uuid"
	"github.com/moby/sys/user"
	bolt "go.etcd.io/bbolt"

	"github.com/openvic/vic/sdk/storage"
)

const (
	// namespace is containerd's; there is only this one in our databases.
	namespace = "vic"
	// snapshotterName is stored in labels on disk and shown by docker info: never change it.
	snapshotterName = "vic"
	// lockTimeout bounds the wait for the database of another process that is about to end.
	lockTimeout = 10 * time.Second
	// defaultDownloads is how many blobs are downloaded at a time, as dockerd does.
	defaultDownloads = 4
)

// Options says what a Service works with.
type Options struct {
	Root   string         // directory on the state disk
	Layers storage.Layers // where unpacked layers go

	Registries Registries
	Downloads  int // blobs downloaded at a time; 0 means 4

	// Events receives Docker's image events; nil drops them.
	Events *dockerevents.Events
	// UsedBy lists the containers, so that an image in use is not removed; nil means none.
	UsedBy func() []ContainerUse
	Log    *slog.Logger
}

// Service is the image store of one VCH.
type Service struct {
	log      *slog.Logger
	scope    scope
	docker   *dockerimages.ImageService
	registry *registry.Service
	client   *containerd.Client
	leases   leases.Manager
	content  content.Store
	snaps    *view
	layers   storage.Layers
	gc       *collector
	bolt     *bolt.DB
	backing  *snapshotter
	hosts    *hosts
	instance string // tells this process's leases from those of one that died

	mu    sync.Mutex
	cache map[string]Image // by the target's digest, see Resolve
}

// New opens or creates the image store. It touches neither the network nor the storage driver.
func New(ctx context.Context, o Options) (*Service, error) {
	if o.Layers == nil || o.Root == "" {
		return nil, errors.New("image store: Root and Layers are needed")
	}
	s := &Service{log: o.Log, layers: o.Layers, instance: uuid.NewString(), cache: map[string]Image{}}
	if s.log == nil {
		s.log = slog.Default()
	}
	s.scope = newScope(s.log)
	if err := s.openRegistry(o); err != nil {
		return nil, err
	}
	if err := s.openStores(ctx, o); err != nil {
		s.Close()
		return nil, fmt.Errorf("image store in %s: %w", o.Root, err)
	}
	return s, nil
}

func (s *Service) openRegistry(o Options) (err error) {
	s.registry, err = registry.NewService(o.Registries.options())
	if err != nil {
		return wrongRegistries(err)
	}
	t, err := newTrust(o.Registries)
	if err != nil {
		return err
	}
	downloads := o.Downloads
	if downloads <= 0 {
		downloads = defaultDownloads
	}
	s.hosts = &hosts{registry: s.registry, slots: make(chan struct{}, downloads),
		dial: (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext}
	s.hosts.use(t)
	return nil
}

func (s *Service) openStores(ctx context.Context, o Options) error {
	if err := os.MkdirAll(o.Root, 0o700); err != nil {
		return err
	}
	blobs, err := local.NewStore(filepath.Join(o.Root, "content"))
	if err != nil {
		return err
	}
	if s.backing, err = newSnapshotter(filepath.Join(o.Root, "layers.db"), o.Layers, s.log); err != nil {
		return err
	}
	if s.bolt, err = bolt.Open(filepath.Join(o.Root, "images.db"), 0o600, boltOptions()); err != nil {
		return fmt.Errorf("images.db: %w", err)
	}
	db := metadata.NewDB(s.bolt, blobs, map[string]snapshots.Snapshotter{snapshotterName: s.backing})
	if err := db.Init(ctx); err != nil {
		return err
	}
	s.content = db.ContentStore()
	s.snaps = newView(db.Snapshotter(snapshotterName), s.content)
	s.leases = metadata.NewLeaseManager(db)
	s.gc = newCollector(db, s.backing, s.log, s.scope)
	s.gc.sweep = s.retireDeadPulls
	if s.client, err = s.newClient(db); err != nil {
		return err
	}
	events := o.Events
	if events == nil {
		events = dockerevents.New()
	}
	s.docker = dockerimages.NewService(dockerimages.ImageServiceConfig{
		Client: s.client, Containers: containerStore{o.UsedBy}, Snapshotter: snapshotterName,
		RegistryHosts: s.hosts.find, Registry: s.registry, EventsService: events,
		IDMapping: user.IdentityMapping{},
	})
	s.gc.start()
	return nil
}

// newClient makes containerd's client on services of this process: nothing is dialled.
func (s *Service) newClient(db *metadata.DB) (*containerd.Client, error) {
	return containerd.New("", containerd.WithDefaultNamespace(namespace), containerd.WithServices(
		containerd.WithContentStore(s.content),
		containerd.WithImageStore(gcImages{metadata.NewImageStore(db), s.gc}),
		containerd.WithSnapshotters(map[string]snapshots.Snapshotter{snapshotterName: s.snaps}),
		containerd.WithLeasesService(gcLeases{s.leases, s.gc}),
		containerd.WithDiffService(struct {
			diff.Comparer
			diff.Applier
		}{noComparer{}, newApplier(s.backing, s.content)}),
	))
}

// Close ends background work and closes the databases. Nothing may be called after it.
func (s *Service) Close() error {
	if s.gc != nil {
		s.gc.stop()
	}
	var errs []error
	if s.bolt != nil {
		errs = append(errs, s.bolt.Close())
	}
	if s.backing != nil {
		errs = append(errs, s.backing.Close())
	}
	if s.hosts != nil {
		s.hosts.close()
	}
	return errors.Join(errs...)
}

// Count is the number of images, for docker info.
func (s *Service) Count(ctx context.Context) int {
	return s.docker.CountImages(s.scope.in(ctx))
}

// DiskUsage is what all blobs and layers take, each counted once.
func (s *Service) DiskUsage(ctx context.Context) (int64, error) {
	return s.docker.ImageDiskUsage(s.scope.in(ctx))
}

// StorageDriver is the name that docker info shows.
func (s *Service) StorageDriver() string { return snapshotterName }

// CollectGarbage removes what no image and no container needs and waits for it. Removing an image
// and a finished pull do it by themselves.
func (s *Service) CollectGarbage(ctx context.Context) error { return s.gc.collect(ctx) }

// boltOptions opens quickly and waits only so long for a process that still holds the file.
func boltOptions() *bolt.Options {
	o := *bolt.DefaultOptions
	o.Timeout = lockTimeout
	o.NoFreelistSync = true
	o.FreelistType = bolt.FreelistMapType
	return &o
}
