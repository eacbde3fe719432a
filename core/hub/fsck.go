package hub

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/openvic/vic/core/registry"
)

// fsck is vic-hub fsck.
func fsck(args []string, stdout, stderr io.Writer) int {
	c := newCommand("fsck", stdout, stderr)
	hash := c.flags.Bool("hash", false, "read all content and compare it with its digests")
	return c.run(args, func(ctx context.Context, h *Hub) (report, error) {
		found, err := h.registry.Fsck(ctx, registry.FsckOptions{Hash: *hash})
		return health(found), err
	})
}

// health is for JSON what Fsck found, and for people.
func health(h registry.Health) report {
	type fault struct {
		Kind string `json:"kind"`
		What string `json:"what"`
	}
	first := []fault{}
	var text strings.Builder
	for _, f := range h.First {
		first = append(first, fault{f.Kind, f.What})
		fmt.Fprintf(&text, "%s: %s\n", f.Kind, f.What)
	}
	if more := h.Faults - len(first); more > 0 {
		fmt.Fprintf(&text, "... and %d more\n", more)
	}
	fmt.Fprintf(&text, "%d objects in the storage, %d blobs of %d bytes: ", h.Objects, h.Blobs, h.Bytes)
	if h.Faults == 0 {
		text.WriteString("no fault\n")
	} else {
		fmt.Fprintf(&text, "%d faults\n", h.Faults)
	}
	return report{well: h.Faults == 0, text: text.String(), value: struct {
		OK      bool    `json:"ok"`
		Objects int     `json:"objects"`
		Blobs   int     `json:"blobs"`
		Bytes   int64   `json:"bytes"`
		Faults  int     `json:"faults"`
		First   []fault `json:"first"` // 100 at most
	}{h.Faults == 0, h.Objects, h.Blobs, h.Bytes, h.Faults, first}}
}
