package keep

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/openvic/vic/sdk/errdef"
)

// Manifest is what a backup says of itself. It is written last: a backup without one is not whole.
type Manifest struct {
	Format   int            `json:"format"`
	Made     time.Time      `json:"made"`
	Hub      string         `json:"hub"`
	Version  string         `json:"version"`  // of the vic-hub that made it
	Database string         `json:"database"` // the file with the copy of the database
	Versions map[string]int `json:"versions"` // of the schemas
	Tables   map[string]Sum `json:"tables"`
	Objects  int            `json:"objects"`
	Bytes    int64          `json:"bytes"`
	// SealKey is the ID of the key that the secrets in the database are sealed with; it says nothing of the key.
	SealKey string `json:"seal_key"`
	// Keys is the file with the hub's keys; "": they were not asked for.
	Keys string `json:"keys,omitempty"`
	// Faults are objects that the storage did not have, or not as they should be.
	Faults *Faults `json:"faults"`
}

const (
	manifestFile = "manifest.json"
	databaseFile = "database.jsonl.zst"
	keysFile     = "keys.age"
	// maxManifest bounds a manifest that is read.
	maxManifest = 4 << 20
)

func (m *Manifest) write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(m)
}

func readManifest(r io.Reader) (m Manifest, err error) {
	if err := json.NewDecoder(io.LimitReader(r, maxManifest)).Decode(&m); err != nil {
		return m, fmt.Errorf("%s of the backup: %w: %w", manifestFile, err, errdef.ErrInvalid)
	}
	if m.Format != format {
		return m, fmt.Errorf("the backup has format %d, and this version of vic-hub reads format %d: %w", m.Format, format, errdef.ErrInvalid)
	}
	if m.Faults == nil {
		m.Faults = &Faults{First: []string{}}
	}
	return m, nil
}
