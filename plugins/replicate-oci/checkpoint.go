package main

import (
	"encoding/json"

	"github.com/opencontainers/go-digest"

	"github.com/openvic/vic/sdk/replicate"
	"github.com/openvic/vic/sdk/secret"
)

// checkpoint is what a copy goes on from: the uploads that are under way at the destination.
type checkpoint struct {
	Version int                      `json:"v"`
	Place   string                   `json:"to"`
	Uploads map[digest.Digest]upload `json:"uploads"`
}

// upload is one of them. Hash is the state of the digest after Offset bytes, so that what was sent is not read again.
type upload struct {
	Location string `json:"at"`
	Offset   int64  `json:"offset"`
	Hash     []byte `json:"hash,omitempty"`
}

const (
	checkpointVersion = 1
	maxLocation       = 8 << 10
	maxHash           = 512
)

// readCheckpoint reads one; of another version, for another place or of nobody it is an empty one.
func readCheckpoint(text secret.Text, place string) checkpoint {
	var c checkpoint
	if json.Unmarshal([]byte(text), &c) != nil || c.Version != checkpointVersion || c.Place != place {
		c = checkpoint{}
	}
	c.Version, c.Place = checkpointVersion, place
	if c.Uploads == nil {
		c.Uploads = map[digest.Digest]upload{}
	}
	for d, u := range c.Uploads {
		if u.Location == "" || len(u.Location) > maxLocation || u.Offset < 0 || len(u.Hash) > maxHash {
			delete(c.Uploads, d)
		}
	}
	return c
}

// text is the checkpoint for the host. Uploads for which there is no room are left out: they begin anew.
func (c checkpoint) text() secret.Text {
	for {
		b, err := json.Marshal(c)
		if err == nil && len(b) <= replicate.MaxCheckpoint {
			return secret.Text(b)
		}
		fewer := map[digest.Digest]upload{}
		for d, u := range c.Uploads {
			if len(fewer) < len(c.Uploads)/2 {
				fewer[d] = u
			}
		}
		c.Uploads = fewer
	}
}
