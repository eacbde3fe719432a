package replication

import (
	"encoding/json"
	"strings"
	"testing"
)

// A run may be of many projects. What one of them is told names nothing of another.
func TestAProjectIsToldOfItsOwnArtifacts(t *testing.T) {
	const message = "secret/engine@sha256:1: the destination refuses it"
	alone := summary{}
	alone.add(Report{Project: "secret", Artifact: "secret/engine@sha256:1"})
	if got := alone.text("secret", message); got != message {
		t.Errorf("alone: %q", got)
	}
	all := summary{}
	all.add(Report{Project: "secret", Artifact: "secret/engine@sha256:1"})
	all.add(Report{Project: "shop", Artifact: "shop/web@sha256:2", Outcome: "copied"})
	all.add(Report{Project: "store", Artifact: "store/app@sha256:3"})
	all.add(Report{}) // the task that finds them
	if len(all) != 3 {
		t.Fatalf("%+v", all)
	}
	for name, want := range map[string][2]int{"shop": {1, 0}, "store": {0, 1}} {
		x := all[name]
		x.Text = all.text(name, message)
		text, err := json.Marshal(x)
		if err != nil || strings.Contains(string(text), "secret") || x.Text == "" || len(x.Successful) != want[0] || len(x.Failed) != want[1] {
			t.Errorf("%s is told %s (%v)", name, text, err)
		}
	}
	if got := all.text("shop", ""); got != "" {
		t.Errorf("of a run that succeeded: %q", got)
	}
}
