package robots

import (
	"slices"
	"strings"

	"github.com/openvic/vic/core/hub/role"
)

// A pair of Harbor's gives the permission of the table that what it names is a part of: reading an artifact is seeing the
// repository, and to make a tag is to push. Where that is more than the pair names, it gives the permission at the pair's
// own routes alone (narrow): who may make tags by the API cannot push content. A robot keeps the pair that it was given, so
// that Harbor's clients find it again.
var (
	harborProject = pairs(map[role.Permission]string{
		role.ProjectRead:    "metadata:read metadata:list quota:read scanner:read",
		role.RepositoryList: "repository:read artifact:read artifact:list artifact-addition:read tag:list accessory:list label:read label:list immutable-tag:list",
		role.ArtifactPush:   "repository:update artifact:create artifact-label:create artifact-label:delete tag:create",
		role.ArtifactDelete: "repository:delete tag:delete",
		role.FindingRead:    "sbom:read export-cve:create export-cve:read",
		role.ScanStart:      "scan:stop sbom:create sbom:stop",
		role.MemberList:     "member:read",
		role.MemberManage:   "member:create member:update member:delete",
		role.RobotManage:    "robot:create robot:read robot:list robot:update robot:delete",
		role.WebhookManage: "notification-policy:create notification-policy:read notification-policy:list notification-policy:update " +
			"notification-policy:delete",
		role.ProjectWrite: "metadata:create metadata:update metadata:delete label:create label:update label:delete scanner:create " +
			"immutable-tag:create immutable-tag:update immutable-tag:delete tag-retention:create tag-retention:read tag-retention:list " +
			"tag-retention:update tag-retention:delete tag-retention:operate",
	})
	harborSystem = pairs(map[role.Permission]string{
		role.ProjectListAll:   "project:list",
		role.Catalog:          "catalog:read",
		role.SystemLog:        "audit-log:list",
		role.QuotaManage:      "quota:read quota:list quota:update",
		role.UserSearch:       "user:read user:list user-group:read user-group:list",
		role.CloudAdminManage: "user:create user:update user:delete user-group:create user-group:update user-group:delete",
		role.SystemRobot:      "robot:create robot:read robot:list robot:update robot:delete",
		role.RegistryManage:   "registry:create registry:read registry:list registry:update registry:delete replication-adapter:list",
		role.ReplicationManage: "replication:create replication:read replication:list replication-policy:create replication-policy:read " +
			"replication-policy:list replication-policy:update replication-policy:delete",
		role.GarbageCollection: "garbage-collection:create garbage-collection:read garbage-collection:list garbage-collection:update garbage-collection:stop",
		role.ScannerManage: "scanner:create scanner:read scanner:list scanner:update scanner:delete scan-all:create scan-all:read scan-all:update scan-all:stop " +
			"security-hub:read security-hub:list",
		role.Configuration: "label:create label:read label:update label:delete system-volumes:read jobservice-monitor:list jobservice-monitor:stop " +
			"purge-audit:create purge-audit:read purge-audit:list purge-audit:update purge-audit:stop",
	})
)

// wide are the permissions of which a pair is not narrower: they are for reading alone, or what the pair names is all there is.
var wide = []role.Permission{role.ProjectRead, role.RepositoryList, role.FindingRead, role.ScanStart, role.MemberList, role.ProjectListAll, role.Catalog,
	role.UserSearch}

// narrow says whether a pair names less than the permission that it gives.
func narrow(pair string, p role.Permission) bool {
	return pair != p.String() && !slices.Contains(wide, p)
}

// places are where the routes of a resource are: a part of their paths. Those of exact end with it, or with one name behind.
var places = map[string]string{"metadata": "/metadatas", "label": "/labels", "scanner": "/scanner", "immutable-tag": "/immutabletagrules",
	"tag-retention": "/retentions", "notification-policy": "/webhook/", "robot": "/robots", "member": "/members", "quota": "/quotas", "user": "/users",
	"user-group": "/usergroups", "registry": "/registries", "replication-adapter": "/replication/adapter", "replication": "/replication/executions",
	"replication-policy": "/replication/policies", "garbage-collection": "/system/gc", "scan-all": "/system/scanAll", "security-hub": "/security",
	"system-volumes": "/systeminfo/volumes", "jobservice-monitor": "/jobservice", "purge-audit": "/system/purgeaudit",
	"audit-log": "/audit"}

var exact = map[string]string{"repository": "/repositories", "artifact": "/artifacts", "artifact-label": "/artifacts/{reference}/labels",
	"tag": "/artifacts/{reference}/tags"}

// methods are those of an action.
var methods = map[string][]string{"read": {"GET"}, "list": {"GET"}, "create": {"POST"}, "update": {"PUT", "PATCH"}, "delete": {"DELETE"},
	"operate": {"POST", "PATCH"}, "stop": {"PUT", "POST", "PATCH", "DELETE"}}

// covers says whether a route of the API is one of a narrow pair's.
func covers(pair, method, path string) bool {
	resource, action, _ := strings.Cut(pair, ":")
	if !slices.Contains(methods[action], method) {
		return false
	}
	if at := exact[resource]; at != "" {
		i := strings.LastIndex(path, "/{")
		return strings.HasSuffix(path, at) || i >= 0 && strings.HasSuffix(path[:i], at) && !strings.Contains(path[i+1:], "/")
	}
	at := places[resource]
	return at != "" && strings.Contains(path, at)
}

func pairs(lists map[role.Permission]string) map[string]role.Permission {
	all := map[string]role.Permission{}
	for p, list := range lists {
		for pair := range strings.FieldsSeq(list) {
			all[pair] = p
		}
	}
	return all
}

func harbor(scope role.Scope) map[string]role.Permission {
	if scope == role.Global {
		return harborSystem
	}
	return harborProject
}

// lookup finds the permission of "resource:action", in the table's words or in Harbor's.
func lookup(pair string, scope role.Scope) (role.Permission, bool) {
	p, ok := role.Find(pair)
	if ok && p.Row().Scope == scope {
		return p, true
	}
	p, ok = harbor(scope)[pair]
	return p, ok
}

// Pairs are all texts "resource:action" that a robot can be given in a scope, in order.
func Pairs(scope role.Scope) []string {
	var all []string
	for _, p := range role.All() {
		if p.Row().Scope == scope {
			all = append(all, p.String())
		}
	}
	for pair := range harbor(scope) {
		all = append(all, pair)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// names are all texts that give a permission.
func names(p role.Permission) []string {
	all := []string{p.String()}
	for pair, of := range harbor(p.Row().Scope) {
		if of == p {
			all = append(all, pair)
		}
	}
	slices.Sort(all)
	return all
}
