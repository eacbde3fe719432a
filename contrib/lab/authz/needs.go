package authz

import "strings"

// World is what the rules ask of the inventory.
type World interface {
	Tree
	Root() Ref
	// DatastoreOf finds the datastore of a path such as "[datastore1] a/b".
	DatastoreOf(path string) (Ref, bool)
	// Network finds a network by its name, as NICs on standard port groups give it.
	Network(name string) (Ref, bool)
	// HostOf finds the host that one of its managers belongs to.
	HostOf(manager Ref) (Ref, bool)
	// DatastoreOfBrowser finds the datastore that a browser shows.
	DatastoreOfBrowser(browser Ref) (Ref, bool)
}

// Needs returns what a call asks for; known is false for a method that no rule is about.
func Needs(w World, method string, this Ref, body any) (needs []Missing, known bool) {
	c := call{w: w, this: this}
	if free(method) {
		return nil, true
	}
	if c.special(body) {
		return c.needs, true
	}
	if p, ok := onTarget()[method]; ok {
		c.need(p, this)
		return c.needs, true
	}
	if p, ok := onRoot()[method]; ok {
		c.need(p, w.Root())
		return c.needs, true
	}
	if p, ok := onHost()[method]; ok {
		host, found := w.HostOf(this)
		if !found {
			host = w.Root()
		}
		c.need(p, host)
		return c.needs, true
	}
	return nil, false
}

// call gathers what one call needs.
type call struct {
	w     World
	this  Ref
	needs []Missing
}

func (c *call) need(privilege string, on ...Ref) {
	for _, o := range on {
		m := Missing{privilege, o}
		dup := false
		for _, n := range c.needs {
			dup = dup || n == m
		}
		if !dup {
			c.needs = append(c.needs, m)
		}
	}
}

// free says that a method asks for nothing beyond a session: what it returns is looked at object by
// object, or it is about the session's own things.
func free(method string) bool {
	switch method {
	case "Logout", "CurrentTime", "RetrieveServiceContent", "AcquireCloneTicket", "AcquireGenericServiceTicket", "QueryVersions",
		"RetrieveProperties", "RetrievePropertiesEx", "ContinueRetrievePropertiesEx", "CancelRetrievePropertiesEx",
		"CreatePropertyCollector", "DestroyPropertyCollector", "CreateFilter", "DestroyPropertyFilter",
		"WaitForUpdates", "WaitForUpdatesEx", "CheckForUpdates", "CancelWaitForUpdates",
		"CreateContainerView", "CreateListView", "CreateInventoryView", "DestroyView", "ModifyListView", "ResetListView",
		"ReadNextEvents", "ReadPreviousEvents", "RewindCollector", "ResetCollector", "SetCollectorPageSize", "DestroyCollector",
		"ReadNextTasks", "ReadPreviousTasks", "CreateCollectorForTasks",
		"RetrieveAllPermissions", "RetrieveRolePermissions", "HasPrivilegeOnEntities", "HasPrivilegeOnEntity",
		"HasUserPrivilegeOnEntities", "FetchUserPrivilegeOnEntities",
		"QueryPerfCounter", "QueryPerfProviderSummary", "QueryAvailablePerfMetric", "QueryPerfCounterByLevel",
		"RetrieveUserGroups", "QueryOptions", "FindExtension", "DecodeLicense", "QueryConfigOption", "QueryConfigOptionEx",
		"QueryConfigOptionDescriptor", "QueryConfigTarget", "QueryTargetCapabilities":
		return true
	}
	return strings.HasPrefix(method, "Find") // the search index leaves out what the user may not see
}

// onTarget lists methods that ask for one privilege on the object that they are called on.
func onTarget() map[string]string {
	return map[string]string{
		"PowerOnVM_Task": "VirtualMachine.Interact.PowerOn", "PowerOffVM_Task": "VirtualMachine.Interact.PowerOff",
		"ShutdownGuest": "VirtualMachine.Interact.PowerOff", "SuspendVM_Task": "VirtualMachine.Interact.Suspend",
		"StandbyGuest": "VirtualMachine.Interact.Suspend", "ResetVM_Task": "VirtualMachine.Interact.Reset",
		"RebootGuest": "VirtualMachine.Interact.Reset", "AnswerVM": "VirtualMachine.Interact.AnswerQuestion",
		"UpgradeVM_Task": "VirtualMachine.Config.UpgradeVirtualHardware", "UnregisterVM": "VirtualMachine.Inventory.Unregister",
		"MarkAsTemplate": "VirtualMachine.Provisioning.MarkAsTemplate", "CustomizeVM_Task": "VirtualMachine.Provisioning.Customize",
		"CreateSnapshot_Task": "VirtualMachine.State.CreateSnapshot", "CreateSnapshotEx_Task": "VirtualMachine.State.CreateSnapshot",
		"RevertToCurrentSnapshot_Task": "VirtualMachine.State.RevertToSnapshot", "RemoveAllSnapshots_Task": "VirtualMachine.State.RemoveSnapshot",
		"ConsolidateVMDisks_Task": "VirtualMachine.State.RemoveSnapshot", "PromoteDisks_Task": "VirtualMachine.Provisioning.PromoteDisks",
		"DetachDisk_Task": "VirtualMachine.Config.RemoveDisk", "SetScreenResolution": "VirtualMachine.Interact.ConsoleInteract",
		"RefreshStorageInfo": View, "FetchVmGroupForMultiwriterDisks": Read, "SetCustomValue": "Global.SetCustomField",

		"CreateFolder": "Folder.Create", "CreateStoragePod": "Folder.Create", "CreateDatacenter": "Datacenter.Create",
		"CreateCluster": "Host.Inventory.CreateCluster", "CreateClusterEx": "Host.Inventory.CreateCluster",
		"AddStandaloneHost_Task": "Host.Inventory.AddStandaloneHost", "CreateDVS_Task": "DVSwitch.Create",

		"AddHost_Task": "Host.Inventory.AddHostToCluster", "ReconfigureComputeResource_Task": "Host.Inventory.EditCluster",
		"ReconfigureCluster_Task": "Host.Inventory.EditCluster", "PlaceVm": Read, "RecommendHostsForVm": Read,
		"RefreshRecommendation": "Resource.ApplyRecommendation",

		"CreateResourcePool": "Resource.CreatePool", "DestroyChildren": "Resource.DeletePool",
		"PowerOnVApp_Task": "VApp.PowerOn", "PowerOffVApp_Task": "VApp.PowerOff", "SuspendVApp_Task": "VApp.Suspend",
		"UpdateVAppConfig": "VApp.ApplicationConfig", "UnregisterVApp_Task": "VApp.Unregister", "ExportVApp": "VApp.Export",
		"ImportVApp": "VApp.Import", "CloneVApp_Task": "VApp.Clone", "QueryResourceConfigOption": Read, "RefreshRuntime": Read,

		"AddDVPortgroup_Task": "DVPortgroup.Create", "CreateDVPortgroup_Task": "DVPortgroup.Create",
		"ReconfigureDVPortgroup_Task": "DVPortgroup.Modify", "ReconfigureDvs_Task": "DVSwitch.Modify", "FetchDVPorts": Read,

		"RefreshDatastore": "Host.Config.Storage", "RefreshDatastoreStorageInfo": "Host.Config.Storage",
		"RenameDatastore": "Datastore.Rename", "DestroyDatastore": "Datastore.Delete",

		"EnterMaintenanceMode_Task": "Host.Config.Maintenance", "ExitMaintenanceMode_Task": "Host.Config.Maintenance",
		"DisconnectHost_Task": "Host.Config.Connection", "ReconnectHost_Task": "Host.Config.Connection",
	}
}

// onRoot lists methods of vCenter's own managers; their privilege is asked for on the root folder.
func onRoot() map[string]string {
	return map[string]string{
		"AddAuthorizationRole": "Authorization.ModifyRoles", "UpdateAuthorizationRole": "Authorization.ModifyRoles",
		"RemoveAuthorizationRole": "Authorization.ModifyRoles", "MergePermissions": "Authorization.ReassignRolePermissions",
		"TerminateSession": "Sessions.TerminateSession", "ImpersonateUser": "Sessions.ImpersonateUser",
		"SessionIsActive": "Sessions.ValidateSession", "SetLocale": View,
		"AddCustomFieldDef": "Global.ManageCustomFields", "RemoveCustomFieldDef": "Global.ManageCustomFields",
		"RenameCustomFieldDef": "Global.ManageCustomFields", "UpdateOptions": "Global.Settings",
		"RegisterExtension": "Extension.Register", "UnregisterExtension": "Extension.Unregister",
		"UpdateExtension": "Extension.Update", "SetExtensionCertificate": "Extension.Update",
		"AddLicense": "Global.Licenses", "RemoveLicense": "Global.Licenses", "UpdateLicenseLabel": "Global.Licenses",
		"QueryAssignedLicenses": "Global.Licenses", "QuerySupportedFeatures": "Global.Licenses",
		"CreateTask": "Task.Create", "SetTaskState": "Task.Update", "SetTaskDescription": "Task.Update", "UpdateProgress": "Task.Update",
		"CancelTask": "Global.CancelTask", "PostEvent": "Global.LogEvent",
		"CreateIpPool": "Datacenter.IpPoolConfig", "DestroyIpPool": "Datacenter.IpPoolConfig", "QueryIpPools": Read,
	}
}

// onHost lists methods of a host's managers.
func onHost() map[string]string {
	return map[string]string{
		"AddVirtualSwitch": "Host.Config.Network", "RemoveVirtualSwitch": "Host.Config.Network", "AddPortGroup": "Host.Config.Network",
		"RemovePortGroup": "Host.Config.Network", "UpdateNetworkConfig": "Host.Config.Network", "QueryNetworkHint": Read,
		"CreateLocalDatastore": "Host.Config.Storage", "CreateNasDatastore": "Host.Config.Storage", "RemoveDatastore": "Host.Config.Storage",
		"EnableRuleset": "Host.Config.NetService", "DisableRuleset": "Host.Config.NetService", "UpdateRuleset": "Host.Config.NetService",
		"RefreshFirewall": "Host.Config.NetService", "QueryDateTime": Read, "UpdateDateTime": "Host.Config.DateTime",
	}
}
