package spawn

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/moby/sys/user"
	"github.com/openvic/vic/sdk/guest"
	"golang.org/x/sys/unix"
)

// DefaultPath is the PATH of a process whose environment has none.
const DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Where the users and groups are, in the container.
const (
	passwdFile = "/etc/passwd"
	groupFile  = "/etc/group"
)

// identity is a user as the kernel knows it.
type identity struct {
	uid, gid int
	groups   []int
	home     string
}

// lookupUser finds a user in Docker's notation in the present root file system.
func lookupUser(name string, groups []string) (identity, error) {
	return lookupUserIn(name, groups, passwdFile, groupFile)
}

func lookupUserIn(name string, groups []string, passwd, group string) (identity, error) {
	u, err := user.GetExecUserPath(name, &user.ExecUser{Home: "/"}, passwd, group)
	if err != nil {
		return identity{}, err
	}
	id := identity{uid: u.Uid, gid: u.Gid, home: u.Home, groups: append([]int{u.Gid}, u.Sgids...)}
	if len(groups) > 0 {
		more, err := user.GetAdditionalGroupsPath(groups, group)
		if err != nil {
			return identity{}, err
		}
		slices.Sort(more) // they come in no order
		id.groups = append(id.groups, more...)
	}
	return id, nil
}

// Environment is a process's environment: the given one, the last of each name, and what Docker
// adds where it is missing.
func Environment(p guest.Process, hostname, home string) []string {
	defaults := []string{"PATH=" + DefaultPath, "HOSTNAME=" + hostname}
	if p.TTY {
		defaults = append(defaults, "TERM=xterm")
	}
	defaults = append(defaults, "HOME="+home)
	return MergeEnv(defaults, p.Env)
}

// MergeEnv overrides base: a variable keeps its place and has its last value. A word without "="
// removes the variable.
func MergeEnv(base, over []string) []string {
	place := map[string]int{}
	var out []string
	for _, kv := range append(append([]string{}, base...), over...) {
		k, _, ok := strings.Cut(kv, "=")
		i, known := place[k]
		switch {
		case !ok && known:
			out[i] = ""
		case !ok:
		case known:
			out[i] = kv
		default:
			place[k] = len(out)
			out = append(out, kv)
		}
	}
	kept := out[:0]
	for _, kv := range out {
		if kv != "" {
			kept = append(kept, kv)
		}
	}
	return kept
}

// lookupProgram finds the program to execute; a *Failure if there is none.
func lookupProgram(args []string, dir string, env []string) (string, error) {
	if len(args) == 0 || args[0] == "" {
		return "", &Failure{CodeNotFound, `exec: "": executable file not found in $PATH`}
	}
	name := args[0]
	if strings.Contains(name, "/") {
		path := name
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		return path, checkProgram(name, path)
	}
	var denied error
	for _, d := range filepath.SplitList(variable(env, "PATH")) {
		if d == "" {
			d = "."
		}
		if !filepath.IsAbs(d) {
			d = filepath.Join(dir, d)
		}
		path := filepath.Join(d, name)
		err := checkProgram(name, path)
		if err == nil {
			return path, nil
		}
		var f *Failure
		if errors.As(err, &f) && f.Code == CodeCannotRun {
			denied = err
		}
	}
	if denied != nil {
		return "", denied
	}
	return "", &Failure{CodeNotFound, fmt.Sprintf("exec: %q: executable file not found in $PATH", name)}
}

func variable(env []string, name string) string {
	for i := len(env) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(env[i], name+"="); ok {
			return v
		}
	}
	return ""
}

func checkProgram(name, path string) error {
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		return &Failure{CodeNotFound, fmt.Sprintf("exec: %q: stat %s: no such file or directory", name, path)}
	case err != nil:
		var errno syscall.Errno
		errors.As(err, &errno)
		return &Failure{CodeCannotRun, fmt.Sprintf("exec: %q: %s", name, errno)}
	case st.IsDir():
		return &Failure{CodeCannotRun, fmt.Sprintf("exec: %q: is a directory", name)}
	case st.Mode()&0o111 == 0:
		return &Failure{CodeCannotRun, fmt.Sprintf("exec: %q: permission denied", name)}
	}
	return nil
}
