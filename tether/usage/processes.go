package usage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/sys/user"
	"github.com/openvic/vic/sdk/guest/linkv1"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Processes lists the container's processes in the order of their IDs.
func (r *Reader) Processes() (*linkv1.ProcessesResponse, error) {
	b, err := os.ReadFile(filepath.Join(r.Group, "cgroup.procs"))
	if r.Group == "" || err != nil {
		return nil, errors.Join(errors.New("the container has no control group"), err)
	}
	boot, err := r.bootTime()
	if err != nil {
		return nil, err
	}
	res := &linkv1.ProcessesResponse{Time: timestamppb.Now()}
	if res.Memory, err = r.memTotal(); err != nil {
		return nil, err
	}
	names := r.names()
	for _, pid := range numbers(strings.Fields(string(b))) {
		p, err := r.process(int64(pid), boot)
		if err != nil {
			continue // it has ended meanwhile
		}
		p.User, p.Group = names.user(p.Uid), names.group(p.Gid)
		res.Processes = append(res.Processes, p)
	}
	slices.SortFunc(res.Processes, func(a, b *linkv1.ProcessInfo) int { return int(a.Pid - b.Pid) })
	return res, nil
}

func (r *Reader) bootTime() (time.Time, error) {
	m, err := pairs(filepath.Join(r.Proc, "stat"))
	if err != nil {
		return time.Time{}, err
	}
	return time.Unix(int64(m["btime"]), 0), nil
}

// process reads one process; proc(5) tells the fields.
func (r *Reader) process(pid int64, boot time.Time) (*linkv1.ProcessInfo, error) {
	dir := filepath.Join(r.Proc, strconv.FormatInt(pid, 10))
	b, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return nil, err
	}
	// The name is in parentheses, and may hold some itself.
	open, end := strings.IndexByte(string(b), '('), strings.LastIndexByte(string(b), ')')
	if open < 0 || end < open {
		return nil, fmt.Errorf("%s/stat: not understood", dir)
	}
	f := strings.Fields(string(b[end+1:])) // f[0] is field 3
	if len(f) < 37 {
		return nil, fmt.Errorf("%s/stat: %d fields", dir, len(f))
	}
	n := make([]int64, len(f))
	for i := range f {
		n[i], _ = strconv.ParseInt(f[i], 10, 64)
	}
	const tick = time.Second / ticksPerSecond
	p := &linkv1.ProcessInfo{Pid: pid, Command: string(b[open+1 : end]), Ppid: n[1], Pgid: n[2], Sid: n[3], Tty: tty(n[4]),
		CpuNs: uint64(time.Duration(n[11]+n[12]) * tick), Priority: n[15], Nice: n[16], Threads: n[17],
		Started: timestamppb.New(boot.Add(time.Duration(n[19]) * tick)), Vsize: uint64(n[20]), Rss: uint64(n[21]) * uint64(os.Getpagesize()),
		Processor: n[36]}
	p.State = state(f[0], p, n[5])
	if err := readIDs(dir, p); err != nil {
		return nil, err
	}
	line, err := os.ReadFile(filepath.Join(dir, "cmdline"))
	if err == nil && len(line) > 0 {
		p.Args = strings.Split(strings.TrimSuffix(string(line), "\x00"), "\x00")
	}
	return p, nil
}

// state is what ps(1) writes in the STAT column.
func state(letter string, p *linkv1.ProcessInfo, foreground int64) string {
	s := letter
	if p.Nice < 0 {
		s += "<"
	}
	if p.Nice > 0 {
		s += "N"
	}
	if p.Sid == p.Pid {
		s += "s"
	}
	if p.Threads > 1 {
		s += "l"
	}
	if foreground == p.Pgid {
		s += "+"
	}
	return s
}

// tty names a terminal by its device number.
func tty(dev int64) string {
	major, minor := dev>>8&0xfff, dev&0xff|dev>>12&0xfff00
	switch {
	case dev == 0:
		return "?"
	case major >= 136 && major <= 143:
		return fmt.Sprintf("pts/%d", (major-136)<<8+minor)
	}
	return fmt.Sprintf("%d/%d", major, minor)
}

func readIDs(dir string, p *linkv1.ProcessInfo) error {
	b, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 3 {
			continue
		}
		n, _ := strconv.ParseUint(f[2], 10, 32) // the effective one
		switch f[0] {
		case "Uid:":
			p.Uid = uint32(n)
		case "Gid:":
			p.Gid = uint32(n)
		}
	}
	return nil
}

// names are the container's users and groups.
type names struct{ users, groups map[int]string }

func (r *Reader) names() names {
	n := names{map[int]string{}, map[int]string{}}
	root, err := os.OpenRoot(r.Root) // links of the image lead nowhere outside
	if err != nil {
		return n
	}
	defer root.Close()
	if f, err := openRegular(root, "etc/passwd"); err == nil {
		defer f.Close()
		users, _ := user.ParsePasswd(f)
		for _, u := range users {
			n.users[u.Uid] = u.Name
		}
	}
	if f, err := openRegular(root, "etc/group"); err == nil {
		defer f.Close()
		groups, _ := user.ParseGroup(f)
		for _, g := range groups {
			n.groups[g.Gid] = g.Name
		}
	}
	return n
}

// openRegular opens a file; a pipe, which would block, is refused.
func openRegular(root *os.Root, name string) (*os.File, error) {
	st, err := root.Stat(name)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fs.ErrInvalid
	}
	return root.Open(name)
}

func (n names) user(id uint32) string  { return or(n.users[int(id)], id) }
func (n names) group(id uint32) string { return or(n.groups[int(id)], id) }

func or(name string, id uint32) string {
	if name != "" {
		return name
	}
	return strconv.FormatUint(uint64(id), 10)
}
