package authz

import (
	"slices"
	"testing"

	"github.com/vmware/govmomi/simulator/esx"
	"github.com/vmware/govmomi/vim25/types"
)

func add(d types.BaseVirtualDevice, op types.VirtualDeviceConfigSpecFileOperation) types.BaseVirtualDeviceConfigSpec {
	return &types.VirtualDeviceConfigSpec{Operation: types.VirtualDeviceConfigSpecOperationAdd, FileOperation: op, Device: d}
}

func change(op types.VirtualDeviceConfigSpecOperation, d types.BaseVirtualDevice) types.BaseVirtualDeviceConfigSpec {
	return &types.VirtualDeviceConfigSpec{Operation: op, Device: d}
}

func disk(file string) *types.VirtualDisk {
	b := &types.VirtualDiskFlatVer2BackingInfo{}
	b.FileName = file
	d := &types.VirtualDisk{}
	d.Backing = b
	return d
}

func nic() *types.VirtualVmxnet3 {
	n := &types.VirtualVmxnet3{}
	n.Backing = &types.VirtualEthernetCardDistributedVirtualPortBackingInfo{Port: types.DistributedVirtualSwitchPortConnection{PortgroupKey: "pg"}}
	return n
}

func TestWhatCallsNeed(t *testing.T) {
	spec := types.VirtualMachineConfigSpec{
		Name: "c", NumCPUs: 1, MemoryMB: 64, Files: &types.VirtualMachineFileInfo{VmPathName: "[ds] c/c.vmx"},
		ExtraConfig: []types.BaseOptionValue{&types.OptionValue{Key: "k"}},
		DeviceChange: []types.BaseVirtualDeviceConfigSpec{add(disk(""), "create"), add(nic(), ""), add(&types.ParaVirtualSCSIController{}, ""),
			add(&types.VirtualCdrom{}, "")},
	}
	reconfig := func(s types.VirtualMachineConfigSpec) any { return &types.ReconfigVM_Task{This: vm, Spec: s} }
	devices := func(d ...types.BaseVirtualDeviceConfigSpec) any {
		return reconfig(types.VirtualMachineConfigSpec{DeviceChange: d})
	}
	for _, c := range []struct {
		name, method string
		this         Ref
		body         any
		want         []string
	}{
		{"create", "CreateVM_Task", vmf, &types.CreateVM_Task{This: vmf, Config: spec, Pool: pool}, []string{
			"VirtualMachine.Inventory.Create vmf", "Resource.AssignVMToPool pool", "VirtualMachine.Config.AdvancedConfig vmf",
			"Datastore.AllocateSpace ds", "VirtualMachine.Config.AddNewDisk vmf", "Network.Assign pg"}},
		{"create in a vApp", "CreateChildVM_Task", vapp, &types.CreateChildVM_Task{This: vapp, Config: types.VirtualMachineConfigSpec{
			DeviceChange: []types.BaseVirtualDeviceConfigSpec{add(disk("[ds] v.vmdk"), "")}}},
			[]string{"VirtualMachine.Inventory.Create vapp", "VApp.AssignVM vapp", "VirtualMachine.Config.AddExistingDisk vapp"}},
		{"rename", "ReconfigVM_Task", vm, reconfig(types.VirtualMachineConfigSpec{Name: "x"}), []string{"VirtualMachine.Config.Rename vm"}},
		{"size", "ReconfigVM_Task", vm, reconfig(types.VirtualMachineConfigSpec{NumCPUs: 2, MemoryMB: 64}),
			[]string{"VirtualMachine.Config.CPUCount vm", "VirtualMachine.Config.Memory vm"}},
		{"nothing", "ReconfigVM_Task", vm, reconfig(types.VirtualMachineConfigSpec{}), []string{"System.View vm"}},
		{"add a child disk", "ReconfigVM_Task", vm, devices(add(disk("[ds] a.vmdk"), "create")),
			[]string{"VirtualMachine.Config.AddNewDisk vm", "Datastore.AllocateSpace ds"}},
		{"add and remove disks", "ReconfigVM_Task", vm, devices(add(disk("[ds] a.vmdk"), ""), change("remove", disk("[ds] b.vmdk"))),
			[]string{"VirtualMachine.Config.AddExistingDisk vm", "VirtualMachine.Config.RemoveDisk vm"}},
		{"add a NIC", "ReconfigVM_Task", vm, devices(add(nic(), "")), []string{"VirtualMachine.Config.AddRemoveDevice vm", "Network.Assign pg"}},
		{"move a NIC", "ReconfigVM_Task", vm, devices(change("edit", nic())), []string{"VirtualMachine.Config.EditDevice vm", "Network.Assign pg"}},
		{"change the medium", "ReconfigVM_Task", vm, devices(change("edit", &types.VirtualCdrom{})), []string{"VirtualMachine.Interact.SetCDMedia vm"}},
		{"power", "PowerOnVM_Task", vm, &types.PowerOnVM_Task{This: vm}, []string{"VirtualMachine.Interact.PowerOn vm"}},
		{"destroy", "Destroy_Task", cvm, &types.Destroy_Task{This: cvm}, []string{"VirtualMachine.Inventory.Delete cvm", "VirtualMachine.Inventory.Delete vapp"}},
		{"destroy a pool", "Destroy_Task", pool, &types.Destroy_Task{This: pool}, []string{"Resource.DeletePool pool", "Resource.DeletePool cl"}},
		{"make a folder of files", "MakeDirectory", root, &types.MakeDirectory{Name: "[ds] a", Datacenter: &dc},
			[]string{"Datastore.FileManagement ds", "Datastore.FileManagement dc"}},
		{"list files", "SearchDatastoreSubFolders_Task", hb, &types.SearchDatastoreSubFolders_Task{This: hb}, []string{"Datastore.Browse ds"}},
		{"roles", "AddAuthorizationRole", root, &types.AddAuthorizationRole{}, []string{"Authorization.ModifyRoles root"}},
		{"permissions", "SetEntityPermissions", root, &types.SetEntityPermissions{Entity: ds}, []string{"Authorization.ModifyPermissions ds"}},
		{"all events", "QueryEvents", root, &types.QueryEvents{}, []string{"System.Read root"}},
		{"logout", "Logout", root, &types.Logout{}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			needs, known := Needs(world{}, c.method, c.this, c.body)
			var got []string
			for _, n := range needs {
				got = append(got, n.Privilege+" "+n.On.Value)
			}
			if !known || !slices.Equal(got, c.want) {
				t.Errorf("known %v\n got %v\nwant %v", known, got, c.want)
			}
		})
	}
	if _, known := Needs(world{}, "FormatVmfs", root, nil); known {
		t.Error("a method without a rule is known")
	}
}

// A privilege that vSphere does not have could never be granted.
func TestThePrivilegesOfTheTablesExist(t *testing.T) {
	s := NewStore(esx.RoleList)
	for _, table := range []map[string]string{onTarget(), onRoot(), onHost(), deletes(), renames()} {
		for m, p := range table {
			if !s.Known(p) {
				t.Errorf("%s: %s", m, p)
			}
		}
	}
}
