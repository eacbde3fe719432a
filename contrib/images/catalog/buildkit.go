package catalog

import (
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/contrib/images/layer"
	"github.com/openvic/vic/contrib/images/rootfs"
)

// BuildKitVersion is what contrib/tools/buildx/go.mod pins; a test compares the two.
const BuildKitVersion = "v0.34.2"

// buildkit is what docker buildx runs for a builder of the driver docker-container: BuildKit built
// from its Go module, and Debian's runc, under the name that buildx asks for.
func buildkit(base *rootfs.Spec) Debian {
	return Debian{
		Repository: "moby/buildkit", Tag: "buildx-stable-1",
		Tree:     &rootfs.Spec{Base: base, Packages: []string{"ca-certificates", "runc"}},
		Files:    []layer.File{{Name: "var/lib/buildkit", Mode: 0o700, Dir: true}},
		Programs: []string{"buildkitd", "buildctl"},
		Config: ocispec.ImageConfig{
			Env:        []string{"PATH=" + debianPath},
			Entrypoint: []string{"buildkitd"},
			Volumes:    map[string]struct{}{"/var/lib/buildkit": {}},
			Labels:     map[string]string{"org.opencontainers.image.version": BuildKitVersion},
		},
	}
}
