package registry

import (
	"context"
	"fmt"
	"os"
	"sync"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/distribution/distribution/v3/registry/storage/driver/factory"
	"github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
	s3 "github.com/distribution/distribution/v3/registry/storage/driver/s3-aws"
)

// filesystemName is what a folder's driver calls itself.
const filesystemName = "filesystem"

// Filesystem keeps objects in files below a folder, which is made if it is not there.
func Filesystem(dir string) (storagedriver.StorageDriver, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("registry storage: %w", err)
	}
	return filesystem.New(filesystem.DriverParameters{RootDirectory: dir, MaxThreads: 100}), nil
}

// S3 keeps objects in a bucket. The parameters are those of distribution's s3 driver.
func S3(ctx context.Context, parameters map[string]any) (storagedriver.StorageDriver, error) {
	d, err := s3.FromParameters(ctx, parameters)
	if err != nil {
		return nil, fmt.Errorf("registry storage: %w", err)
	}
	return d, nil
}

// given is the name under which distribution's App makes the driver that it is handed.
const given = "vic-given"

// givenDriver is the factory of that name.
type givenDriver struct{}

func (givenDriver) Create(_ context.Context, parameters map[string]any) (storagedriver.StorageDriver, error) {
	d, ok := parameters["driver"].(storagedriver.StorageDriver)
	if !ok {
		return nil, fmt.Errorf("no storage driver was given")
	}
	return d, nil
}

var registerDriver = sync.OnceFunc(func() { factory.Register(given, givenDriver{}) })
