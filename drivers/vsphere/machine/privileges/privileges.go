// Package privileges is the list of vSphere privileges that the account needs that runs vic-machine
// itself, with the calls that need them. What the endpoint's own account needs is in
// drivers/vsphere/privileges.
package privileges

// Object is the kind of object on which vSphere checks a privilege.
type Object string

// The kinds of objects.
const (
	Root      Object = "vCenter" // the root folder
	Pool      Object = "compute resource"
	Folder    Object = "VM folder"
	Datastore Object = "datastore"
	Network   Object = "network"
	Cluster   Object = "cluster"
)

// Need is one privilege.
type Need struct {
	ID    string `json:"privilege"`
	On    Object `json:"on"`
	Calls string `json:"calls"` // that need it
}

// Create lists what vic-machine create needs. With pool the VCH is a resource pool, as on a single
// ESXi host; with grant it gives the operations user its privileges; with group the VCH has a DRS VM
// group.
func Create(pool, grant, group bool) []Need {
	needs := []Need{
		{"Datastore.Browse", Datastore, "SearchDatastore_Task, GET /folder"},
		{"Datastore.FileManagement", Datastore, "MakeDirectory, DeleteDatastoreFile_Task, PUT /folder"},
		{"Datastore.AllocateSpace", Datastore, "CreateChildVM_Task, CreateVM_Task"},
		{"Network.Assign", Network, "CreateChildVM_Task, CreateVM_Task"},
		{"VirtualMachine.Inventory.Create", Folder, "CreateChildVM_Task, CreateVM_Task"},
		{"VirtualMachine.Inventory.Delete", Folder, "Destroy_Task"},
		{"VirtualMachine.Config.AddNewDisk", Folder, "CreateChildVM_Task, CreateVM_Task"},
		{"VirtualMachine.Config.AddRemoveDevice", Folder, "CreateChildVM_Task, CreateVM_Task"},
		{"VirtualMachine.Config.AdvancedConfig", Folder, "CreateChildVM_Task, ReconfigVM_Task"},
		{"VirtualMachine.Interact.PowerOn", Folder, "PowerOnVM_Task"},
		{"VirtualMachine.Interact.PowerOff", Folder, "PowerOffVM_Task"},
		{"Global.Licenses", Root, "QueryAssignedLicenses; without it the licences are not checked"},
	}
	if pool {
		needs = append(needs, Need{"Resource.CreatePool", Pool, "CreateResourcePool"},
			Need{"Resource.DeletePool", Pool, "Destroy_Task"}, Need{"Resource.AssignVMToPool", Pool, "CreateVM_Task"})
	} else {
		needs = append(needs, Need{"VApp.Create", Pool, "CreateVApp"}, Need{"VApp.Delete", Pool, "Destroy_Task"},
			Need{"VApp.AssignVM", Pool, "CreateChildVM_Task"}, Need{"VApp.ApplicationConfig", Pool, "CreateVApp"},
			Need{"VApp.ResourceConfig", Pool, "CreateVApp, UpdateConfig"})
	}
	if group {
		needs = append(needs, Need{"Host.Inventory.EditCluster", Cluster, "ReconfigureComputeResource_Task"})
	}
	if grant {
		needs = append(needs, Need{"Authorization.ModifyRoles", Root, "AddAuthorizationRole, UpdateAuthorizationRole"},
			Need{"Authorization.ModifyPermissions", Root, "SetEntityPermissions"})
	}
	return needs
}
