package robots

import (
	"fmt"
	"strings"

	"github.com/openvic/vic/core/hub/role"
)

// Sees is a condition over the table project that holds for the projects in which a robot has a permission, and for all
// where the permission is everybody's in a public project. Its one parameter, $1, is the robot's name.
func Sees(p role.Permission) string {
	return fmt.Sprintf(`(project.public = TRUE AND %t OR EXISTS (SELECT 1 FROM robot x JOIN robot_grant g ON g.robot = x.id
		WHERE x.name = $1 AND (g.project IN (%d, project.id) AND g.permission IN (%s) OR g.project = %d AND g.permission IN (%s))))`,
		p.Row().Public, everyProject, quoted(p), wholeHub, quoted(role.ProjectListAll))
}

// quoted are the names of a permission as a list of SQL. They are ours: letters, hyphens and a colon.
func quoted(p role.Permission) string { return "'" + strings.Join(names(p), "', '") + "'" }
