package rootfs

import (
	"errors"
	"io"
	"slices"
)

// ours are files that a tether makes in a root file system as Docker's init layer has them: no
// change of the container's.
func ours() []string {
	return []string{"/.dockerenv", "/dev", "/dev/console", "/dev/pts", "/dev/shm", "/etc/hostname", "/etc/hosts", "/etc/mtab",
		"/etc/resolv.conf", "/proc", "/sys"}
}

// Compare calls fn with every path of the view, which has nothing mounted in it, that is not as in the
// tree base, in the order of a walk: a directory comes before what is in it, and comes, as Modified, if
// anything in it has changed. Of a directory that is gone, or was added, Docker's rules hold: the
// first is told alone, the second with all that is in it.
func Compare(base io.Reader, fn func(Change) error) error {
	t, err := newTreeReader(base)
	if err != nil {
		return err
	}
	c := &comparison{base: t, fn: fn, ours: ours()}
	if err := c.advance(); err != nil {
		return err
	}
	if err := walk(c.visit); err != nil {
		return err
	}
	return c.deletedBefore(node{}, true)
}

type pendingDir struct {
	Change
	told bool
}

// comparison merges the walk of a file system with a tree.
type comparison struct {
	base  *treeReader
	cur   node // the tree's next
	ended bool
	gone  string // what lies in it was told with it
	dirs  []pendingDir
	ours  []string
	fn    func(Change) error
}

func (c *comparison) advance() error {
	n, err := c.base.next()
	if errors.Is(err, io.EOF) {
		c.ended = true
		return nil
	}
	c.cur = n
	return err
}

// visit is called with every file that there is.
func (c *comparison) visit(n node) error {
	if err := c.deletedBefore(n, false); err != nil {
		return err
	}
	if c.ended || c.cur.path != n.path {
		return c.added(n)
	}
	old := c.cur
	if err := c.advance(); err != nil {
		return err
	}
	if old.kind() != n.kind() {
		if old.dir() {
			c.gone = old.path
		}
		return c.tell(Change{Modified, n.path}, n.dir())
	}
	if changed(old, n) && !slices.Contains(c.ours, n.path) {
		return c.tell(Change{Modified, n.path}, n.dir())
	}
	if n.dir() {
		c.leave(n.path)
		c.dirs = append(c.dirs, pendingDir{Change: Change{Modified, n.path}})
	}
	return nil
}

// changed compares a node with what it was. A file has another change time when it was written, when its
// owner, mode or attributes were changed, and when it got another name, which counts with Docker too. So has
// one that lost a name; that is told of the name alone. A directory has another change time whenever
// something in it comes or goes; that is told of what came or went, so only its own attributes count.
func changed(old, n node) bool {
	if !n.dir() {
		unlinked := n.nlink < old.nlink && old.mode == n.mode && old.uid == n.uid && old.gid == n.gid && old.size == n.size && old.mtime == n.mtime
		return old.ino != n.ino || old.ctime != n.ctime && !unlinked
	}
	if n.path == "/" {
		return false
	}
	return old.ino != n.ino || old.mode != n.mode || old.uid != n.uid || old.gid != n.gid || old.ctime != n.ctime && old.mtime == n.mtime
}

func (c *comparison) added(n node) error {
	if n.path == "/etc" { // made for the files in it, unless there is another one
		c.leave(n.path)
		c.dirs = append(c.dirs, pendingDir{Change: Change{Added, n.path}})
		return nil
	}
	if slices.Contains(c.ours, n.path) {
		return nil
	}
	return c.tell(Change{Added, n.path}, n.dir())
}

// deletedBefore tells what the tree has before n, or all that is left.
func (c *comparison) deletedBefore(n node, all bool) error {
	for !c.ended && (all || before(c.cur.path, n.path)) {
		path := c.cur.path
		if c.gone == "" || !within(path, c.gone) {
			c.gone = path
			if !slices.Contains(c.ours, path) {
				if err := c.tell(Change{Deleted, path}, false); err != nil {
					return err
				}
			}
		}
		if err := c.advance(); err != nil {
			return err
		}
	}
	return nil
}

// leave forgets the directories that a path is not in.
func (c *comparison) leave(path string) {
	for len(c.dirs) > 0 && !within(path, c.dirs[len(c.dirs)-1].Path) {
		c.dirs = c.dirs[:len(c.dirs)-1]
	}
}

// tell tells a change, after the directories that it lies in.
func (c *comparison) tell(ch Change, dir bool) error {
	c.leave(ch.Path)
	for i := range c.dirs {
		d := &c.dirs[i]
		if d.told || d.Path == "/" {
			continue
		}
		d.told = true
		if err := c.fn(d.Change); err != nil {
			return err
		}
	}
	if dir {
		c.dirs = append(c.dirs, pendingDir{Change: ch, told: true})
	}
	return c.fn(ch)
}
