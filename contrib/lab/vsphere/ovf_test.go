package vsphere

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/ovf"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// descriptor is of a VM with a CD, an empty disk, a NIC and a property.
const descriptor = `<?xml version="1.0"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
 xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
 xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData">
<References><File ovf:id="iso" ovf:href="a.iso" ovf:size="5"/></References>
<DiskSection><Info/><Disk ovf:diskId="data" ovf:capacity="1" ovf:capacityAllocationUnits="byte * 2^30"/></DiskSection>
<NetworkSection><Info/><Network ovf:name="net"/></NetworkSection>
<VirtualSystem ovf:id="va"><Info/><VirtualHardwareSection ovf:transport="iso com.vmware.guestInfo"><Info/>
<System><vssd:ElementName>x</vssd:ElementName><vssd:InstanceID>0</vssd:InstanceID><vssd:VirtualSystemType>vmx-14</vssd:VirtualSystemType></System>
<Item><rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceSubType>VirtualSCSI</rasd:ResourceSubType><rasd:ResourceType>6</rasd:ResourceType></Item>
<Item><rasd:InstanceID>4</rasd:InstanceID><rasd:ResourceType>5</rasd:ResourceType></Item>
<Item><rasd:HostResource>ovf:/file/iso</rasd:HostResource><rasd:InstanceID>5</rasd:InstanceID><rasd:Parent>4</rasd:Parent><rasd:ResourceType>15</rasd:ResourceType></Item>
<Item><rasd:HostResource>ovf:/disk/data</rasd:HostResource><rasd:InstanceID>6</rasd:InstanceID><rasd:Parent>3</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType></Item>
<Item><rasd:Connection>net</rasd:Connection><rasd:InstanceID>7</rasd:InstanceID><rasd:ResourceSubType>VmxNet3</rasd:ResourceSubType><rasd:ResourceType>10</rasd:ResourceType></Item>
</VirtualHardwareSection><ProductSection ovf:class="hub"><Info/><Product>p</Product><Vendor>v</Vendor><Version>1</Version>
<Property ovf:key="name" ovf:type="string" ovf:userConfigurable="true"><Label>n</Label></Property>
<Property ovf:key="other" ovf:type="string" ovf:userConfigurable="true" ovf:value="default"><Label>n</Label></Property>
</ProductSection></VirtualSystem></Envelope>`

// TestAnApplianceIsImported deploys one as clients do, and asks for its OVF environment as its guest does.
func TestAnApplianceIsImported(t *testing.T) {
	r := newRig(t)
	ds, err := r.find.Datastore(t.Context(), "datastore1")
	r.must(err)
	network, err := r.find.Network(t.Context(), "public")
	r.must(err)
	spec, err := ovf.NewManager(r.c.Client).CreateImportSpec(t.Context(), descriptor, r.pool(), ds, &types.OvfCreateImportSpecParams{EntityName: "va",
		NetworkMapping:  []types.OvfNetworkMapping{{Name: "net", Network: network.Reference()}},
		PropertyMapping: []types.KeyValue{{Key: "hub.name", Value: "a \"b\" <c>\nd"}}})
	r.must(err)
	if len(spec.Error) > 0 || len(spec.FileItem) != 1 || spec.FileItem[0].Path != "a.iso" {
		t.Fatalf("%+v", spec)
	}
	lease, err := r.pool().ImportVApp(t.Context(), spec.ImportSpec, r.folder(), nil)
	r.must(err)
	info, err := lease.Wait(t.Context(), spec.FileItem)
	r.must(err)
	if len(info.Items) != 1 {
		t.Fatalf("%+v", info)
	}
	updater := lease.StartUpdater(t.Context(), info)
	defer updater.Done()
	r.must(lease.Upload(t.Context(), info.Items[0], strings.NewReader("CD001"), soap.Upload{ContentLength: 5}))
	r.must(lease.Complete(t.Context()))
	if got := request(t, http.MethodPost, info.Items[0].URL.String(), strings.NewReader("other"), nil); got != http.StatusNotFound {
		t.Errorf("an upload after the end: %d", got)
	}
	vm := object.NewVirtualMachine(r.c.Client, info.Entity)
	p := r.props(vm)
	var cd string
	for _, d := range object.VirtualDeviceList(p.Config.Hardware.Device).SelectByType((*types.VirtualCdrom)(nil)) {
		cd = d.GetVirtualDevice().Backing.(*types.VirtualCdromIsoBackingInfo).FileName
	}
	if b, err := os.ReadFile(r.path(cd)); err != nil || string(b) != "CD001" {
		t.Errorf("%s: %v %q", cd, err, b)
	}
	answer := r.answer(info.Entity, "info-get guestinfo.ovfEnv")
	for _, want := range []string{`oe:key="hub.name" oe:value="a &#34;b&#34; &lt;c&gt;&#xA;d"`, `oe:key="hub.other" oe:value="default"`, `ve:mac="00:50:56:`} {
		if !strings.Contains(answer, want) || strings.Contains(answer, "\n") {
			t.Errorf("%q lacks %s", answer, want)
		}
	}
	if got := request(t, http.MethodPost, r.URL().Scheme+"://"+r.Addr()+"/nfc/x/y", strings.NewReader("x"), nil); got != http.StatusNotFound {
		t.Errorf("an upload without a lease: %d", got)
	}
	other := r.create(r.spec("plain"))
	if answer := r.answer(other.Reference(), "info-get guestinfo.ovfEnv"); !strings.HasPrefix(answer, "0 ") {
		t.Errorf("a VM without properties: %q", answer)
	}
}
