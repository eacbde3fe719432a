package rootfs

import (
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/openvic/vic/sdk/errdef"
)

// maxLinks is how many symbolic links a path may lead through, as in the kernel.
const maxLinks = 40

// absolute makes a client's path one of the root, keeping what its end says: "/." and "/" ask for the
// content of a directory (the rule is that of docker cp).
func absolute(name string) string {
	clean := path.Join("/", name)
	switch {
	case clean == "/":
		return clean
	case strings.HasSuffix(name, "/."):
		return clean + "/."
	case strings.HasSuffix(name, "/"):
		return clean + "/"
	}
	return clean
}

// StatPath describes a file; a link in the last part is not followed.
func StatPath(name string) (Stat, error) {
	abs := absolute(name)
	info, err := os.Lstat(abs)
	if err != nil {
		return Stat{}, classify(err)
	}
	st := Stat{Name: path.Base(abs), Size: info.Size(), Mode: info.Mode(), ModTime: info.ModTime()}
	if info.Mode()&fs.ModeSymlink != 0 {
		if st.LinkTarget, err = follow(abs); err != nil {
			return Stat{}, err
		}
	}
	return st, nil
}

// follow returns where a path ends when all links are followed; parts that do not exist stay as they
// are.
func follow(name string) (string, error) {
	done, rest := "/", strings.Split(name, "/")
	for links := 0; len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			done = path.Dir(done)
			continue
		}
		next := path.Join(done, part)
		target, err := os.Readlink(next)
		if err != nil { // not a link, or not there
			done = next
			continue
		}
		if links++; links > maxLinks {
			return "", fail(errdef.ErrInvalid, "%s: too many links", name)
		}
		if strings.HasPrefix(target, "/") {
			done = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return done, nil
}

func sysStat(info fs.FileInfo) (*syscall.Stat_t, error) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil, fail(errdef.ErrUnsupported, "%s: no system data", info.Name())
	}
	return st, nil
}
