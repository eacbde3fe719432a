package hub

import (
	"context"
	"fmt"
	"io"

	"github.com/openvic/vic/core/registry"
)

// gc is vic-hub gc. A run beside the hub's own is no harm: the collector may run in several processes.
func gc(args []string, stdout, stderr io.Writer) int {
	c := newCommand("gc", stdout, stderr)
	dry := c.flags.Bool("dry-run", false, "change nothing, and tell what would go in the end of what is due now")
	return c.run(args, func(ctx context.Context, h *Hub) (report, error) {
		did, err := h.registry.Collect(ctx, registry.CollectOptions{DryRun: *dry})
		if err != nil && did.Failed > 0 && ctx.Err() == nil { // it did the rest
			h.log.Warn("the storage did not remove all", "err", err)
			err = nil
		}
		return collected(did, *dry), err
	})
}

// collected is for JSON what the collector did or would do, and for people.
func collected(x registry.Collected, dry bool) report {
	text := "removed"
	if dry {
		text = "of what is due now, this and later runs would remove"
	}
	text += fmt.Sprintf(" %d objects of %d bytes, %d manifests, %d blobs from repositories, %d repositories, %d uploads\n",
		x.Objects, x.Bytes, x.Manifests, x.Unlinked, x.Repositories, x.Uploads)
	if x.Failed > 0 {
		text += fmt.Sprintf("%d objects could not be removed from the storage; a later run tries them again\n", x.Failed)
	}
	return report{well: x.Failed == 0, text: text, value: struct {
		DryRun       bool  `json:"dry_run"`
		Objects      int   `json:"objects"`
		Bytes        int64 `json:"bytes"`
		Manifests    int   `json:"manifests"`
		Blobs        int   `json:"blobs"`
		Repositories int   `json:"repositories"`
		Uploads      int   `json:"uploads"`
		Failed       int   `json:"failed"`
	}{dry, x.Objects, x.Bytes, x.Manifests, x.Unlinked, x.Repositories, x.Uploads, x.Failed}}
}
