package privileges

// Hub lists what the account needs that runs vic-machine hub create, configure, upgrade, debug and delete. For Single Sign-On it also
// has to administer that, which is no privilege of vSphere's.
func Hub() []Need {
	return []Need{
		{"Datastore.Browse", Datastore, "SearchDatastore_Task, GET /folder"},
		{"Datastore.FileManagement", Datastore, "MakeDirectory, DeleteDatastoreFile_Task, PUT /folder"},
		{"Datastore.AllocateSpace", Datastore, "CreateVM_Task"},
		{"Network.Assign", Network, "CreateVM_Task"},
		{"Resource.AssignVMToPool", Pool, "CreateVM_Task"},
		{"VirtualMachine.Inventory.Create", Folder, "CreateVM_Task"},
		{"VirtualMachine.Inventory.Delete", Folder, "Destroy_Task"},
		{"VirtualMachine.Config.AddNewDisk", Folder, "CreateVM_Task"},
		{"VirtualMachine.Config.RemoveDisk", Folder, "ReconfigVM_Task, before the VM is destroyed: its data disk stays"},
		{"VirtualMachine.Config.CPUCount", Folder, "ReconfigVM_Task of configure --cpu"},
		{"VirtualMachine.Config.Memory", Folder, "ReconfigVM_Task of configure --memory"},
		{"VirtualMachine.Interact.SetCDMedia", Folder, "ReconfigVM_Task of upgrade, which changes the CD"},
		{"VirtualMachine.Config.AdvancedConfig", Folder, "CreateVM_Task, ReconfigVM_Task"},
		{"VirtualMachine.Interact.PowerOn", Folder, "PowerOnVM_Task"},
		{"VirtualMachine.Interact.PowerOff", Folder, "PowerOffVM_Task, ShutdownGuest"},
	}
}
