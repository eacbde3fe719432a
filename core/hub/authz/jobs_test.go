package authz

import (
	"context"
	"errors"
	"testing"

	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/hub/token"
	"github.com/openvic/vic/sdk/errdef"
)

// tasks are those under way, by number.
type tasks map[string]string

func (t tasks) Under(_ context.Context, task string) (string, bool, error) {
	name, ok := t[task]
	return name, ok, nil
}

type onePrivateProject struct{}

func (onePrivateProject) Project(context.Context, string) (int64, bool, error) { return 1, false, nil }

func TestATokenOfAJobEndsWithItsTask(t *testing.T) {
	under := tasks{"7": "replication of mirror"}
	a := &Authority{Projects: onePrivateProject{}, Jobs: under}
	claims := token.Claims{Kind: token.Job, Subject: "7"}
	s, err := a.Bearer(t.Context(), claims)
	if err != nil || s.Name != "replication of mirror" {
		t.Fatalf("%+v %v", s, err)
	}
	for p, want := range map[role.Permission]role.Answer{role.ArtifactPull: role.Allowed, role.ArtifactPush: role.Allowed, role.ArtifactDelete: role.Allowed,
		role.ProjectWrite: role.Forbidden, role.RobotManage: role.Forbidden} {
		if got, err := a.InProject(t.Context(), s, p, "p"); err != nil || got != want {
			t.Errorf("%s: %v %v, want %v", p, got, err, want)
		}
	}
	for _, p := range []role.Permission{role.Catalog, role.ProjectListAll, role.Configuration} {
		if got, err := a.Everywhere(t.Context(), s, p); err != nil || got != role.Forbidden {
			t.Errorf("%s: %v %v", p, got, err)
		}
	}
	delete(under, "7")
	if _, err := a.Bearer(t.Context(), claims); !errors.Is(err, errdef.ErrDenied) {
		t.Errorf("after the task: %v", err)
	}
	a.Jobs = nil
	if _, err := a.Bearer(t.Context(), claims); !errors.Is(err, errdef.ErrDenied) {
		t.Errorf("a hub without jobs: %v", err)
	}
}
