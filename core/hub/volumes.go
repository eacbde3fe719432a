package hub

import (
	"fmt"
	"os"
	"syscall"

	"github.com/openvic/vic/core/hub/api"
)

// volumes are the file systems that hold the images' content and the data folder, each once. What is in a bucket or in
// another machine's database is not among them.
func (h *Hub) volumes() ([]api.Volume, error) {
	folders := []string{h.cfg.Data}
	if h.cfg.Storage.S3.Bucket == "" {
		folders = []string{h.cfg.Storage.Folder, h.cfg.Data}
	}
	var all []api.Volume
	seen := map[uint64]bool{}
	for _, folder := range folders {
		info, err := os.Stat(folder)
		if os.IsNotExist(err) { // nothing was pushed yet
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("volumes: %w", err)
		}
		if device := info.Sys().(*syscall.Stat_t).Dev; seen[device] {
			continue
		} else {
			seen[device] = true
		}
		var st syscall.Statfs_t
		if err := syscall.Statfs(folder, &st); err != nil {
			return nil, fmt.Errorf("volumes: %s: %w", folder, err)
		}
		all = append(all, api.Volume{Total: st.Blocks * uint64(st.Bsize), Free: st.Bavail * uint64(st.Bsize)})
	}
	return all, nil
}
