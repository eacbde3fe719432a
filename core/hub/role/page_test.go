package role

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

const pageFile = "../../../docs/hub-roles.md"

var update = flag.Bool("update", false, "write docs/hub-roles.md instead of comparing it")

// TestPageTellsEveryPermission keeps docs/hub-roles.md equal to the table that the hub enforces.
func TestPageTellsEveryPermission(t *testing.T) {
	want := []byte(page())
	if *update {
		if err := os.WriteFile(pageFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	have, err := os.ReadFile(pageFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) {
		t.Errorf("docs/hub-roles.md is not the hub's table: make gen, or go test ./core/hub/role -run TestPage -update")
	}
}

func page() string {
	var b strings.Builder
	b.WriteString(`<!-- Made by make gen from core/hub/role; do not edit. -->
# Who may do what in the hub

The hub gives roles to users and groups. A viewer, a developer and a DevOps administrator have their role in one project;
a cloud administrator has it everywhere. Each role may also do what the roles before it may. "Everybody" means that anybody
may do this in a public project, signed in or not. The hub checks the roles at each request: a role that is taken away
counts at once.

This table is what the hub enforces. Some rows name things that the hub does not do yet; [hub.md](hub.md) says which.
`)
	for _, s := range []struct {
		title string
		scope Scope
	}{{"In one project", Project}, {"In the whole hub", Global}} {
		fmt.Fprintf(&b, "\n## %s\n\n| permission | what it allows | everybody |", s.title)
		for r := Viewer; r <= CloudAdmin; r++ {
			fmt.Fprintf(&b, " %s |", r.Title())
		}
		fmt.Fprintf(&b, "\n|%s\n", strings.Repeat(" --- |", 3+int(CloudAdmin)))
		for _, p := range All() {
			row := p.Row()
			if row.Scope != s.scope {
				continue
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s |", row.Name, row.Text, yes(row.Public))
			for r := Viewer; r <= CloudAdmin; r++ {
				fmt.Fprintf(&b, " %s |", yes(r >= row.Least))
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}
