package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/openvic/vic/plugins/auth-vsphere/sso"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
	"github.com/openvic/vic/sdk/serve/strict"
)

// registrationTimeout bounds all of a registration.
const registrationTimeout = 2 * time.Minute

// The administrator's name and password come from here: a command line is no place for a password.
const (
	userEnv     = "VIC_SSO_USER"
	passwordEnv = "VIC_SSO_PASSWORD"
)

// registration makes or removes the hub's solution user: args are the verb and the plugin's configuration file.
func registration(ctx context.Context, w io.Writer, args []string, env func(string) string) error {
	if len(args) != 2 {
		return fmt.Errorf("want: vic-auth-vsphere register|unregister FILE, with the plugin's configuration file, and an administrator of vCenter in %s and %s",
			userEnv, passwordEnv)
	}
	user, password := env(userEnv), secret.Text(env(passwordEnv))
	if user == "" || password == "" {
		return fmt.Errorf("set %s and %s to the name and password of an administrator of vCenter", userEnv, passwordEnv)
	}
	text, err := os.ReadFile(args[1])
	if err != nil {
		return err
	}
	c := defaults()
	if err := strict.Decode(args[1], string(text), &c); err != nil {
		return err
	}
	if _, err := c.check(); err != nil {
		return err
	}
	roots, err := c.roots()
	if err != nil {
		return err
	}
	client, err := sso.New(sso.Options{Server: c.Server, Domain: c.Domain, Roots: roots})
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, registrationTimeout)
	defer cancel()
	if !strings.ContainsAny(user, `@\`) {
		user += "@" + c.Domain
	}
	if args[0] == "unregister" {
		if err := client.Unregister(ctx, user, password, c.SolutionUser); err != nil {
			return err
		}
		fmt.Fprintf(w, "solution user %s@%s is removed; remove %s too\n", c.SolutionUser, c.Domain, c.Certificate)
		return nil
	}
	return register(ctx, w, client, c, user, password)
}

// register takes the certificate that is there, or makes one. It is written before vCenter knows it: a registration that
// fails can be done again.
func register(ctx context.Context, w io.Writer, client *sso.Client, c Config, user string, password secret.Text) error {
	pem, err := readSecret("certificate", c.Certificate)
	if errors.Is(err, os.ErrNotExist) {
		if pem, err = sso.NewCertificate(c.SolutionUser); err == nil {
			err = writeSecret(c.Certificate, pem)
		}
	}
	if err != nil {
		return err
	}
	cert, err := sso.ParseCertificate(pem)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Certificate, err)
	}
	if err := client.Register(ctx, user, password, c.SolutionUser, cert); err != nil {
		return err
	}
	fmt.Fprintf(w, "solution user %s@%s is registered; its certificate and key are in %s\n", c.SolutionUser, c.Domain, c.Certificate)
	return nil
}

// writeSecret makes a file that only its owner may read, and that was not there.
func writeSecret(path string, text secret.Text) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("certificate: %q is not an absolute path: %w", path, errdef.ErrInvalid)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(string(text))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}
