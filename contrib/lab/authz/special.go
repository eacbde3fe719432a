package authz

import "github.com/vmware/govmomi/vim25/types"

// special knows the methods whose needs depend on their arguments. It returns false for others.
func (c *call) special(body any) bool {
	switch r := body.(type) {
	case *types.CreateVM_Task:
		c.need("VirtualMachine.Inventory.Create", c.this)
		c.need("Resource.AssignVMToPool", r.Pool)
		c.newVM(&r.Config, c.this)
	case *types.CreateChildVM_Task:
		c.need("VirtualMachine.Inventory.Create", c.this)
		if c.this.Type == "VirtualApp" {
			c.need("VApp.AssignVM", c.this)
		} else {
			c.need("Resource.AssignVMToPool", c.this)
		}
		c.newVM(&r.Config, c.this)
	case *types.ReconfigVM_Task:
		c.reconfigure(&r.Spec)
	case *types.RegisterVM_Task:
		c.need("VirtualMachine.Inventory.Register", c.this)
		if r.Pool != nil {
			c.need("Resource.AssignVMToPool", *r.Pool)
		}
		c.onDatastore("Datastore.Browse", r.Path)
	case *types.CloneVM_Task:
		c.need("VirtualMachine.Provisioning.Clone", c.this)
		c.need("VirtualMachine.Inventory.CreateFromExisting", r.Folder)
		c.relocate(&r.Spec.Location)
	case *types.RelocateVM_Task:
		c.need("Resource.ColdMigrate", c.this)
		c.relocate(&r.Spec)
	case *types.MarkAsVirtualMachine:
		c.need("VirtualMachine.Provisioning.MarkAsVM", c.this)
		c.need("Resource.AssignVMToPool", r.Pool)
	case *types.AttachDisk_Task:
		c.need("VirtualMachine.Config.AddExistingDisk", c.this)
		c.need("Datastore.FileManagement", r.Datastore)
	case *types.PowerOnMultiVM_Task:
		c.need("VirtualMachine.Interact.PowerOn", r.Vm...)
	case *types.CreateVApp:
		c.need("VApp.Create", c.this)
		if r.VmFolder != nil {
			c.need("VApp.Create", *r.VmFolder)
		}
	case *types.UpdateConfig:
		if c.this.Type == "VirtualApp" {
			c.need("VApp.ResourceConfig", c.this)
		} else {
			c.need("Resource.EditPool", c.this)
		}
	case *types.MoveIntoFolder_Task:
		c.moveIntoFolder(r.List)
	case *types.MoveIntoResourcePool:
		c.need("Resource.AssignVMToPool", c.this)
	case *types.Destroy_Task:
		c.change(deletes())
		if p := c.w.Parents(c.this); len(p) > 0 { // the folder of a VM, not its pool
			c.need(c.needs[0].Privilege, p[0])
		}
	case *types.Rename_Task:
		c.change(renames())
	case *types.SetField:
		c.need("Global.SetCustomField", r.Entity)
	case *types.SetEntityPermissions:
		c.need("Authorization.ModifyPermissions", r.Entity)
	case *types.ResetEntityPermissions:
		c.need("Authorization.ModifyPermissions", r.Entity)
	case *types.RemoveEntityPermission:
		c.need("Authorization.ModifyPermissions", r.Entity)
	case *types.RetrieveEntityPermissions:
		c.need(Read, r.Entity)
	case *types.QueryPerf:
		for _, q := range r.QuerySpec {
			c.need(Read, q.Entity)
		}
	case *types.QueryEvents:
		c.history(r.Filter.Entity)
	case *types.CreateCollectorForEvents:
		c.history(r.Filter.Entity)
	default:
		return c.files(body)
	}
	return true
}

// history: what happened to an object is for those who may read the object, what happened anywhere
// for those who may read the root.
func (c *call) history(f *types.EventFilterSpecByEntity) {
	if f == nil {
		c.need(Read, c.w.Root())
		return
	}
	c.need(Read, f.Entity)
}

// change asks for the privilege that a table has for the kind of the object.
func (c *call) change(byKind map[string]string) {
	p, ok := byKind[c.this.Type]
	if !ok {
		p = "Global.VCServer"
	}
	c.need(p, c.this)
}

func deletes() map[string]string {
	return map[string]string{
		"VirtualMachine": "VirtualMachine.Inventory.Delete", "VirtualApp": "VApp.Delete", "ResourcePool": "Resource.DeletePool",
		"Folder": "Folder.Delete", "Datacenter": "Datacenter.Delete", "ClusterComputeResource": "Host.Inventory.DeleteCluster",
		"HostSystem": "Host.Inventory.RemoveHostFromCluster", "Datastore": "Datastore.Delete", "Network": "Network.Delete",
		"DistributedVirtualPortgroup": "DVPortgroup.Delete", "DistributedVirtualSwitch": "DVSwitch.Delete", "VmwareDistributedVirtualSwitch": "DVSwitch.Delete",
	}
}

func renames() map[string]string {
	return map[string]string{
		"VirtualMachine": "VirtualMachine.Config.Rename", "VirtualApp": "VApp.Rename", "ResourcePool": "Resource.RenamePool",
		"Folder": "Folder.Rename", "Datacenter": "Datacenter.Rename", "ClusterComputeResource": "Host.Inventory.RenameCluster",
		"Datastore": "Datastore.Rename", "Network": "Network.Config",
		"DistributedVirtualPortgroup": "DVPortgroup.Modify", "DistributedVirtualSwitch": "DVSwitch.Modify", "VmwareDistributedVirtualSwitch": "DVSwitch.Modify",
	}
}

func (c *call) moveIntoFolder(list []Ref) {
	for _, o := range list {
		switch o.Type {
		case "VirtualMachine":
			c.need("VirtualMachine.Inventory.Move", o, c.this)
		case "VirtualApp":
			c.need("VApp.Move", o, c.this)
		case "Folder":
			c.need("Folder.Move", o, c.this)
		case "Datastore":
			c.need("Datastore.Move", o, c.this)
		case "Network", "DistributedVirtualPortgroup":
			c.need("Network.Move", o, c.this)
		default:
			c.need("Host.Inventory.MoveCluster", o, c.this)
		}
	}
}

func (c *call) relocate(s *types.VirtualMachineRelocateSpec) {
	if s.Pool != nil {
		c.need("Resource.AssignVMToPool", *s.Pool)
	}
	if s.Datastore != nil {
		c.need("Datastore.AllocateSpace", *s.Datastore)
	}
}

// files knows the managers of files and disks. Their calls name the datacenter, and ask for the
// privilege there too (Programming Guide, "Privilege Requirements for HTTP Access").
func (c *call) files(body any) bool {
	const manage = "Datastore.FileManagement"
	switch r := body.(type) {
	case *types.MakeDirectory:
		c.onFile(manage, r.Datacenter, r.Name)
	case *types.DeleteDatastoreFile_Task:
		c.onFile(manage, r.Datacenter, r.Name)
	case *types.CopyDatastoreFile_Task:
		c.onFile(manage, r.SourceDatacenter, r.SourceName)
		c.onFile(manage, r.DestinationDatacenter, r.DestinationName)
	case *types.MoveDatastoreFile_Task:
		c.onFile(manage, r.SourceDatacenter, r.SourceName)
		c.onFile(manage, r.DestinationDatacenter, r.DestinationName)
	case *types.CreateVirtualDisk_Task:
		c.onFile(manage, r.Datacenter, r.Name)
	case *types.DeleteVirtualDisk_Task:
		c.onFile(manage, r.Datacenter, r.Name)
	case *types.CopyVirtualDisk_Task:
		c.onFile(manage, r.SourceDatacenter, r.SourceName)
		c.onFile(manage, r.DestDatacenter, r.DestName)
	case *types.MoveVirtualDisk_Task:
		c.onFile(manage, r.SourceDatacenter, r.SourceName)
		c.onFile(manage, r.DestDatacenter, r.DestName)
	case *types.ExtendVirtualDisk_Task:
		c.onFile(manage, r.Datacenter, r.Name)
	case *types.QueryVirtualDiskUuid:
		c.onFile(manage, r.Datacenter, r.Name)
	case *types.SetVirtualDiskUuid:
		c.onFile(manage, r.Datacenter, r.Name)
	case *types.SearchDatastore_Task:
		c.browse()
	case *types.SearchDatastoreSubFolders_Task:
		c.browse()
	default:
		return false
	}
	return true
}

func (c *call) browse() {
	ds, ok := c.w.DatastoreOfBrowser(c.this)
	if !ok {
		ds = c.w.Root() // a browser of a host or a VM shows several
	}
	c.need("Datastore.Browse", ds)
}

func (c *call) onFile(privilege string, dc *Ref, path string) {
	c.onDatastore(privilege, path)
	if dc != nil {
		c.need(privilege, *dc)
	}
}

// onDatastore asks for a privilege on the datastore of a path; a path that is wrong is the method's
// affair.
func (c *call) onDatastore(privilege, path string) {
	if ds, ok := c.w.DatastoreOf(path); ok {
		c.need(privilege, ds)
	}
}
