package hub

import (
	"context"
	"fmt"
	"os"
	"strings"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"

	"github.com/openvic/vic/core/registry"
)

// storage is the place of images' content.
func (h *Hub) storage(ctx context.Context) (storagedriver.StorageDriver, error) {
	s := h.cfg.Storage
	if s.S3.Bucket == "" {
		return registry.Filesystem(s.Folder)
	}
	p := map[string]any{"bucket": s.S3.Bucket, "region": s.S3.Region, "rootdirectory": s.S3.Prefix}
	if s.S3.Endpoint != "" {
		p["regionendpoint"], p["forcepathstyle"] = s.S3.Endpoint, true
	}
	if s.S3.Credentials != "" {
		access, secret, err := readCredentials(s.S3.Credentials)
		if err != nil {
			return nil, err
		}
		p["accesskey"], p["secretkey"] = access, secret
	}
	return registry.S3(ctx, p)
}

// readCredentials reads a file of two lines, for the owner alone.
func readCredentials(path string) (access, secret string, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", "", fmt.Errorf("storage.s3.credentials: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", "", fmt.Errorf("storage.s3.credentials: %s can be read by others: chmod 600 it", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", "", fmt.Errorf("storage.s3.credentials: %w", err)
	}
	lines := strings.Fields(string(text))
	if len(lines) != 2 {
		return "", "", fmt.Errorf("storage.s3.credentials: %s does not hold two lines, the access key and the secret key", path)
	}
	return lines[0], lines[1], nil
}
