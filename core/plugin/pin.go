package plugin

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"

	"github.com/hashicorp/go-plugin"

	"github.com/openvic/vic/sdk/errdef"
)

// sum is a hash that remembers its result: go-plugin compares it and does not tell it.
type sum struct {
	hash.Hash
	result []byte
}

func (s *sum) Sum(b []byte) []byte {
	s.result = s.Hash.Sum(nil)
	return append(b, s.result...)
}

// String is the result, or empty if nothing was summed.
func (s *sum) String() string { return hex.EncodeToString(s.result) }

// newPin makes go-plugin's check of a program's sha256.
func newPin(want string) (*plugin.SecureConfig, *sum, error) {
	b, err := hex.DecodeString(want)
	if err != nil || len(b) != sha256.Size {
		return nil, nil, fmt.Errorf("%q is not 64 hexadecimal digits: %w", want, errdef.ErrInvalid)
	}
	s := &sum{Hash: sha256.New()}
	return &plugin.SecureConfig{Checksum: b, Hash: s}, s, nil
}
