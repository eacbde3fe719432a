package vsphere

import (
	"crypto/rand"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"path"
	"regexp"
	"strings"
	"syscall"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/ovf"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// The guestinfo key of the OVF environment, and the transport by which VMs ask for it.
const (
	keyOVFEnvironment = "guestinfo.ovfEnv"
	transportGuest    = "com.vmware.guestInfo"
)

// labOVF reads descriptors.
type labOVF struct {
	*simulator.OvfManager
	base
}

// diskWithoutFile is a disk that is made empty. The simulator wants the name of a file for each, and takes one that is not there.
var diskWithoutFile = regexp.MustCompile(`<Disk\s[^>]*>`)

// CreateImportSpec mends what the simulator makes of a descriptor.
func (m *labOVF) CreateImportSpec(ctx *simulator.Context, req *types.CreateImportSpec) soap.HasFault {
	e, err := ovf.Unmarshal(strings.NewReader(req.OvfDescriptor))
	if err != nil || e.VirtualSystem == nil || len(e.VirtualSystem.VirtualHardware) == 0 {
		return &methods.CreateImportSpecBody{Fault_: simulator.Fault("the descriptor cannot be read", &types.InvalidArgument{InvalidProperty: "ovfDescriptor"})}
	}
	plain := *req
	plain.OvfDescriptor = diskWithoutFile.ReplaceAllStringFunc(req.OvfDescriptor, func(tag string) string {
		if strings.Contains(tag, "fileRef=") {
			return tag
		}
		return strings.Replace(tag, "<Disk", `<Disk ovf:fileRef="none"`, 1)
	})
	res := m.OvfManager.CreateImportSpec(ctx, &plain)
	body, ok := res.(*methods.CreateImportSpecBody)
	if !ok || body.Res == nil {
		return res
	}
	spec, ok := body.Res.Returnval.ImportSpec.(*types.VirtualMachineImportSpec)
	if !ok {
		return res
	}
	spec.ConfigSpec.ExtraConfig = nil // the simulator puts the properties there, which vSphere does not
	if c, ok := spec.ConfigSpec.VAppConfig.(*types.VAppConfigSpec); ok {
		c.OvfEnvironmentTransport = nil
		if t := e.VirtualSystem.VirtualHardware[0].Transport; t != nil {
			c.OvfEnvironmentTransport = strings.Fields(*t)
		}
	}
	return res
}

// ImportVApp makes the VM of an import, whose files then come to serveNFC.
func (p *labPool) ImportVApp(ctx *simulator.Context, req *types.ImportVApp) soap.HasFault {
	body := &methods.ImportVAppBody{}
	spec, ok := req.Spec.(*types.VirtualMachineImportSpec)
	folder := p.lab.importFolder(ctx, req.Folder)
	if !ok || folder == nil {
		body.Fault_ = simulator.Fault("", &types.InvalidArgument{InvalidProperty: "spec"})
		return body
	}
	f := &labFolder{Folder: folder, base: base{lab: p.lab}}
	res, ok := f.CreateVMTask(ctx, &types.CreateVM_Task{This: folder.Self, Config: spec.ConfigSpec, Pool: p.Self, Host: req.Host}).(*methods.CreateVM_TaskBody)
	if !ok {
		body.Fault_ = simulator.Fault("", &types.InvalidState{})
		return body
	}
	made, flt := await(ctx, res.Res.Returnval)
	if flt != nil {
		body.Fault_ = simulator.Fault("", flt)
		return body
	}
	ref, _ := made.(types.ManagedObjectReference)
	lease := &labLease{files: map[string]string{}}
	lease.Self = types.ManagedObjectReference{Type: "HttpNfcLease", Value: rand.Text()} // its URLs are good for whoever has them
	p.lab.withVM(ref, func(ctx *simulator.Context, vm *simulator.VirtualMachine) {
		if c, ok := spec.ConfigSpec.VAppConfig.(*types.VAppConfigSpec); ok && vm.Config.VAppConfig != nil {
			vm.Config.VAppConfig.GetVmConfigInfo().OvfEnvironmentTransport = c.OvfEnvironmentTransport
		}
		p.lab.store.touch(ref)
		lease.Info = &types.HttpNfcLeaseInfo{Entity: ref, LeaseTimeout: 300, DeviceUrl: p.lab.uploads(vm, lease)}
	})
	lease.State, lease.Info.Lease = types.HttpNfcLeaseStateReady, ctx.Map.Put(lease).Reference()
	for i := range lease.Info.DeviceUrl {
		u := &lease.Info.DeviceUrl[i]
		u.Url = p.lab.URL().Scheme + "://" + p.lab.Addr() + path.Join("/nfc", lease.Self.Value, u.TargetId)
	}
	body.Res = &types.ImportVAppResponse{Returnval: lease.Self}
	return body
}

func (s *Server) importFolder(ctx *simulator.Context, ref *types.ManagedObjectReference) *simulator.Folder {
	if ref == nil {
		dc, ok := s.reg.Any("Datacenter").(*simulator.Datacenter)
		if !ok {
			return nil
		}
		ref = &dc.VmFolder
	}
	f, _ := ctx.Map.Get(*ref).(*simulator.Folder)
	return f
}

// uploads are the files of a VM that a client may send; the caller holds the VM's lock.
func (s *Server) uploads(vm *simulator.VirtualMachine, lease *labLease) (urls []types.HttpNfcLeaseDeviceUrl) {
	devices, n := object.VirtualDeviceList(vm.Config.Hardware.Device), map[string]int{}
	for _, d := range devices {
		b, ok := d.GetVirtualDevice().Backing.(types.BaseVirtualDeviceFileBackingInfo)
		if !ok {
			continue
		}
		kind := devices.Type(d)
		name := path.Base(b.GetVirtualDeviceFileBackingInfo().FileName)
		if file := s.path(b.GetVirtualDeviceFileBackingInfo().FileName); file != "" && kind == "cdrom" {
			lease.files[name] = b.GetVirtualDeviceFileBackingInfo().FileName
			urls = append(urls, types.HttpNfcLeaseDeviceUrl{Key: fmt.Sprintf("/%s/%s:%d", vm.Self.Value, kind, n[kind]),
				ImportKey: fmt.Sprintf("/%s/%s:%d", vm.Name, kind, n[kind]), TargetId: name, Disk: types.NewBool(false)})
		}
		n[kind]++
	}
	return urls
}

// labLease is an import under way. Its files are by the names in its URLs.
type labLease struct {
	mo.HttpNfcLease
	files map[string]string // datastore paths
}

// HttpNfcLeaseComplete ends it.
func (l *labLease) HttpNfcLeaseComplete(ctx *simulator.Context, _ *types.HttpNfcLeaseComplete) soap.HasFault {
	ctx.Map.Remove(ctx, l.Self)
	return &methods.HttpNfcLeaseCompleteBody{Res: &types.HttpNfcLeaseCompleteResponse{}}
}

// HttpNfcLeaseAbort ends it.
func (l *labLease) HttpNfcLeaseAbort(ctx *simulator.Context, _ *types.HttpNfcLeaseAbort) soap.HasFault {
	ctx.Map.Remove(ctx, l.Self)
	return &methods.HttpNfcLeaseAbortBody{Res: &types.HttpNfcLeaseAbortResponse{}}
}

// HttpNfcLeaseProgress is told how far the client is.
func (l *labLease) HttpNfcLeaseProgress(*simulator.Context, *types.HttpNfcLeaseProgress) soap.HasFault {
	return &methods.HttpNfcLeaseProgressBody{Res: &types.HttpNfcLeaseProgressResponse{}}
}

// serveNFC takes the files of imports. Who has a lease's URL may send them, as on vSphere.
func (s *Server) serveNFC(mux *http.ServeMux) {
	take := func(w http.ResponseWriter, r *http.Request) {
		lease, ok := s.reg.Get(types.ManagedObjectReference{Type: "HttpNfcLease", Value: r.PathValue("lease")}).(*labLease)
		if !ok {
			http.NotFound(w, r)
			return
		}
		name, ok := lease.files[r.PathValue("name")]
		var p object.DatastorePath
		if !ok || !p.FromString(name) {
			http.NotFound(w, r)
			return
		}
		err := storeUpload(s.datastore(p.Datastore), s.path(name), r.Body)
		s.refreshDatastores()
		switch {
		case errors.Is(err, errNoSpace), errors.Is(err, syscall.ENOSPC):
			http.Error(w, errNoSpace.Error(), http.StatusInsufficientStorage)
		case err != nil:
			http.Error(w, err.Error(), http.StatusInternalServerError)
		default:
			w.WriteHeader(http.StatusCreated)
		}
	}
	mux.HandleFunc("PUT /nfc/{lease}/{name}", take)
	mux.HandleFunc("POST /nfc/{lease}/{name}", take)
}

// ovfEnvironment is what a VM that was deployed with properties asks for; the caller holds the VM's lock. It is one line, which is all
// that the lab's port carries.
func ovfEnvironment(vm *simulator.VirtualMachine) (string, bool) {
	if vm.Config.VAppConfig == nil {
		return "", false
	}
	c := vm.Config.VAppConfig.GetVmConfigInfo()
	found := false
	for _, t := range c.OvfEnvironmentTransport {
		found = found || t == transportGuest
	}
	if !found {
		return "", false
	}
	var out strings.Builder
	attribute := func(s string) string {
		var b strings.Builder
		_ = xml.EscapeText(&b, []byte(s)) // a strings.Builder takes all
		return b.String()
	}
	out.WriteString(`<?xml version="1.0" encoding="UTF-8"?><Environment xmlns="http://schemas.dmtf.org/ovf/environment/1" ` +
		`xmlns:oe="http://schemas.dmtf.org/ovf/environment/1" xmlns:ve="http://www.vmware.com/schema/ovfenv" oe:id="" ve:vCenterId="` +
		attribute(vm.Self.Value) + `"><PropertySection>`)
	for _, p := range c.Property {
		key, value := p.Id, p.Value
		if p.ClassId != "" {
			key = p.ClassId + "." + key
		}
		if p.InstanceId != "" {
			key += "." + p.InstanceId
		}
		if value == "" {
			value = p.DefaultValue
		}
		fmt.Fprintf(&out, `<Property oe:key="%s" oe:value="%s"/>`, attribute(key), attribute(value))
	}
	out.WriteString(`</PropertySection><ve:EthernetAdapterSection>`)
	for _, d := range vm.Config.Hardware.Device {
		if n, ok := d.(types.BaseVirtualEthernetCard); ok {
			fmt.Fprintf(&out, `<ve:Adapter ve:mac="%s"/>`, attribute(n.GetVirtualEthernetCard().MacAddress))
		}
	}
	out.WriteString(`</ve:EthernetAdapterSection></Environment>`)
	return out.String(), true
}
