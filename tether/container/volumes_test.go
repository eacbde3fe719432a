package container

import (
	"testing"

	"github.com/openvic/vic/sdk/guest"
)

func TestMountsOfOneDiskShareAFileSystem(t *testing.T) {
	mounts := []guest.Mount{
		{Disk: 1, Target: "/a", ReadOnly: true},
		{Disk: 2, Target: "/b", ReadOnly: true},
		{Disk: 1, Target: "/c"},
		{Disk: 3, Target: "/d", ReadOnly: true, Populate: true},
		{FSType: "nfs", Source: "h:/x", Options: "vers=3", Target: "/n1", ReadOnly: true},
		{FSType: "nfs", Source: "h:/y", Options: "vers=3", Target: "/n2"},
		{FSType: "nfs", Source: "h:/x", Options: "vers=3", Target: "/n3", ReadOnly: true},
	}
	disks := diskVolumes(mounts)
	if len(disks) != 3 || len(disks[1].mounts) != 2 || disks[1].readOnly() || !disks[2].readOnly() {
		t.Errorf("disks: %+v", disks)
	}
	if disks[3].readOnly() {
		t.Error("a volume that is to be filled is mounted read-only")
	}
	shares := shareVolumes(mounts)
	if len(shares) != 2 || len(shares[0].mounts) != 2 || !shares[0].readOnly() || shares[1].readOnly() || shares[0].dir == shares[1].dir {
		t.Errorf("shares: %+v", shares)
	}
}
