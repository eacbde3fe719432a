package minit

import (
	"errors"
	"os/exec"
)

// lookup finds a program as execvp(3) does.
func lookup(name string) (string, error) {
	path, err := exec.LookPath(name)
	if errors.Is(err, exec.ErrDot) {
		err = nil
	}
	return path, err
}
