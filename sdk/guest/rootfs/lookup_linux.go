package rootfs

import (
	"bufio"
	"os"
	"strconv"
	"strings"

	"github.com/openvic/vic/sdk/errdef"
)

// lookup finds the numbers of Docker's "user[:group]" in the view's /etc/passwd and /etc/group. A
// number that is not listed is taken as it is, with the group 0.
func lookup(owner string) (*ids, error) {
	user, group, _ := strings.Cut(owner, ":")
	var found ids
	if user != "" {
		n, numeric := number(user)
		f := entry("/etc/passwd", func(f []string) bool {
			return len(f) >= 4 && (f[0] == user && !numeric || numeric && f[2] == strconv.Itoa(n))
		})
		switch {
		case f != nil:
			found.uid, _ = number(f[2])
			found.gid, _ = number(f[3])
		case numeric:
			found.uid = n
		default:
			return nil, fail(errdef.ErrInvalid, "failed to look up user %q in container", user)
		}
	}
	if group != "" {
		n, numeric := number(group)
		if !numeric {
			f := entry("/etc/group", func(f []string) bool { return len(f) >= 3 && f[0] == group })
			if f == nil {
				return nil, fail(errdef.ErrInvalid, "failed to look up group %q in container", group)
			}
			n, _ = number(f[2])
		}
		found.gid = n
	}
	return &found, nil
}

func number(s string) (int, bool) {
	n, err := strconv.ParseUint(s, 10, 31)
	return int(n), err == nil
}

// entry returns the fields of the first line that matches.
func entry(file string, match func([]string) bool) []string {
	f, err := os.Open(file)
	if err != nil {
		return nil
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		if fields := strings.Split(sc.Text(), ":"); match(fields) {
			return fields
		}
	}
	return nil
}
