package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/openvic/vic/core/hub/authz"
	"github.com/openvic/vic/core/hub/robots"
	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/hub/token"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/sdk/errdef"
)

func robotRoutes() []route {
	return []route{
		{method: "GET", path: "/robots", id: "ListRobot", signed: true, needs: role.SystemRobot, within: (*api).robotsAsked, run: (*api).listRobots,
			says: "List the robots of the hub, or of a project by q=Level=project,ProjectID=N", query: []string{"q:Level,ProjectID,name"}, gives: []robotForm{}},
		{method: "POST", path: "/robots", id: "CreateRobot", signed: true, needs: role.SystemRobot, within: (*api).robotGiven, run: (*api).createRobot,
			says: "Make a robot; the answer has its secret, which is never shown again", takes: robotRequest{}, gives: robotMade{}},
		{method: "GET", path: "/robots/{robot}", id: "GetRobotByID", signed: true, needs: role.SystemRobot, within: (*api).robotNamed, run: (*api).getRobot,
			says: "Get a robot", gives: robotForm{}},
		{method: "PUT", path: "/robots/{robot}", id: "UpdateRobot", signed: true, needs: role.SystemRobot, within: (*api).robotNamed, run: (*api).updateRobot,
			says: "Change a robot", takes: robotRequest{}},
		{method: "PATCH", path: "/robots/{robot}", id: "RefreshSec", signed: true, needs: role.SystemRobot, within: (*api).robotNamed, run: (*api).refreshRobot,
			says: "Give a robot another secret", takes: robotRequest{}, gives: secretForm{}},
		{method: "DELETE", path: "/robots/{robot}", id: "DeleteRobot", signed: true, needs: role.SystemRobot, within: (*api).robotNamed, run: (*api).deleteRobot,
			says: "Delete a robot"},
	}
}

// Harbor's words for whom a robot belongs to, and for kinds of permissions.
const (
	levelSystem  = "system"
	levelProject = "project"
)

type robotAccess struct {
	Resource string `json:"resource"`
	Action   string `json:"action"`
	Effect   string `json:"effect,omitempty"`
}

type robotPermission struct {
	Kind      string        `json:"kind"`
	Namespace string        `json:"namespace"`
	Access    []robotAccess `json:"access"`
}

// robotForm is Harbor's form of one; LastUsed and Creator are ours.
type robotForm struct {
	ID          int64             `json:"id"`
	Name        string            `json:"name"`
	Description string            `json:"description"`
	Level       string            `json:"level"`
	Duration    int               `json:"duration"` // days; -1: for ever
	Editable    bool              `json:"editable"`
	Disable     bool              `json:"disable"`
	Expires     int64             `json:"expires_at"` // seconds since 1970; -1: never
	Created     string            `json:"creation_time"`
	Updated     string            `json:"update_time"`
	Permissions []robotPermission `json:"permissions"`
	Creator     string            `json:"creator"`
	LastUsed    string            `json:"last_used,omitempty"`
}

// robotMade is what the maker of a robot is told, once.
type robotMade struct {
	ID      int64  `json:"id"`
	Name    string `json:"name"`
	Secret  string `json:"secret"`
	Created string `json:"creation_time"`
	Expires int64  `json:"expires_at"`
}

func expiry(t time.Time) int64 {
	if t.IsZero() {
		return robots.Never
	}
	return t.Unix()
}

func robotOf(x robots.Robot) robotForm {
	f := robotForm{ID: x.ID, Name: x.FullName, Description: x.Description, Level: levelSystem, Duration: x.Duration, Editable: true, Disable: x.Disabled,
		Expires: expiry(x.Expires), Created: stamp(x.Made), Updated: stamp(x.Changed), Permissions: []robotPermission{}, Creator: x.Creator}
	if x.Project != 0 {
		f.Level = levelProject
	}
	if !x.Used.IsZero() {
		f.LastUsed = stamp(x.Used)
	}
	for _, p := range x.Permissions {
		out := robotPermission{Kind: levelProject, Namespace: p.Namespace, Access: []robotAccess{}}
		if p.Namespace == robots.WholeHub {
			out.Kind = levelSystem
		}
		for _, y := range p.Said {
			resource, action, _ := strings.Cut(y, ":")
			out.Access = append(out.Access, robotAccess{Resource: resource, Action: action, Effect: "allow"})
		}
		f.Permissions = append(f.Permissions, out)
	}
	return f
}

// robotRequest is what a client sends to make or change one.
type robotRequest struct {
	Name        string            `json:"name"`
	Description string            `json:"description"`
	Secret      string            `json:"secret"`
	Level       string            `json:"level"`
	Disable     bool              `json:"disable"`
	Duration    int               `json:"duration"`
	Permissions []robotPermission `json:"permissions"`
}

// spec reads a request as far as it can be without the database.
func (q robotRequest) spec() (robots.Spec, error) {
	s := robots.Spec{Name: q.Name, Description: q.Description, Duration: q.Duration, Disabled: q.Disable}
	for _, p := range q.Permissions {
		scope, x := role.Project, robots.Permission{Namespace: p.Namespace}
		switch {
		case p.Kind == levelSystem && (p.Namespace == robots.WholeHub || p.Namespace == ""):
			scope, x.Namespace = role.Global, robots.WholeHub
		case p.Kind == levelProject && p.Namespace != robots.WholeHub && p.Namespace != "":
		default:
			return s, badRequest("permissions: want kind project with a project's name or * as namespace, or kind system with namespace /")
		}
		for _, y := range p.Access {
			if y.Effect != "" && y.Effect != "allow" {
				return s, badRequest("permissions: effect: a robot has what it is given and nothing else: want allow, or leave it out")
			}
			z, err := robots.ParsePermission(y.Resource, y.Action, scope)
			if err != nil {
				return s, fmt.Errorf("permissions: %w", err)
			}
			x.Access, x.Said = append(x.Access, z), append(x.Said, y.Resource+":"+y.Action)
		}
		s.Permissions = append(s.Permissions, x)
	}
	return s, nil
}

// maker is the caller as package robots asks about them.
type maker struct {
	a   *authz.Authority
	who authz.Subject
}

// Name implements robots.Maker.
func (m maker) Name() string { return m.who.Name }

// Holds implements robots.Maker.
func (m maker) Holds(ctx context.Context, p role.Permission, namespace string) (bool, error) {
	if namespace == robots.WholeHub || namespace == robots.EveryProject {
		namespace = ""
	}
	return m.a.Holds(ctx, m.who, p, namespace)
}

// CloudAdmin implements robots.Maker.
func (m maker) CloudAdmin(ctx context.Context) (bool, error) {
	if m.who.Kind != token.User {
		return false, nil
	}
	return m.a.Holds(ctx, m.who, role.CloudAdminManage, "")
}

// orNone is the zero Project for one that is not there.
func orNone(p registry.Project, err error) (registry.Project, error) {
	if errors.Is(err, errdef.ErrNotFound) {
		return registry.Project{}, nil
	}
	return p, err
}

// robotsAsked finds out whose robots are to be listed: q=Level=project,ProjectID=N, as Harbor's clients ask, or those of
// the whole hub.
func (a *api) robotsAsked(c *call) (role.Permission, string, error) {
	q, err := c.query("Level", "ProjectID", "name")
	if err != nil {
		return role.SystemRobot, "", err
	}
	switch {
	case q["Level"] == levelProject && q["ProjectID"] != "":
		n, err := strconv.ParseInt(q["ProjectID"], 10, 64)
		if err != nil {
			return role.SystemRobot, "", badRequest("q: ProjectID: %q is no number", q["ProjectID"])
		}
		c.project, err = orNone(a.Registry.ProjectByID(c.r.Context(), a.DB, n))
		return role.RobotManage, q["ProjectID"], err
	case q["Level"] == levelProject:
		return role.SystemRobot, "", badRequest("q: Level=project wants ProjectID=N too")
	case q["Level"] != "" && q["Level"] != levelSystem:
		return role.SystemRobot, "", badRequest("q: Level is project or system")
	case q["ProjectID"] != "" && q["ProjectID"] != "0":
		return role.SystemRobot, "", badRequest("q: ProjectID wants Level=project too")
	}
	return role.SystemRobot, "", nil
}

func (a *api) listRobots(c *call) error {
	p, err := c.page()
	if err != nil {
		return err
	}
	q, err := c.query("Level", "ProjectID", "name")
	if err != nil {
		return err
	}
	list, total, err := a.Robots.List(c.r.Context(), c.project.ID, q["name"], p.size, p.offset())
	if err != nil {
		return err
	}
	out := []robotForm{}
	for _, x := range list {
		out = append(out, robotOf(x))
	}
	return c.list(p, total, out)
}

// robotGiven finds the project of a robot that is to be made: the namespace of its permissions. A body that cannot be
// read asks for the permission of the whole hub, so that only who has it is told what is wrong.
func (a *api) robotGiven(c *call) (role.Permission, string, error) {
	b, err := io.ReadAll(c.r.Body)
	c.r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(b), broken{err}))
	var q robotRequest
	if err != nil || json.Unmarshal(b, &q) != nil || q.Level != levelProject || len(q.Permissions) == 0 || q.Permissions[0].Namespace == "" {
		return role.SystemRobot, "", nil
	}
	given := q.Permissions[0].Namespace
	c.project, err = orNone(a.Registry.FindProject(c.r.Context(), a.DB, given))
	return role.RobotManage, given, err
}

// broken is the end of a body that could be read in part.
type broken struct{ err error }

// Read implements io.Reader.
func (b broken) Read([]byte) (int, error) {
	if b.err == nil {
		return 0, io.EOF
	}
	return 0, b.err
}

func (a *api) createRobot(c *call) error {
	var q robotRequest
	if err := c.body(&q); err != nil {
		return err
	}
	switch {
	case q.Level != levelProject && q.Level != levelSystem:
		return badRequest("level: want project or system")
	case q.Level == levelProject && c.project.ID == 0:
		return badRequest("permissions: a robot of a project wants kind project and the project's name as namespace")
	case q.Secret != "":
		return errOwnSecret
	}
	s, err := q.spec()
	if err != nil {
		return err
	}
	s.Project = c.project.ID
	x, text, err := a.Robots.Make(c.r.Context(), maker{a.Authority, c.who}, s)
	if err != nil {
		return err
	}
	c.w.Header().Set("Location", fmt.Sprintf("%s/robots/%d", Prefix, x.ID))
	return c.answer(http.StatusCreated, robotMade{x.ID, x.FullName, string(text), stamp(x.Made), expiry(x.Expires)})
}

// errOwnSecret is why the hub may keep a plain hash.
var errOwnSecret = badRequest("secret: the hub makes secrets itself; leave it out or empty")

// robotNamed finds the robot of the path. Who may not manage the robots of its project is asked for the permission of
// the whole hub, as for one that is not there: they do not learn which numbers are taken.
func (a *api) robotNamed(c *call) (role.Permission, string, error) {
	n, err := c.number("robot")
	if err != nil {
		return role.SystemRobot, "", nil // the handler tells whoever may know
	}
	x, err := a.Robots.Get(c.r.Context(), n)
	if errors.Is(err, errdef.ErrNotFound) || err == nil && x.Project == 0 {
		return role.SystemRobot, "", nil
	}
	if err != nil {
		return role.SystemRobot, "", err
	}
	p, err := orNone(a.Registry.ProjectByID(c.r.Context(), a.DB, x.Project))
	if err != nil || p.ID == 0 {
		return role.SystemRobot, "", err
	}
	answer, err := a.Authority.InProject(c.r.Context(), c.who, role.RobotManage, p.Name)
	if err != nil || answer != role.Allowed {
		return role.SystemRobot, "", err
	}
	c.project = p
	return role.RobotManage, p.Name, nil
}

// robot is the one of the path.
func (a *api) robot(c *call) (robots.Robot, error) {
	n, err := c.number("robot")
	if err != nil {
		return robots.Robot{}, err
	}
	x, err := a.Robots.Get(c.r.Context(), n)
	if err == nil && x.Project != c.project.ID { // its project has just gone
		return x, notFound("robot %d not found", n)
	}
	return x, err
}

func (a *api) getRobot(c *call) error {
	x, err := a.robot(c)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, robotOf(x))
}

func (a *api) updateRobot(c *call) error {
	var q robotRequest
	if err := c.body(&q); err != nil {
		return err
	}
	x, err := a.robot(c)
	if err != nil {
		return err
	}
	if q.Name != "" && q.Name != x.FullName && q.Name != x.Name || q.Level != "" && q.Level != robotOf(x).Level {
		return badRequest("name, level: a robot keeps them: make another one")
	}
	s, err := q.spec()
	if err != nil {
		return err
	}
	if err := a.Robots.Change(c.r.Context(), maker{a.Authority, c.who}, x.ID, s); err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}

// secretForm is a robot's new secret, told once.
type secretForm struct {
	Secret string `json:"secret"`
}

func (a *api) refreshRobot(c *call) error {
	var q robotRequest
	if err := c.body(&q); err != nil {
		return err
	}
	x, err := a.robot(c)
	if err != nil {
		return err
	}
	if q.Secret != "" {
		return errOwnSecret
	}
	text, err := a.Robots.Refresh(c.r.Context(), maker{a.Authority, c.who}, x.ID)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, secretForm{string(text)})
}

func (a *api) deleteRobot(c *call) error {
	x, err := a.robot(c)
	if err != nil {
		return err
	}
	if err := a.Robots.Remove(c.r.Context(), x.ID); err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}
