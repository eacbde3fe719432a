// Package authz answers the two questions of every request to the hub: who asks, and may they. Both are answered from
// the identity sources, roles, projects and robots of that moment, for the registry and the API alike.
package authz

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/openvic/vic/core/hub/people"
	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/hub/token"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
)

// Signer is what is needed of package signin.
type Signer interface {
	Password(ctx context.Context, name string, password secret.Text, address string) (people.Person, error)
	Check(ctx context.Context, user string) (people.Person, error)
}

// Roles is what is needed of package people.
type Roles interface {
	// Role is the user's role in a project, or everywhere for project 0.
	Role(ctx context.Context, user string, project int64) (role.Role, error)
	// Highest is the highest role that the user has anywhere.
	Highest(ctx context.Context, user string) (role.Role, error)
}

// Projects finds the project of a name; errdef.ErrNotFound.
type Projects interface {
	Project(ctx context.Context, name string) (id int64, public bool, err error)
}

// Robot is an account of a program.
type Robot struct {
	Name string
	// Stamp tells the robot's secret from those before and after, and from another robot's of the name.
	Stamp int64
	// Grants says what it may in a project, and what in the whole hub if project is "".
	Grants func(project string) map[role.Permission]bool
	// Limited says what it may beside that at one route of the API: a method, and a path as the route has it. Nil: nothing.
	Limited func(project, method, path string) map[role.Permission]bool
}

// RobotPrefix begins the names of robots; no user's name has it.
const RobotPrefix = "robot$"

// Robots knows robot accounts.
type Robots interface {
	// Password checks a robot's secret; errdef.ErrDenied.
	Password(ctx context.Context, name string, secret secret.Text, address string) (Robot, error)
	// Find returns a robot that may come in; errdef.ErrDenied for one that is gone, disabled or expired.
	Find(ctx context.Context, name string) (Robot, error)
}

// Secrets knows the secrets of people who have no password that the hub could check (package clisecret).
type Secrets interface {
	// Is says whether a password has the form of a secret.
	Is(password secret.Text) bool
	// Password signs in with one; its stamp tells it from those before and after. Errors are those of package signin.
	Password(ctx context.Context, name string, password secret.Text, address string) (p people.Person, stamp int64, err error)
	// Current says whether a user's secret is still the one of a stamp.
	Current(ctx context.Context, user string, stamp int64) (bool, error)
}

// Jobs knows the work of the hub itself that is under way, which pulls and pushes with tokens of its own.
type Jobs interface {
	// Under says whether the task that a token was made for is under way, and how people call it: a token ends with its task.
	Under(ctx context.Context, task string) (name string, ok bool, err error)
}

// Authority answers. Robots, Secrets and Jobs may be nil: there are none.
type Authority struct {
	Signer   Signer
	Roles    Roles
	Projects Projects
	Robots   Robots
	Secrets  Secrets
	Jobs     Jobs
	// Observe, if not nil, is told of each SignIn: how it was tried ("password", "secret" or "robot"), and its error.
	Observe func(ctx context.Context, name, way, address string, err error)
}

// Subject is somebody who has shown who they are, or nobody.
type Subject struct {
	Kind token.Kind
	// ID is a user's principal ID, a robot's name, or the number of a task.
	ID string
	// Name is as people write it.
	Name string
	// Epoch is a user's of now: a token of an earlier one opens nothing (people.Person).
	Epoch int64
	// Secret is the stamp of the secret that a user came with, or of a robot's; 0: they came in another way.
	Secret int64
	robot  Robot
	// method and path are of the route that they ask at; "" elsewhere.
	method, path string
}

// At is the subject as they ask at a route of the API, where a robot may have more than elsewhere.
func (s Subject) At(method, path string) Subject {
	s.method, s.path = method, path
	return s
}

// Nobody has not shown who they are.
var Nobody = Subject{Kind: token.Nobody}

// Known says that they have.
func (s Subject) Known() bool { return s.Kind != token.Nobody && s.Kind != "" }

// SignIn checks a name and a password, a robot's or a user's. Errors are those of package signin.
func (a *Authority) SignIn(ctx context.Context, name string, password secret.Text, address string) (Subject, error) {
	s, way, err := a.signIn(ctx, name, password, address)
	if a.Observe != nil {
		known := name
		if err == nil {
			known = s.Name
		}
		a.Observe(ctx, known, way, address, err)
	}
	return s, err
}

func (a *Authority) signIn(ctx context.Context, name string, password secret.Text, address string) (s Subject, way string, err error) {
	if strings.HasPrefix(name, RobotPrefix) && a.Robots != nil {
		r, err := a.Robots.Password(ctx, name, password, address)
		if err != nil {
			return Nobody, "robot", err
		}
		return Subject{Kind: token.Robot, ID: r.Name, Name: r.Name, Secret: r.Stamp, robot: r}, "robot", nil
	}
	var p people.Person
	var stamp int64
	way = "password"
	if a.Secrets != nil && a.Secrets.Is(password) {
		way = "secret"
		p, stamp, err = a.Secrets.Password(ctx, name, password, address)
	} else {
		p, err = a.Signer.Password(ctx, name, password, address)
	}
	if err != nil {
		return Nobody, way, err
	}
	return Subject{Kind: token.User, ID: p.ID, Name: p.Name, Epoch: p.Epoch, Secret: stamp}, way, nil
}

// Bearer returns whose token it is; errdef.ErrDenied if they may not come in any more, or if what it was given for has
// ended since: a password, an account, a secret.
func (a *Authority) Bearer(ctx context.Context, c token.Claims) (Subject, error) {
	s, err := a.Find(ctx, c.Kind, c.Subject)
	if err != nil {
		return Nobody, err
	}
	ended := s.Epoch != c.Epoch || s.Kind == token.Robot && s.Secret != c.Secret
	if !ended && c.Secret != 0 && s.Kind == token.User {
		if a.Secrets == nil {
			return Nobody, errEnded
		}
		still, err := a.Secrets.Current(ctx, s.ID, c.Secret)
		if err != nil {
			return Nobody, err
		}
		ended = !still
	}
	if ended {
		return Nobody, errEnded
	}
	s.Secret = c.Secret
	return s, nil
}

// Still returns who somebody is now who has shown it before, at the same route; errdef.ErrDenied if they may not come in any more, or
// if what they came with has ended since, as for Bearer.
func (a *Authority) Still(ctx context.Context, s Subject) (Subject, error) {
	now, err := a.Bearer(ctx, token.Claims{Subject: s.ID, Kind: s.Kind, Epoch: s.Epoch, Secret: s.Secret})
	return now.At(s.method, s.path), err
}

var errEnded = fmt.Errorf("what the token was given for has ended: %w", errdef.ErrDenied)

// Find returns who a user or robot is now; errdef.ErrDenied if they may not come in any more.
func (a *Authority) Find(ctx context.Context, kind token.Kind, id string) (Subject, error) {
	switch kind {
	case token.Nobody:
		return Nobody, nil
	case token.User:
		p, err := a.Signer.Check(ctx, id)
		return Subject{Kind: kind, ID: p.ID, Name: p.Name, Epoch: p.Epoch}, err
	case token.Robot:
		if a.Robots == nil {
			break
		}
		r, err := a.Robots.Find(ctx, id)
		return Subject{Kind: kind, ID: r.Name, Name: r.Name, Secret: r.Stamp, robot: r}, err
	case token.Job:
		if a.Jobs == nil {
			break
		}
		name, ok, err := a.Jobs.Under(ctx, id)
		if err == nil && !ok {
			err = errEnded
		}
		return Subject{Kind: kind, ID: id, Name: name}, err
	}
	return Nobody, fmt.Errorf("a token of kind %q opens nothing here: %w", kind, errdef.ErrDenied)
}

// InProject says whether somebody may do something in the project of a name. A project that is not there is answered
// like a private one of others, so that nobody learns which names are taken.
func (a *Authority) InProject(ctx context.Context, s Subject, p role.Permission, project string) (role.Answer, error) {
	id, public, err := a.Projects.Project(ctx, project)
	if errors.Is(err, errdef.ErrNotFound) {
		return role.Ask(role.Subject{Known: s.Known()}, p, false), nil
	}
	if err != nil {
		return role.Forbidden, err
	}
	q := role.Subject{Known: s.Known()}
	switch {
	case s.Kind == token.Robot:
		q.Grants = s.grants(project)
	case s.Kind == token.Job:
		q.Grants = jobGrants
	case s.Kind == token.User && (!public || !p.Row().Public): // else it does not matter
		if q.Role, err = a.Roles.Role(ctx, s.ID, id); err != nil {
			return role.Forbidden, err
		}
	}
	return role.Ask(q, p, public), nil
}

// jobGrants is what work of the hub itself may in a project: what its token names of it, and no more.
var jobGrants = map[role.Permission]bool{role.ArtifactPull: true, role.ArtifactPush: true, role.ArtifactDelete: true}

// Everywhere says whether somebody may do something in the whole hub.
func (a *Authority) Everywhere(ctx context.Context, s Subject, p role.Permission) (role.Answer, error) {
	q := role.Subject{Known: s.Known()}
	switch s.Kind {
	case token.Robot:
		q.Grants = s.grants("")
	case token.Job:
		q.Grants = map[role.Permission]bool{}
	case token.User:
		var err error
		if q.Role, err = a.Roles.Highest(ctx, s.ID); err != nil {
			return role.Forbidden, err
		}
	}
	return role.Ask(q, p, false), nil
}

// Holds says whether somebody has a permission themselves, by a role or a grant, wherever they ask: what a public project
// lets everybody do does not count, nor what a robot may at one route alone. project "" asks about all projects there are
// and will be, or about a permission in the whole hub.
func (a *Authority) Holds(ctx context.Context, s Subject, p role.Permission, project string) (bool, error) {
	s = s.At("", "")
	q := role.Subject{Known: s.Known()}
	switch s.Kind {
	case token.Robot:
		if q.Grants = s.grants(project); project == "" && p.Row().Scope == role.Project {
			q.Grants = s.grants(EveryProject)
		}
	case token.User:
		id := int64(0)
		var err error
		if project != "" {
			if id, _, err = a.Projects.Project(ctx, project); errors.Is(err, errdef.ErrNotFound) {
				return false, nil
			}
		}
		if err == nil {
			q.Role, err = a.Roles.Role(ctx, s.ID, id)
		}
		if err != nil {
			return false, err
		}
	}
	return role.Ask(q, p, false) == role.Allowed, nil
}

// EveryProject stands for all projects in a robot's grants; no project has that name.
const EveryProject = "*"

func (s Subject) grants(project string) map[role.Permission]bool {
	all := map[role.Permission]bool{}
	maps.Copy(all, s.robot.Grants(project))
	if s.path != "" && s.robot.Limited != nil {
		maps.Copy(all, s.robot.Limited(project, s.method, s.path))
	}
	return all
}
