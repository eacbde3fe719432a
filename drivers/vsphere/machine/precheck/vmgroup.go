package precheck

import (
	"fmt"
	"slices"

	"github.com/openvic/vic/sdk/errdef"
)

// checkVMGroup: DRS groups are a cluster's, and no two have one name. have is the group that the VCH has.
func (c *checker) checkVMGroup(have string) {
	const check = "DRS VM group"
	if left := c.out.Resources.Unfinished; left != nil && have == "" {
		have = left.VMGroup
	}
	switch {
	case !c.Spec.AffinityVMGroup:
	case c.compute == nil:
		c.skip(check, checkComputeName)
	case !c.compute.cluster:
		c.fail(check, fmt.Errorf("%s is a single host: %w", c.compute.name, errdef.ErrUnsupported),
			"leave --affinity-vm-group out, or give a cluster as --compute-resource")
	case !c.compute.drs:
		c.wrong(check, "enable DRS in the settings of the cluster "+c.compute.name, "DRS is off in the cluster %s: a group has no effect", c.compute.name)
	case have != c.Spec.Name && slices.Contains(c.compute.groups, c.Spec.Name):
		c.fail(check, fmt.Errorf("the cluster %s has a group %s already: %w", c.compute.name, c.Spec.Name, errdef.ErrExists),
			"give another --name, or remove that group in the settings of the cluster")
	default:
		c.ok(check, "%s in the cluster %s", c.Spec.Name, c.compute.name)
	}
}
