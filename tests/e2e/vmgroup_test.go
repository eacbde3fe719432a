package e2e

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/openvic/vic/tests/harness"
)

// group lists the VMs of the VCH's DRS VM group.
func group(t *testing.T) string {
	t.Helper()
	out, err := theLab.Govc("cluster.group.ls", "-cluster", "cluster1", "-name", harness.VCH)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// The operations user has the one privilege that a group needs, while it is there.
func TestVMGroupHoldsTheVMsOfTheVCH(t *testing.T) {
	alone(t)
	old := container(t, "--name", "before-group", "busybox", "sleep", "36000")
	mustMachine(t, "", "configure", "--affinity-vm-group")
	wantIn(t, group(t), harness.VCH, "before-group-"+old[:12])
	id := container(t, "--name", "in-group", "busybox", "sleep", "36000")
	var made sync.WaitGroup
	for _, name := range []string{"at-once-1", "at-once-2", "at-once-3"} {
		t.Cleanup(func() { dockerRun(context.Background(), nil, "rm", "-f", name) })
		made.Go(func() {
			if r := dockerRun(t.Context(), nil, "create", "--name", name, "busybox", "true"); r.Code != 0 {
				t.Errorf("%s: %+v", name, r)
			}
		})
	}
	made.Wait()
	wantIn(t, group(t), "in-group-"+id[:12], "at-once-1-", "at-once-2-", "at-once-3-")
	docker(t, "rm", "-f", id)
	await(t, func() string {
		if g := group(t); strings.Contains(g, "in-group") {
			return "a removed container is in the group: " + g
		}
		return ""
	})
	mustMachine(t, "", "configure", "--affinity-vm-group=false")
	if out, err := theLab.Govc("cluster.group.ls", "-cluster", "cluster1"); err != nil || strings.Contains(out, harness.VCH) {
		t.Errorf("the group stays: %s %v", out, err)
	}
	if out, err := theLab.Govc("permissions.ls", "/dc1/host/cluster1"); err != nil || strings.Contains(out, "VIC operations, cluster") {
		t.Errorf("the privilege stays: %s %v", out, err)
	}
	docker(t, "restart", "-t", "0", old)
}
