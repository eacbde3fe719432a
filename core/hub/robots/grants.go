package robots

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

// Numbers of robot_grant.project that are no project's.
const (
	wholeHub     = 0
	everyProject = -1
)

// ParsePermission finds the permission of a resource and an action, in the words of the table or Harbor's; errdef.ErrInvalid lists those that there are in that
// scope.
func ParsePermission(resource, action string, scope role.Scope) (role.Permission, error) {
	p, ok := lookup(resource+":"+action, scope)
	if ok {
		return p, nil
	}
	return p, fmt.Errorf("%.100q is no permission that a robot can have there; it is one of %s: %w", resource+":"+action, strings.Join(Pairs(scope), ", "),
		errdef.ErrInvalid)
}

// mighty are the permissions by which a robot could give others what it likes.
var mighty = []role.Permission{role.RobotManage, role.MemberManage, role.SystemRobot, role.CloudAdminManage}

// may says whether somebody may let a robot do all that; errdef.ErrDenied names what not.
func may(ctx context.Context, by Maker, all []Permission) error {
	for _, x := range all {
		for _, p := range x.Access {
			holds, err := by.Holds(ctx, p, x.Namespace)
			if err != nil {
				return err
			}
			if !holds {
				return fmt.Errorf("a robot cannot have %s in %s from you: you do not have it there yourself: %w", p, x.Namespace, errdef.ErrDenied)
			}
			if !slices.Contains(mighty, p) {
				continue
			}
			admin, err := by.CloudAdmin(ctx)
			if err != nil {
				return err
			}
			if !admin {
				return fmt.Errorf("only a cloud administrator lets a robot have %s: %w", p, errdef.ErrDenied)
			}
		}
	}
	return nil
}

// same says whether two lists allow the same.
func same(a, b []Permission) bool {
	flat := func(all []Permission) []string {
		var out []string
		for _, x := range all {
			for _, p := range x.Access {
				out = append(out, x.Namespace+" "+p.String())
			}
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	return slices.Equal(flat(a), flat(b))
}

// give writes what a robot may do. A project that it names stays until the transaction ends.
func give(tx *store.Tx, id int64, s Spec) error {
	for _, x := range s.Permissions {
		number, scope, err := namespace(tx, x.Namespace)
		if err != nil {
			return err
		}
		if s.Project != 0 && number != s.Project {
			return fmt.Errorf("permissions: a robot of a project has none in %.100q: make one of the whole hub: %w", x.Namespace, errdef.ErrInvalid)
		}
		for _, pair := range x.said() {
			if p, ok := lookup(pair, scope); !ok || !slices.Contains(x.Access, p) {
				return fmt.Errorf("permissions: %.100q does not apply in %.100q: %w", pair, x.Namespace, errdef.ErrInvalid)
			}
			_, err := tx.Exec(`INSERT INTO robot_grant (robot, project, permission) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, id, number, pair)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func namespace(tx *store.Tx, name string) (number int64, scope role.Scope, err error) {
	switch name {
	case WholeHub:
		return wholeHub, role.Global, nil
	case EveryProject:
		return everyProject, role.Project, nil
	}
	err = tx.Lock(`SELECT id FROM project WHERE name = $1`, name).Scan(&number)
	if errors.Is(err, sql.ErrNoRows) {
		err = fmt.Errorf("permissions: there is no project %.100q: %w", name, errdef.ErrInvalid)
	}
	return number, role.Project, err
}

// permissions reads what a robot may do, by namespace: the whole hub, every project, projects by name.
func permissions(ctx context.Context, q store.Querier, id int64) ([]Permission, error) {
	rows, err := q.Query(ctx, `SELECT g.project, COALESCE(p.name, ''), g.permission FROM robot_grant g LEFT JOIN project p ON p.id = g.project
		WHERE g.robot = $1 ORDER BY CASE WHEN g.project > 0 THEN 1 ELSE 0 END, p.name, g.project DESC, g.permission`, id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Permission
	for rows.Next() {
		var project int64
		var name, text string
		if err := rows.Scan(&project, &name, &text); err != nil {
			return nil, err
		}
		scope := role.Project
		switch project {
		case wholeHub:
			name, scope = WholeHub, role.Global
		case everyProject:
			name = EveryProject
		}
		p, ok := lookup(text, scope)
		if !ok || name == "" {
			continue // a permission that the table has no more, or a project that has just gone
		}
		if n := len(all); n == 0 || all[n-1].Namespace != name {
			all = append(all, Permission{Namespace: name})
		}
		last := &all[len(all)-1]
		if last.Said = append(last.Said, text); !slices.Contains(last.Access, p) {
			last.Access = append(last.Access, p)
		}
	}
	return all, rows.Err()
}

// granted makes the function Grants of authz.Robot. project "" is the whole hub.
func granted(all []Permission) func(project string) map[role.Permission]bool {
	return func(project string) map[role.Permission]bool {
		return chosen(all, project, func(pair string, p role.Permission) bool { return !narrow(pair, p) })
	}
}

// limited makes the function Limited of authz.Robot: what pairs give that are narrower than their permission.
func limited(all []Permission) func(project, method, path string) map[role.Permission]bool {
	return func(project, method, path string) map[role.Permission]bool {
		return chosen(all, project, func(pair string, p role.Permission) bool { return narrow(pair, p) && covers(pair, method, path) })
	}
}

// chosen are the permissions of a project, or of the whole hub for "", that are given by pairs for which good holds.
func chosen(all []Permission, project string, good func(pair string, p role.Permission) bool) map[role.Permission]bool {
	out := map[role.Permission]bool{}
	for _, x := range all {
		scope := role.Project
		if x.Namespace == WholeHub {
			scope = role.Global
		}
		if (project == "") != (scope == role.Global) || project != "" && x.Namespace != project && x.Namespace != EveryProject {
			continue
		}
		for _, pair := range x.said() {
			if p, ok := lookup(pair, scope); ok && good(pair, p) {
				out[p] = true
			}
		}
	}
	return out
}
