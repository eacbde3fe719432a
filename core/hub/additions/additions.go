// Package additions reads what Harbor's API tells of an artifact beside its manifest, out of the artifact itself: the history
// of an image's build, and the texts of a helm chart. What is read comes from whoever pushed it, and is bounded.
package additions

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/openvic/vic/sdk/errdef"
)

// MaxConfig is how many bytes of a config are read, and maxEach how many steps or dependencies there may be in it: in memory
// an empty one is many times as large as in the config.
const (
	MaxConfig = 4 << 20
	maxEach   = 10_000
)

// few is a list that is not read further than to its bound.
type few[T any] []T

// UnmarshalJSON implements json.Unmarshaler.
func (l *few[T]) UnmarshalJSON(b []byte) error {
	*l = few[T]{}
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		if err == nil && t != nil { // null is an empty list
			err = errors.New("want a list")
		}
		return err
	}
	for d.More() {
		if len(*l) == maxEach {
			return fmt.Errorf("there are more than %d entries in a list", maxEach)
		}
		var x T
		if err := d.Decode(&x); err != nil {
			return err
		}
		*l = append(*l, x)
	}
	return nil
}

// Bounds of a chart's archive.
const (
	maxUnpacked = 64 << 20
	maxEntries  = 10_000
	maxFile     = 1 << 20 // of one file that is told
)

func invalid(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, errdef.ErrInvalid)...)
}

// Step is one of an image's history, in the words of OCI's image specification.
type Step struct {
	Created    string `json:"created,omitempty"`
	CreatedBy  string `json:"created_by,omitempty"`
	Author     string `json:"author,omitempty"`
	Comment    string `json:"comment,omitempty"`
	EmptyLayer bool   `json:"empty_layer,omitempty"`
}

// History reads how an image was built out of its config; errdef.ErrInvalid.
func History(config []byte) ([]Step, error) {
	var c struct {
		History few[Step] `json:"history"`
	}
	if err := json.Unmarshal(config, &c); err != nil {
		return nil, invalid("the image's config cannot be read: %v", err)
	}
	if c.History == nil {
		c.History = few[Step]{}
	}
	return c.History, nil
}

// Dependency is a chart that another one needs.
type Dependency struct {
	Name       string `json:"name"`
	Version    string `json:"version"`
	Repository string `json:"repository"`
}

// Dependencies reads what a helm chart needs out of its config; errdef.ErrInvalid.
func Dependencies(config []byte) ([]Dependency, error) {
	var c struct {
		Dependencies few[Dependency] `json:"dependencies"`
	}
	if err := json.Unmarshal(config, &c); err != nil {
		return nil, invalid("the chart's config cannot be read: %v", err)
	}
	if c.Dependencies == nil {
		c.Dependencies = few[Dependency]{}
	}
	return c.Dependencies, nil
}

// ChartFile reads a file of a helm chart's own folder out of its archive (tar, gzip), whatever the case of its name: README.md,
// values.yaml. errdef.ErrNotFound if there is none, errdef.ErrInvalid for an archive that cannot be read or is too large.
func ChartFile(archive io.Reader, name string) ([]byte, error) {
	z, err := gzip.NewReader(archive)
	if err != nil {
		return nil, broken(err)
	}
	defer z.Close()
	limited := &io.LimitedReader{R: z, N: maxUnpacked}
	t := tar.NewReader(limited)
	for range maxEntries {
		h, err := t.Next()
		switch {
		case errors.Is(err, io.EOF) && limited.N > 0:
			return nil, fmt.Errorf("the chart has no %s: %w", name, errdef.ErrNotFound)
		case err != nil:
			return nil, broken(err)
		}
		folder, file := path.Split(path.Clean(h.Name))
		if h.Typeflag != tar.TypeReg || strings.Count(folder, "/") != 1 || !strings.EqualFold(file, name) {
			continue
		}
		if h.Size > maxFile {
			return nil, invalid("%s has more than %d bytes", name, maxFile)
		}
		b, err := io.ReadAll(t)
		if err != nil {
			return nil, broken(err)
		}
		return b, nil
	}
	return nil, invalid("the chart's archive has more than %d entries", maxEntries)
}

func broken(err error) error {
	return fmt.Errorf("the chart's archive cannot be read, or unpacks to more than %d bytes: %w: %w", maxUnpacked, err, errdef.ErrInvalid)
}
