//go:build !unix

package handover

import (
	"os"

	"github.com/openvic/vic/sdk/errdef"
)

// Where no descriptor can pass a socket, every way to one ends here, and bytes go over gRPC.

type socketKind int

const (
	packets socketKind = iota
	bytes
)

const rightsSpace = 0

func rights(int) []byte { return nil }

func socketPair(socketKind) (a, b *os.File, err error) { return nil, nil, errdef.ErrUnsupported }

func parse([]byte) []*os.File { return nil }

func dup(int) (int, error) { return -1, errdef.ErrUnsupported }

func closeFD(int) error { return errdef.ErrUnsupported }

func shutdown(int) error { return errdef.ErrUnsupported }

func enlarge(int) error { return nil }
