package dockerapi

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/openvic/vic/core/link"
)

// ContainerTop lists a container's processes as ps(1) would with the given arguments. There is no ps
// to run beside a container VM: the tether lists the processes, and the table is made here, of the
// forms and columns of ps that people use.
func (b *containers) ContainerTop(name, args string) (*container.TopResponse, error) {
	if args == "" {
		args = "-ef"
	}
	if err := checkPSArgs(args); err != nil {
		return nil, err
	}
	columns, err := psColumns(args)
	if err != nil {
		return nil, invalid("ps: %v", err)
	}
	pid := false
	for _, c := range columns {
		pid = pid || c.title == "PID"
	}
	if !pid {
		return nil, invalid("Couldn't find PID field in ps output")
	}
	all, err := b.opts.Engine.Processes(context.Background(), name)
	if err != nil {
		return nil, wrap(err)
	}
	res := &container.TopResponse{Processes: [][]string{}}
	for _, c := range columns {
		res.Titles = append(res.Titles, c.title)
	}
	for _, p := range all.Processes {
		row := make([]string, len(columns))
		for i, c := range columns {
			row[i] = c.value(p, all)
		}
		res.Processes = append(res.Processes, row)
	}
	return res, nil
}

// checkPSArgs is Docker's: no other column may be called PID.
func checkPSArgs(args string) error {
	for _, m := range regexp.MustCompile(`\s+([^\s]*)=\s*(PID[^\s]*)`).FindAllStringSubmatch(args, -1) {
		if m[1] != "pid" {
			return invalid(`specifying "%s=%s" is not allowed`, m[1], m[2])
		}
	}
	return nil
}

// column is one column of the table.
type column struct {
	title string
	value func(link.Process, link.Processes) string
}

// psColumns reads the arguments of ps.
func psColumns(args string) ([]column, error) {
	format, full, long, bsd := "", false, false, false
	words := strings.Fields(args)
	for i := 0; i < len(words); i++ {
		w := words[i]
		if at := strings.IndexByte(w, 'o'); at >= 0 && (strings.HasPrefix(w, "-") || w == "o" || strings.HasPrefix(w, "ax")) {
			format = appendFormat(format, w[at+1:])
			if w[at+1:] == "" && i+1 < len(words) {
				i++
				format = appendFormat(format, words[i])
			}
			w = w[:at]
		}
		for _, c := range strings.TrimPrefix(w, "-") {
			switch c {
			case 'e', 'A', 'a', 'x', 'w', 'd': // which processes, and how wide: all, and wide
			case 'f':
				full = true
			case 'l':
				long = true
			case 'u':
				bsd = true
			default:
				return nil, fmt.Errorf("error: unsupported option %q: the processes of a container VM are listed with -ef, aux, -l and -o", string(c))
			}
		}
	}
	switch {
	case format != "":
	case bsd:
		format = "user,pid,pcpu,pmem,vsz,rss,tt,stat,start_time,bsdtime,command"
	case long:
		format = "s,uid,pid,ppid,c,pri,ni,vsz,tty,time,comm=CMD"
	case full:
		format = "uname=UID,pid,ppid,c,stime,tname,time,cmd"
	default:
		format = "pid,tname,time,comm=CMD"
	}
	return formatColumns(format)
}

func appendFormat(a, b string) string { return strings.Trim(a+","+b, ",") }

func formatColumns(format string) ([]column, error) {
	var out []column
	known := psKeywords()
	for _, word := range strings.Split(format, ",") {
		name, title, renamed := strings.Cut(word, "=")
		c, ok := known[name]
		if !ok {
			return nil, fmt.Errorf("error: unknown user-defined format specifier %q", name)
		}
		if renamed {
			c.title = title
		}
		out = append(out, c)
	}
	return out, nil
}

// psKeywords are the columns by their names in ps(1).
func psKeywords() map[string]column {
	type value = func(link.Process, link.Processes) string
	num := func(f func(link.Process) int64) value {
		return func(p link.Process, _ link.Processes) string { return strconv.FormatInt(f(p), 10) }
	}
	str := func(f func(link.Process) string) value {
		return func(p link.Process, _ link.Processes) string { return f(p) }
	}
	m := map[string]column{}
	add := func(names, title string, v value) {
		for _, n := range strings.Fields(names) {
			m[n] = column{title, v}
		}
	}
	add("pid tgid", "PID", num(func(p link.Process) int64 { return p.PID }))
	add("ppid", "PPID", num(func(p link.Process) int64 { return p.PPID }))
	add("pgid pgrp", "PGID", num(func(p link.Process) int64 { return p.PGID }))
	add("sid sess session", "SID", num(func(p link.Process) int64 { return p.SID }))
	add("uid euid", "UID", num(func(p link.Process) int64 { return int64(p.UID) }))
	add("gid egid", "GID", num(func(p link.Process) int64 { return int64(p.GID) }))
	add("user euser uname", "USER", str(func(p link.Process) string { return p.User }))
	add("group egroup", "GROUP", str(func(p link.Process) string { return p.Group }))
	add("comm ucmd ucomm", "COMMAND", str(func(p link.Process) string { return p.Command }))
	add("args command", "COMMAND", str(commandLine))
	add("cmd", "CMD", str(commandLine))
	add("stat", "STAT", str(func(p link.Process) string { return p.State }))
	add("s state", "S", str(func(p link.Process) string { return p.State[:min(1, len(p.State))] }))
	add("tty tt tname", "TTY", str(func(p link.Process) string { return p.TTY }))
	add("ni nice", "NI", num(func(p link.Process) int64 { return p.Nice }))
	add("pri", "PRI", num(func(p link.Process) int64 { return 39 - p.Priority }))
	add("nlwp thcount", "NLWP", num(func(p link.Process) int64 { return p.Threads }))
	add("psr", "PSR", num(func(p link.Process) int64 { return p.Processor }))
	add("vsz vsize", "VSZ", num(func(p link.Process) int64 { return int64(p.VSize >> 10) }))
	add("rss rssize rsz", "RSS", num(func(p link.Process) int64 { return int64(p.RSS >> 10) }))
	addTimes(add)
	return m
}

// addTimes adds the columns that are about time and shares.
func addTimes(add func(names, title string, v func(link.Process, link.Processes) string)) {
	type process = link.Process
	type processes = link.Processes
	add("time cputime", "TIME", func(p process, _ processes) string { return clock(p.CPU, true) })
	add("bsdtime", "TIME", func(p process, _ processes) string {
		return fmt.Sprintf("%d:%02d", int(p.CPU.Minutes()), int(p.CPU.Seconds())%60)
	})
	add("etime", "ELAPSED", func(p process, a processes) string { return clock(a.Time.Sub(p.Started), false) })
	add("etimes", "ELAPSED", func(p process, a processes) string {
		return strconv.FormatInt(int64(a.Time.Sub(p.Started).Seconds()), 10)
	})
	add("stime", "STIME", func(p process, a processes) string { return startTime(p.Started, a.Time) })
	add("start_time bsdstart", "START", func(p process, a processes) string { return startTime(p.Started, a.Time) })
	add("start", "STARTED", func(p process, a processes) string { return startTime(p.Started, a.Time) })
	add("lstart", "STARTED", func(p process, _ processes) string { return p.Started.UTC().Format("Mon Jan _2 15:04:05 2006") })
	add("c", "C", func(p process, a processes) string { return strconv.Itoa(int(share(p, a))) })
	add("pcpu %cpu", "%CPU", func(p process, a processes) string { return fmt.Sprintf("%.1f", share(p, a)) })
	add("pmem %mem", "%MEM", func(p process, a processes) string {
		if a.Memory == 0 {
			return "0.0"
		}
		return fmt.Sprintf("%.1f", float64(p.RSS)*100/float64(a.Memory))
	})
}

// share is the processor time over the process's life, in percent.
func share(p link.Process, a link.Processes) float64 {
	life := a.Time.Sub(p.Started)
	if life <= 0 {
		return 0
	}
	return float64(p.CPU) * 100 / float64(life)
}

func commandLine(p link.Process) string {
	if len(p.Args) == 0 {
		return "[" + p.Command + "]"
	}
	return strings.Join(p.Args, " ")
}

// clock is [DD-]HH:MM:SS; without hours where they may be left out and are 0.
func clock(d time.Duration, hours bool) string {
	s := int(max(d, 0).Seconds())
	out := fmt.Sprintf("%02d:%02d", s/60%60, s%60)
	if h := s / 3600; h > 0 || hours {
		out = fmt.Sprintf("%02d:%s", h%24, out)
	}
	if days := s / 86400; days > 0 {
		out = fmt.Sprintf("%d-%s", days, out)
	}
	return out
}

// startTime is the time of the day, or the day if it was another one.
func startTime(t, now time.Time) string {
	t, now = t.UTC(), now.UTC()
	switch {
	case now.Sub(t) < 24*time.Hour && t.Day() == now.Day():
		return t.Format("15:04")
	case t.Year() == now.Year():
		return t.Format("Jan02")
	}
	return t.Format("2006")
}
