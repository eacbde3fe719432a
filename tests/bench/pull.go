package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/openvic/vic/tests/harness"
)

const benchImage = "bench/100mb"

// pull is benchmark (b): docker pull of a three-layer image, over plain download, gunzip and untar
// of the same bytes inside the endpoint VM.
func (b *bench) pull() error {
	digests, size, err := layers()
	if err != nil {
		return err
	}
	var script strings.Builder
	script.WriteString("set -e; d=/var/lib/vic/bench; rm -rf $d; mkdir -p $d; cd $d; ")
	for _, d := range digests {
		fmt.Fprintf(&script, "wget -qO- http://%s/v2/%s/blobs/%s | gunzip | tar x; ", harness.RegistryHost, benchImage, d)
	}
	script.WriteString("sync")
	mb := float64(size) / 1e6
	before, start := b.cpu(), time.Now()
	if out, err := b.Vic("exec", "--", "sh", "-c", script.String()); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	plain, plainCPU := time.Since(start), b.cpu().since(before, mb)
	b.Vic("exec", "--", "rm", "-rf", "/var/lib/vic/bench")
	before = b.cpu()
	took, err := b.timed("pull", "-q", harness.RegistryHost+"/"+benchImage)
	if err != nil {
		return err
	}
	pullCPU := b.cpu().since(before, mb)
	row("(b) pull of %.0f MB compressed in %d layers: %s, %.1f MB/s; plain download, gunzip and untar in the endpoint VM: %s, %.1f MB/s; ratio %.2f (aim 0.7)",
		mb, len(digests), seconds(took), mb/took.Seconds(), seconds(plain), mb/plain.Seconds(), plain.Seconds()/took.Seconds())
	row("      pull: %s", pullCPU)
	row("      plain: %s", plainCPU)
	return nil
}

// layers reads the image's manifest from the lab's registry.
func layers() (digests []string, size int64, err error) {
	req, err := http.NewRequest("GET", "http://"+harness.RegistryAddr+"/v2/"+benchImage+"/manifests/latest", nil)
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("Accept", "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	var m struct {
		Layers []struct {
			Digest string
			Size   int64
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&m); err != nil {
		return nil, 0, err
	}
	if len(m.Layers) == 0 {
		return nil, 0, fmt.Errorf("%s in the lab's registry has no layers (status %s)", benchImage, resp.Status)
	}
	for _, l := range m.Layers {
		digests, size = append(digests, l.Digest), size+l.Size
	}
	return digests, size, nil
}
