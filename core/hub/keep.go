package hub

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/openvic/vic/core/config"
	"github.com/openvic/vic/core/hub/keep"
	"github.com/openvic/vic/sdk/errdef"
)

// backup is vic-hub backup.
func backup(version string, args []string, stdout, stderr io.Writer) int {
	c := newCommand("backup", stdout, stderr)
	to := c.flags.String("to", "", "the `target`: a folder, a file that ends in .tar, or - for a tar stream on the standard output")
	last := c.flags.Int("keep", 0, "in a folder, keep this `number` of backups and remove older ones; 0: all")
	keys := c.flags.Bool("keys", false, "keep seal.key and the hub's own authority too, sealed by the passphrase")
	passphrase := passphraseFlag(c.flags)
	return c.run(args, func(ctx context.Context, h *Hub) (report, error) {
		o := keep.BackupOptions{Keys: *keys}
		var err error
		if *keys {
			if o.Passphrase, err = readPassphrase(*passphrase); err != nil {
				return report{}, err
			}
		}
		source := keep.Hub{DB: h.db, Schemas: schemas(), Storage: h.driver, Data: h.cfg.Data, Name: h.cfg.Name, Version: version}
		switch {
		case *to == "":
			return report{}, errors.New("--to is missing: a folder, a file that ends in .tar, or - for the standard output")
		case *last < 0:
			return report{}, fmt.Errorf("--keep %d: a number of backups", *last)
		case isArchive(*to) && *last > 0:
			return report{}, errors.New("--keep is for a folder: an archive holds one backup")
		case *to == "-":
			c.stdout = stderr // the stream is the output
			return backupStream(ctx, source, stdout, o)
		case isArchive(*to):
			return backupFile(ctx, source, *to, o)
		}
		return backupFolder(ctx, source, *to, *last, o)
	})
}

func passphraseFlag(f *flag.FlagSet) *string {
	return f.String("passphrase-file", "", "a `file` (mode 0600) with the passphrase of the keys")
}

func isArchive(name string) bool { return name == "-" || strings.HasSuffix(name, ".tar") }

// readPassphrase reads the first line of a file that is the owner's alone.
func readPassphrase(path string) (string, error) {
	if path == "" {
		return "", errors.New("--keys needs --passphrase-file: the keys open everything, and lie sealed in the backup")
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("--passphrase-file: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return "", fmt.Errorf("--passphrase-file: %s can be read by others (mode %#o): chmod 600 it", path, mode)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("--passphrase-file: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	if line = strings.TrimSuffix(line, "\r"); line == "" {
		return "", fmt.Errorf("--passphrase-file: the first line of %s is empty", path)
	}
	return line, nil
}

func backupFolder(ctx context.Context, h keep.Hub, to string, last int, o keep.BackupOptions) (_ report, err error) {
	f, err := keep.OpenFolder(to, true)
	if err != nil {
		return report{}, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	r, err := keep.Backup(ctx, h, f, o)
	if err != nil {
		return report{}, err
	}
	out := kept("backup "+r.Name, r)
	if last > 0 {
		removed, err := f.Keep(ctx, last)
		if err != nil {
			return report{}, fmt.Errorf("backup %s is made, but older ones cannot be removed: %w", r.Name, err)
		}
		for _, name := range removed {
			out.text += fmt.Sprintf("removed backup %s\n", name)
		}
	}
	return out, nil
}

// backupFile writes an archive that has its name only when it is whole.
func backupFile(ctx context.Context, h keep.Hub, to string, o keep.BackupOptions) (_ report, err error) {
	f, err := unfinished(to)
	if err != nil {
		return report{}, err
	}
	r, err := backupStream(ctx, h, f, o)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return report{}, errors.Join(err, os.Remove(f.Name()))
	}
	return r, os.Rename(f.Name(), to)
}

// unfinished makes a file for what becomes another, in place of one that a run left which was ended. It is new: whoever else
// may write to the folder has not made it, and does not hold it open.
func unfinished(of string) (*os.File, error) {
	name := of + ".unfinished"
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

func backupStream(ctx context.Context, h keep.Hub, to io.Writer, o keep.BackupOptions) (_ report, err error) {
	a, err := keep.NewArchive(ctx, to, h.Data)
	if err != nil {
		return report{}, err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	r, err := keep.Backup(ctx, h, a, o)
	return kept("backup "+r.Name, r), err
}

// kept tells what was done.
func kept(what string, r keep.Report) report {
	var text strings.Builder
	for _, f := range r.Faults.First {
		fmt.Fprintln(&text, f)
	}
	if more := r.Faults.Count - len(r.Faults.First); more > 0 {
		fmt.Fprintf(&text, "... and %d more\n", more)
	}
	fmt.Fprintf(&text, "%s: %d rows, %d objects of %d bytes, %d of them copied now; ", what, r.Rows, r.Objects, r.Bytes, r.Copied)
	if r.Keys {
		text.WriteString("with the hub's keys; ")
	}
	if r.Faults.Count > 0 {
		fmt.Fprintf(&text, "%d objects are missing or damaged\n", r.Faults.Count)
	} else {
		text.WriteString("no fault\n")
	}
	if r.Needs != "" {
		fmt.Fprintf(&text, "the secrets in the database are sealed with the key %s, which is not here: put that seal.key into the data folder "+
			"before the hub starts\n", r.Needs)
	}
	return report{value: r, text: text.String(), well: r.Faults.Count == 0}
}

// restore is vic-hub restore.
func restore(args []string, stdout, stderr io.Writer) int {
	c := newCommand("restore", stdout, stderr)
	from := c.flags.String("from", "", "the `backup`: a folder, a file that ends in .tar, or - for a tar stream on the standard input")
	name := c.flags.String("snapshot", "", "the `name` of a backup in the folder; empty: the last")
	without := c.flags.Bool("without-keys", false, "leave out the keys of the backup")
	passphrase := passphraseFlag(c.flags)
	return c.do(args, func(ctx context.Context) (report, error) {
		o := keep.RestoreOptions{Snapshot: *name, WithoutKeys: *without}
		if *passphrase != "" {
			var err error
			if o.Passphrase, err = readPassphrase(*passphrase); err != nil {
				return report{}, err
			}
		}
		switch {
		case *from == "":
			return report{}, errors.New("--from is missing: a folder, a file that ends in .tar, or - for the standard input")
		case isArchive(*from) && *name != "":
			return report{}, errors.New("--snapshot is for a folder: an archive holds one backup")
		}
		cfg, err := config.LoadHub(c.config)
		if err != nil {
			return report{}, err
		}
		h, place, err := empty(ctx, cfg)
		if err != nil {
			return report{}, err
		}
		defer h.close()
		r, err := restoreFrom(ctx, *from, place, o)
		if err != nil {
			return report{}, err
		}
		return kept("restored", r), nil
	})
}

func restoreFrom(ctx context.Context, from string, p keep.Place, o keep.RestoreOptions) (keep.Report, error) {
	if !isArchive(from) {
		f, err := keep.OpenFolder(from, false)
		if err != nil {
			return keep.Report{}, err
		}
		return keep.RestoreFolder(ctx, f, p, o)
	}
	in := os.Stdin
	if from != "-" {
		f, err := os.Open(from)
		if err != nil {
			return keep.Report{}, err
		}
		defer f.Close()
		in = f
	}
	return keep.RestoreArchive(ctx, in, p, o)
}

// empty is the place for a hub's data, locked against hubs that would serve it. The caller closes the Hub, which has no database.
func empty(ctx context.Context, cfg config.Hub) (*Hub, keep.Place, error) {
	h := &Hub{cfg: cfg}
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return nil, keep.Place{}, fmt.Errorf("data: %w", err)
	}
	if err := h.openLock(ctx); err != nil {
		return nil, keep.Place{}, err
	}
	driver, err := h.storage(ctx)
	if err != nil {
		h.close()
		return nil, keep.Place{}, err
	}
	return h, keep.Place{URL: cfg.Database.URL, Schemas: schemas(), Storage: driver, Data: cfg.Data}, nil
}

// move is vic-hub move.
func move(version string, args []string, stdout, stderr io.Writer) int {
	c := newCommand("move", stdout, stderr)
	to := c.flags.String("to", "", "the hub.toml of the new `place`")
	content := c.flags.Bool("content-only", false, "copy only content, while the hub serves: a later move copies the rest")
	return c.run(args, func(ctx context.Context, h *Hub) (report, error) {
		if *to == "" {
			return report{}, errors.New("--to is missing: the hub.toml of the new place")
		}
		cfg, err := config.LoadHub(*to)
		if err != nil {
			return report{}, err
		}
		if err := apart(h.cfg, cfg); err != nil {
			return report{}, err
		}
		if !*content {
			if err := h.openLock(ctx); err != nil {
				return report{}, err
			}
		}
		n, place, err := empty(ctx, cfg)
		if err != nil {
			return report{}, err
		}
		defer n.close()
		from := keep.Hub{DB: h.db, Schemas: schemas(), Storage: h.driver, Data: h.cfg.Data, Name: h.cfg.Name, Version: version}
		r, err := keep.Move(ctx, from, place, *content)
		if err != nil {
			return report{}, err
		}
		switch {
		case r.Faults.Count > 0 && !*content:
			return kept("nothing is moved but content; mend this by vic-hub fsck first", r), nil
		case *content:
			return kept("content is copied", r), nil
		}
		return kept("moved", r), nil
	})
}

// apart refuses to move a hub onto itself.
func apart(a, b config.Hub) error {
	same := func(what string) error {
		return fmt.Errorf("--to names the same %s as the hub that is to be moved: %w", what, errdef.ErrInvalid)
	}
	switch {
	case a.Database.URL == b.Database.URL:
		return same("database")
	case a.Storage.S3.Bucket == "" && b.Storage.S3.Bucket == "" && filepath.Clean(a.Storage.Folder) == filepath.Clean(b.Storage.Folder):
		return same("folder of content")
	case a.Storage.S3.Bucket != "" && a.Storage.S3.Bucket == b.Storage.S3.Bucket && a.Storage.S3.Endpoint == b.Storage.S3.Endpoint &&
		strings.Trim(a.Storage.S3.Prefix, "/") == strings.Trim(b.Storage.S3.Prefix, "/"):
		return same("bucket")
	}
	return nil
}
