package image

import (
	typescontainer "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/container"
	dockerimage "github.com/docker/docker/image"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// ContainerUse is what the image store must know of a container: which image it uses.
type ContainerUse struct {
	ID      string
	Name    string
	ImageID string // as Image.ID
	Ref     string // the image as the user named it; may be empty
	Running bool
}

// containerStore shows the engine's containers to Docker's image service, which asks it before it
// removes an image. It is a view: nothing can be added to it.
type containerStore struct {
	used func() []ContainerUse
}

var _ container.Store = containerStore{}

func (s containerStore) List() []*container.Container {
	if s.used == nil {
		return nil
	}
	var all []*container.Container
	for _, u := range s.used() {
		c := &container.Container{
			ID: u.ID, Name: u.Name, ImageID: dockerimage.ID(u.ImageID), Driver: snapshotterName,
			State: container.NewState(), Config: &typescontainer.Config{Image: u.Ref},
		}
		if u.Ref == "" {
			c.Config.Image = u.ImageID
		}
		c.State.Running = u.Running
		// docker images counts containers by manifest; for an image that is no index that is its ID.
		c.ImageManifest = &ocispec.Descriptor{Digest: c.ImageID.Digest()}
		all = append(all, c)
	}
	return all
}

func (s containerStore) Get(id string) *container.Container {
	return s.First(func(c *container.Container) bool { return c.ID == id })
}

func (s containerStore) First(match container.StoreFilter) *container.Container {
	for _, c := range s.List() {
		if match(c) {
			return c
		}
	}
	return nil
}

func (s containerStore) ApplyAll(fn container.StoreReducer) {
	for _, c := range s.List() {
		fn(c)
	}
}

func (s containerStore) Size() int                        { return len(s.List()) }
func (s containerStore) Add(string, *container.Container) {}
func (s containerStore) Delete(string)                    {}
