package hub

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
)

// examplesFile, in the data folder, has a line for each example user: the name and the password. It is also the note
// that they were made: who removes one later does not get it back.
const examplesFile = "example-users"

// example is a user whom a new hub makes on request, so that each role can be tried.
type example struct {
	name, fullName string
	role           role.Role
}

func examples(prefix string) []example {
	return []example{
		{prefix + "-cloud-admin", "Example cloud administrator", role.CloudAdmin},
		{prefix + "-devops-admin", "Example DevOps administrator", role.DevOpsAdmin},
		{prefix + "-developer", "Example developer", role.Developer},
	}
}

// makeExamples makes the example users, if they are asked for and were not made before. The passwords are on disk before
// the first user is made, so that a crash or a source that is down leaves nobody whose password is not known: the next try
// goes on with the same ones.
func (h *Hub) makeExamples(ctx context.Context) error {
	path := filepath.Join(h.cfg.Data, examplesFile)
	if _, err := os.Stat(path); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	users := examples(h.cfg.Access.Examples)
	passwords, err := examplePasswords(path+".new", users)
	if err != nil {
		return err
	}
	for _, u := range users {
		if err := h.makeExample(ctx, u, passwords[u.name]); err != nil {
			return fmt.Errorf("%s: %w", u.name, err)
		}
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	h.log.Info("example users were made", "password_file", path)
	return nil
}

// examplePasswords reads the passwords of an earlier try, or makes them and writes them down.
func examplePasswords(path string, users []example) (map[string]secret.Text, error) {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	passwords := map[string]secret.Text{}
	for line := range strings.Lines(string(text)) {
		name, password, _ := strings.Cut(strings.TrimSpace(line), " ")
		passwords[name] = secret.Text(password)
	}
	var all bytes.Buffer
	for _, u := range users {
		if passwords[u.name] == "" {
			passwords[u.name] = secret.Text(rand.Text())
		}
		fmt.Fprintln(&all, u.name, string(passwords[u.name]))
	}
	if bytes.Equal(all.Bytes(), text) {
		return passwords, nil
	}
	return passwords, writeFile(path, all.Bytes(), 0o600)
}

// makeExample makes one user with their role, as far as an earlier try has not.
func (h *Hub) makeExample(ctx context.Context, u example, password secret.Text) error {
	made, err := h.signer.Create(ctx, auth.Principal{Name: u.name, FullName: u.fullName}, password)
	if errors.Is(err, errdef.ErrExists) {
		// Who was there before keeps their account to themselves, without a role from here.
		made, err = h.signer.Password(ctx, u.name, password, "")
		if errors.Is(err, errdef.ErrDenied) {
			return fmt.Errorf("another user has this name: choose another word for access.examples: %w", errdef.ErrConflict)
		}
	}
	if err != nil {
		return err
	}
	if u.role == role.CloudAdmin {
		_, err = h.people.AddCloudAdmin(ctx, made.Principal)
	} else {
		err = h.addToDefault(ctx, made.Principal, u.role)
	}
	if errors.Is(err, errdef.ErrExists) {
		return nil
	}
	return err
}

// addToDefault makes somebody a member of the first project, unless it was removed.
func (h *Hub) addToDefault(ctx context.Context, who auth.Principal, r role.Role) error {
	p, err := h.registry.FindProject(ctx, h.db, DefaultProject)
	if errors.Is(err, errdef.ErrNotFound) {
		h.log.Warn("example user gets no role: the project was removed", "user", who.ID, "project", DefaultProject)
		return nil
	}
	if err == nil {
		_, err = h.people.AddMember(ctx, p.ID, who, r)
	}
	return err
}
