// Package role is who may do what in the hub: one table, from which the API enforces, the documentation is written, and a
// test tries every role on every route.
//
// A role is given to users and groups: viewer, developer and DevOps administrator in one project, cloud administrator
// everywhere. Each role has all of the one before. What a public project shows to everybody is marked in the table.
package role

import (
	"fmt"
	"strings"
)

// Role is what somebody is, in one project or everywhere. A higher one has all of the lower ones.
type Role int

// The roles.
const (
	None Role = iota
	Viewer
	Developer
	DevOpsAdmin
	CloudAdmin
)

var names = []string{"none", "viewer", "developer", "devops-admin", "cloud-admin"}

// String is the role's name in the API, in the database and on the command line.
func (r Role) String() string {
	if r < 0 || int(r) >= len(names) {
		return fmt.Sprintf("role(%d)", int(r))
	}
	return names[r]
}

// Title is the role's name for people.
func (r Role) Title() string {
	return [...]string{"None", "Viewer", "Developer", "DevOps administrator", "Cloud administrator"}[r]
}

// Parse reads a role's name.
func Parse(s string) (Role, error) {
	for r, name := range names {
		if r > 0 && name == s {
			return Role(r), nil
		}
	}
	return None, fmt.Errorf("%q is no role: it is one of %s", s, strings.Join(names[1:], ", "))
}

// Harbor's numbers of project roles. Its maintainer is a developer who may also scan, delete and configure, which here is
// a DevOps administrator's; its limited guest sees less than a viewer and is taken for one.
const (
	harborProjectAdmin = 1
	harborDeveloper    = 2
	harborGuest        = 3
	harborMaintainer   = 4
	harborLimitedGuest = 5
)

// HarborID is the number of a project role in Harbor's API; 0 for others.
func (r Role) HarborID() int {
	return map[Role]int{Viewer: harborGuest, Developer: harborDeveloper, DevOpsAdmin: harborProjectAdmin}[r]
}

// FromHarborID reads the number of a project role in Harbor's API.
func FromHarborID(id int) (Role, error) {
	switch id {
	case harborProjectAdmin:
		return DevOpsAdmin, nil
	case harborDeveloper:
		return Developer, nil
	case harborGuest, harborLimitedGuest:
		return Viewer, nil
	case harborMaintainer:
		return None, fmt.Errorf("role 4 (maintainer) is not a role here: give 1 (DevOps administrator), 2 (developer) or 3 (viewer)")
	}
	return None, fmt.Errorf("%d is no role: give 1 (DevOps administrator), 2 (developer) or 3 (viewer)", id)
}

// Scope is where a permission applies.
type Scope int

// The scopes.
const (
	Project Scope = iota // in one project
	Global               // in the whole hub
)

// Permission is something that a role may do: a row of the table. The zero value is no permission, and nobody has it.
type Permission int

// The permissions. The table says what each allows.
const (
	noPermission Permission = iota
	ProjectRead
	RepositoryList
	ArtifactPull
	FindingRead
	SignatureRead
	MemberList
	ArtifactPush
	ContainerRead
	ContainerWrite
	TemplateWrite
	ApprovalRequest
	ArtifactDelete
	ScanStart
	ProjectWrite
	WebhookManage
	RobotManage
	MemberManage
	ProjectLog
	ApprovalDecide

	UserSearch
	ProjectCreate
	ProjectDelete
	ProjectListAll
	QuotaManage
	HostManage
	RegistryManage
	ReplicationManage
	CredentialManage
	Configuration
	ScannerManage
	GarbageCollection
	SystemLog
	SystemRobot
	CloudAdminManage
	ApproveBeyond
	Catalog
)

// Row is what the table says of a permission.
type Row struct {
	// Name is resource:action, in the words of Harbor's robot permissions where it has them.
	Name  string
	Scope Scope
	// Least is the lowest role that has it.
	Least Role
	// Public gives it to everybody, signed in or not, in public projects.
	Public bool
	// Text says what it allows.
	Text string
}

var table = [...]Row{
	ProjectRead:     {"project:read", Project, Viewer, true, "see the project and its summary"},
	RepositoryList:  {"repository:list", Project, Viewer, true, "see repositories, artifacts, tags and labels"},
	ArtifactPull:    {"repository:pull", Project, Viewer, true, "pull artifacts"},
	FindingRead:     {"scan:read", Project, Viewer, true, "see findings and SBOMs"},
	SignatureRead:   {"signature:read", Project, Viewer, true, "see signatures"},
	MemberList:      {"member:list", Project, Viewer, false, "see who is a member"},
	ArtifactPush:    {"repository:push", Project, Developer, false, "push artifacts, tag and label them"},
	ContainerRead:   {"container:read", Project, Developer, false, "see containers, networks and volumes on the project's VCHs, their logs and charts"},
	ContainerWrite:  {"container:operate", Project, Developer, false, "provision, operate and remove containers, networks and volumes on the project's VCHs"},
	TemplateWrite:   {"template:write", Project, Developer, false, "create and import templates"},
	ApprovalRequest: {"approval:request", Project, Developer, false, "request what needs an approval"},
	ArtifactDelete:  {"artifact:delete", Project, DevOpsAdmin, false, "delete repositories, artifacts and tags"},
	ScanStart:       {"scan:create", Project, DevOpsAdmin, false, "start and stop scans"},
	ProjectWrite: {"project:update", Project, DevOpsAdmin, false,
		"make the project public or private; deployment security, scanning, retention, immutability, labels"},
	WebhookManage:     {"notification-policy:manage", Project, DevOpsAdmin, false, "webhooks"},
	RobotManage:       {"robot:manage", Project, DevOpsAdmin, false, "robot accounts of the project"},
	MemberManage:      {"member:manage", Project, DevOpsAdmin, false, "viewers, developers and DevOps administrators of the project"},
	ProjectLog:        {"log:list", Project, DevOpsAdmin, false, "the project's log"},
	ApprovalDecide:    {"approval:decide", Project, DevOpsAdmin, false, "approve and refuse requests within the project's quota"},
	UserSearch:        {"user:search", Global, DevOpsAdmin, false, "search users and groups, for members"},
	ProjectCreate:     {"project:create", Global, CloudAdmin, false, "create projects and name their first DevOps administrator"},
	ProjectDelete:     {"project:delete", Project, CloudAdmin, false, "delete projects"},
	ProjectListAll:    {"project:list-all", Global, CloudAdmin, false, "see all projects"},
	QuotaManage:       {"quota:manage", Global, CloudAdmin, false, "quotas"},
	HostManage:        {"host:manage", Global, CloudAdmin, false, "hosts and clusters as resources of projects"},
	RegistryManage:    {"registry:manage", Global, CloudAdmin, false, "registries and replication endpoints"},
	ReplicationManage: {"replication:manage", Global, CloudAdmin, false, "replication rules"},
	CredentialManage:  {"credential:manage", Global, CloudAdmin, false, "credentials and certificates"},
	Configuration:     {"configuration:manage", Global, CloudAdmin, false, "the hub's configuration"},
	ScannerManage:     {"scanner:manage", Global, CloudAdmin, false, "scanners"},
	GarbageCollection: {"garbage-collection:manage", Global, CloudAdmin, false, "garbage collection"},
	SystemLog:         {"system-log:list", Global, CloudAdmin, false, "the log of the whole hub, and system logs"},
	SystemRobot:       {"system-robot:manage", Global, CloudAdmin, false, "robot accounts of the whole hub"},
	CloudAdminManage:  {"cloud-admin:manage", Global, CloudAdmin, false, "cloud administrators"},
	ApproveBeyond:     {"approval:beyond-quota", Global, CloudAdmin, false, "approve requests beyond quotas"},
	Catalog:           {"catalog:list", Global, CloudAdmin, false, "list all repositories of the registry (/v2/_catalog)"},
}

// Row returns the permission's row; for a value that is none, one that nobody has.
func (p Permission) Row() Row {
	if p <= noPermission || int(p) >= len(table) {
		return Row{Least: CloudAdmin + 1}
	}
	return table[p]
}

// String is the permission's name.
func (p Permission) String() string { return p.Row().Name }

// All returns all permissions, in the order of the documentation.
func All() []Permission {
	all := make([]Permission, 0, len(table)-1)
	for p := noPermission + 1; int(p) < len(table); p++ {
		all = append(all, p)
	}
	return all
}

// Find returns the permission of a name.
func Find(name string) (Permission, bool) {
	for _, p := range All() {
		if p.String() == name {
			return p, true
		}
	}
	return noPermission, false
}

// Subject is who asks, as far as this package needs to know.
type Subject struct {
	// Known says that they have shown who they are.
	Known bool
	// Role is their role in the project that is asked about (a cloud administrator has that role in all), or, for a
	// global permission, the highest that they have anywhere.
	Role Role
	// Grants, if not nil, limits a robot to these permissions, whatever Role is.
	Grants map[Permission]bool
}

// Answer is what the table says.
type Answer int

// The answers, with the status of an HTTP API.
const (
	Allowed   Answer = iota
	SignIn           // 401: who asks is not known, and might be allowed if they were
	Forbidden        // 403: they are known and may not
	Hidden           // 404: that they may not would tell them that a private project exists
)

// Ask says whether somebody may do something. public is whether the project is; for a global permission it means
// nothing. A private project is hidden from those who are known and have nothing in it.
func Ask(s Subject, p Permission, public bool) Answer {
	row := p.Row()
	switch {
	case row.Name == "":
		return Forbidden
	case row.Scope == Project && public && row.Public:
		return Allowed
	case s.has(p, row):
		return Allowed
	case !s.Known:
		return SignIn
	case row.Scope == Project && !public && s.Role == None && len(s.Grants) == 0:
		return Hidden
	}
	return Forbidden
}

func (s Subject) has(p Permission, row Row) bool {
	if !s.Known {
		return false
	}
	if s.Grants != nil {
		return s.Grants[p]
	}
	return s.Role >= row.Least
}
