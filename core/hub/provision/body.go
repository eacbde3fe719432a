package provision

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/openvic/vic/sdk/errdef"
)

// maxBody bounds the body of a request, in bytes.
const maxBody = 256 << 10

// The labels of a container that the hub has made.
const (
	LabelProvision = "io.openvic.hub.provision"
	LabelProject   = "io.openvic.hub.project"
	LabelBy        = "io.openvic.hub.requested-by"
)

// containerName is Docker's rule.
var containerName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$`)

// Body is what is read of Docker's body; the rest is passed on as it came.
type Body struct {
	Image      string
	Labels     map[string]string
	HostConfig struct {
		Memory          int64
		NanoCpus        int64
		Privileged      bool
		PortBindings    map[string][]struct{ HostIP, HostPort string }
		PublishAllPorts bool
		NetworkMode     string
	}
	raw map[string]json.RawMessage
}

// readBody reads one; errdef.ErrInvalid.
func readBody(text json.RawMessage) (Body, error) {
	var b Body
	if len(text) > maxBody {
		return b, fmt.Errorf("config: it has more than %d KB: %w", maxBody>>10, errdef.ErrInvalid)
	}
	// A key that is there twice, or in other capitals, would be read here in one way and at the VCH in another: what is
	// passed on is written anew from what was read.
	if err := json.Unmarshal(text, &b.raw); err != nil {
		return b, fmt.Errorf("config: it is no object of Docker's POST /containers/create: %w", errdef.ErrInvalid)
	}
	if err := distinct(b.raw); err != nil {
		return b, err
	}
	var host map[string]json.RawMessage
	if h := b.raw["HostConfig"]; len(h) > 0 {
		if err := json.Unmarshal(h, &host); err != nil {
			return b, fmt.Errorf("config.HostConfig: it is no object: %w", errdef.ErrInvalid)
		}
		if err := distinct(host); err != nil {
			return b, err
		}
		clean, err := json.Marshal(host)
		if err != nil {
			return b, err
		}
		b.raw["HostConfig"] = clean
	}
	clean, err := json.Marshal(b.raw)
	if err == nil {
		err = json.Unmarshal(clean, &b)
	}
	if err != nil {
		return b, fmt.Errorf("config: %w: %w", errdef.ErrInvalid, err)
	}
	switch {
	case b.Image == "" || len(b.Image) > 512:
		return b, fmt.Errorf("config.Image: name an image: %w", errdef.ErrInvalid)
	case b.HostConfig.Memory < 0 || b.HostConfig.NanoCpus < 0:
		return b, fmt.Errorf("config.HostConfig: Memory and NanoCpus cannot be negative: %w", errdef.ErrInvalid)
	}
	return b, nil
}

// distinct refuses keys that are the same but for capitals, or for letters that stand for the same one (ſ and s): Go reads them as
// one field, and takes the last.
func distinct(m map[string]json.RawMessage) error {
	seen := map[string]string{}
	for k := range m {
		low := strings.ToLower(strings.ToUpper(k))
		if other, ok := seen[low]; ok {
			return fmt.Errorf("config: it has both %.40q and %.40q: %w", k, other, errdef.ErrInvalid)
		}
		seen[low] = k
	}
	return nil
}

// Size is what a provision holds of an allowance.
type Size struct {
	Containers int64
	CPUs       int64 // billionths
	Memory     int64 // bytes
}

// A container that asks for nothing is counted as a VCH makes it by default, and made so.
const (
	defaultCPUs   = 1_000_000_000
	defaultMemory = 256 << 20
)

func (b Body) size() Size {
	s := Size{1, b.HostConfig.NanoCpus, b.HostConfig.Memory}
	if s.CPUs == 0 {
		s.CPUs = defaultCPUs
	}
	if s.Memory == 0 {
		s.Memory = defaultMemory
	}
	return s
}

// publishes says whether a port of the container can be reached from outside.
func (b Body) publishes() bool {
	return len(b.HostConfig.PortBindings) > 0 || b.HostConfig.PublishAllPorts
}

// sealable is the body as the VCH gets it: with the labels that say whose it is, and the size that is held.
func (b Body) sealable(id int64, r Request) ([]byte, error) {
	labels := map[string]string{}
	for k, v := range b.Labels {
		labels[k] = v
	}
	labels[LabelProvision], labels[LabelProject], labels[LabelBy] = strconv.FormatInt(id, 10), r.ProjectName, r.RequestedBy
	host := map[string]json.RawMessage{}
	if h := b.raw["HostConfig"]; len(h) > 0 {
		if err := json.Unmarshal(h, &host); err != nil {
			return nil, err
		}
	}
	set := func(m map[string]json.RawMessage, key string, v any) error {
		for k := range m {
			if strings.EqualFold(k, key) {
				delete(m, k)
			}
		}
		text, err := json.Marshal(v)
		m[key] = text
		return err
	}
	size := b.size()
	out := map[string]json.RawMessage{}
	for k, v := range b.raw {
		out[k] = v
	}
	for _, err := range []error{set(host, "Memory", size.Memory), set(host, "NanoCpus", size.CPUs), set(out, "HostConfig", host), set(out, "Labels", labels)} {
		if err != nil {
			return nil, err
		}
	}
	return json.Marshal(out)
}

// randomName is a name that nobody else has.
func randomName() string { return "c-" + strings.ToLower(rand.Text()[:10]) }
