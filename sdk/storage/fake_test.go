package storage_test

import (
	"testing"

	"google.golang.org/grpc"

	"github.com/openvic/vic/sdk/internal/wiretest"
	"github.com/openvic/vic/sdk/storage"
	"github.com/openvic/vic/sdk/storagetest"
)

func fixture(fake *storage.Fake, driver storage.Driver) storagetest.Fixture {
	return storagetest.Fixture{
		Driver:       driver,
		AttachVolume: func(_ *testing.T, v storage.Volume, attached bool) { fake.AttachVolume(v.Name, attached) },
		PutFile:      func(_ *testing.T, disk, path string, data []byte) { fake.PutFile(disk, path, data) },
	}
}

func register(d storage.Driver) func(grpc.ServiceRegistrar) {
	return func(r grpc.ServiceRegistrar) {
		storage.Register(r, func() (storage.Driver, error) { return d, nil })
	}
}

func TestFakeConforms(t *testing.T) {
	storagetest.Suite(t, func(*testing.T) storagetest.Fixture {
		fake := storage.NewFake()
		return fixture(fake, fake)
	})
}

func TestFakeConformsOverTheWire(t *testing.T) {
	storagetest.Suite(t, func(t *testing.T) storagetest.Fixture {
		fake := storage.NewFake()
		return fixture(fake, storage.NewClient(wiretest.Memory(t, register(fake))))
	})
}

func TestFakeConformsByHandover(t *testing.T) {
	storagetest.Suite(t, func(t *testing.T) storagetest.Fixture {
		fake := storage.NewFake()
		return fixture(fake, storage.NewClient(wiretest.Handover(t, register(fake))))
	})
}
