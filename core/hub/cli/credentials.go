package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/openvic/vic/core/hub/client"
	"github.com/openvic/vic/sdk/errdef"
)

// credentials is the file that login writes.
type credentials struct {
	Last string             `json:"last"` // the hub that was signed in to last
	Hubs map[string]account `json:"hubs"` // by URL
}

type account struct {
	User     string `json:"user"`
	Password string `json:"password"`
	CA       string `json:"ca,omitempty"` // PEM
}

// defaultCredentials is the file in the user's own folder; "" if there is none.
func defaultCredentials() string {
	dir, err := os.UserConfigDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "vic", "hub.json")
}

// readFile reads the credentials; a file that is not there has none. One that others may read is refused.
func readFile(path string) (c credentials, err error) {
	c.Hubs = map[string]account{}
	info, err := os.Stat(path)
	if path == "" || errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, fmt.Errorf("--credentials: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return c, fmt.Errorf("--credentials: %s can be read by others (mode %#o): chmod 600 it: %w", path, mode, errdef.ErrInvalid)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return c, fmt.Errorf("--credentials: %w", err)
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return c, fmt.Errorf("--credentials: %s was not written by vic hub login: %w: %w", path, err, errdef.ErrInvalid)
	}
	if c.Hubs == nil {
		c.Hubs = map[string]account{}
	}
	return c, nil
}

// write replaces the file as a whole.
func (c credentials) write(path string) error {
	if path == "" {
		return fmt.Errorf("--credentials: there is no folder for it: name a file: %w", errdef.ErrInvalid)
	}
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("--credentials: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".hub-*") // mode 0600
	if err != nil {
		return fmt.Errorf("--credentials: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("--credentials: %w", err)
	}
	return nil
}

// options are the hub, the user and the password: of the flags and the environment, else of the file. given is a URL
// that stands before all.
func (a *app) options(c *cli.Context, given string) (client.Options, error) {
	o := client.Options{URL: given, Agent: "vic/" + a.version}
	kept, err := readFile(c.String("credentials"))
	if err != nil {
		return o, err
	}
	if o.URL == "" {
		o.URL = c.String("hub")
	}
	if o.URL == "" {
		o.URL = kept.Last
	}
	if o.URL == "" {
		return o, fmt.Errorf("which hub? give --hub https://HOST:PORT or VIC_HUB, or sign in by vic hub login URL: %w", errdef.ErrInvalid)
	}
	o.URL = strings.TrimRight(o.URL, "/")
	known := kept.Hubs[o.URL]
	o.CA = []byte(known.CA)
	if file := c.String("ca"); file != "" {
		if o.CA, err = os.ReadFile(file); err != nil {
			return o, fmt.Errorf("--ca: %w", err)
		}
	}
	o.User = c.String("user")
	if o.User == "" || o.User == known.User {
		o.User, o.Password = known.User, known.Password
	}
	if c.Bool("password-stdin") {
		if o.User == "" {
			return o, fmt.Errorf("--password-stdin needs --user: %w", errdef.ErrInvalid)
		}
		if o.Password, err = a.secret("--password-stdin"); err != nil {
			return o, err
		}
	}
	if o.User != "" && o.Password == "" {
		return o, fmt.Errorf("the password of %s is not known: give --password-stdin, or sign in by vic hub login %s: %w", o.User, o.URL, errdef.ErrInvalid)
	}
	return o, nil
}

// login tries the password and keeps it.
func (a *app) login(c *cli.Context) error {
	if c.NArg() > 1 {
		return fmt.Errorf("login wants one URL, and was given %d arguments: %w", c.NArg(), errdef.ErrInvalid)
	}
	if c.String("user") == "" || !c.Bool("password-stdin") {
		return fmt.Errorf("login wants --user and --password-stdin before its name: vic hub --user NAME --password-stdin login URL <FILE: %w", errdef.ErrInvalid)
	}
	o, err := a.options(c, c.Args().First())
	if err != nil {
		return err
	}
	h, err := client.New(o)
	if err != nil {
		return err
	}
	who, err := h.Current(c.Context)
	if err != nil {
		return hint(err, o)
	}
	kept, err := readFile(c.String("credentials"))
	if err != nil {
		return err
	}
	kept.Last = o.URL
	kept.Hubs[o.URL] = account{o.User, o.Password, string(o.CA)}
	if err := kept.write(c.String("credentials")); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "signed in to %s as %s\n", o.URL, cell(who.Name))
	return nil
}

func (a *app) logout(c *cli.Context) error {
	kept, err := readFile(c.String("credentials"))
	if err != nil {
		return err
	}
	at := c.Args().First()
	if at == "" {
		at = c.String("hub")
	}
	if at == "" {
		at = kept.Last
	}
	at = strings.TrimRight(at, "/")
	if _, ok := kept.Hubs[at]; !ok {
		return fmt.Errorf("nobody is signed in to %q: %w", at, errdef.ErrNotFound)
	}
	delete(kept.Hubs, at)
	if kept.Last == at {
		kept.Last = ""
	}
	if err := kept.write(c.String("credentials")); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "signed out of %s\n", at)
	return nil
}
