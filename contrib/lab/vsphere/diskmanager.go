package vsphere

import (
	"context"
	"os"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/contrib/lab/vmdk"
)

// diskManager replaces the simulator's manager of virtual disks, also for the simulator's own use.
type diskManager struct {
	*simulator.VirtualDiskManager
	lab *Server
}

func (s *Server) installDiskManager() {
	if vdm, ok := s.reg.VirtualDiskManager().(*simulator.VirtualDiskManager); ok {
		s.reg.Put(&diskManager{VirtualDiskManager: vdm, lab: s})
	}
}

// task runs f on the file that name means.
func (m *diskManager) task(ctx *simulator.Context, op, name string, f func(file string) types.BaseMethodFault) types.ManagedObjectReference {
	return simulator.CreateTask(m.VirtualDiskManager, op, func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		file := m.lab.path(name)
		if file == "" {
			return nil, &types.InvalidDatastorePath{DatastorePath: name}
		}
		flt := f(file)
		m.lab.refreshDatastores()
		return nil, flt
	}).Run(ctx)
}

// CreateVirtualDiskTask makes a base disk.
func (m *diskManager) CreateVirtualDiskTask(ctx *simulator.Context, req *types.CreateVirtualDisk_Task) soap.HasFault {
	t := m.task(ctx, "createVirtualDisk", req.Name, func(file string) types.BaseMethodFault {
		spec, ok := req.Spec.(types.BaseFileBackedVirtualDiskSpec)
		if !ok {
			return &types.InvalidArgument{InvalidProperty: "spec"}
		}
		fb := spec.GetFileBackedVirtualDiskSpec()
		need := int64(4096)
		if fb.DiskType != string(types.VirtualDiskTypeThin) {
			need = fb.CapacityKb * 1024
		}
		if f := m.lab.room(req.Name, need); f != nil {
			return f
		}
		if _, err := os.Stat(file); err == nil {
			return fileFault(req.Name, os.ErrExist)
		}
		return fileFault(req.Name, vmdk.CreateBase(file, fb.CapacityKb*1024))
	})
	return &methods.CreateVirtualDisk_TaskBody{Res: &types.CreateVirtualDisk_TaskResponse{Returnval: t}}
}

// DeleteVirtualDiskTask deletes a disk that no running VM uses.
func (m *diskManager) DeleteVirtualDiskTask(ctx *simulator.Context, req *types.DeleteVirtualDisk_Task) soap.HasFault {
	t := m.task(ctx, "deleteVirtualDisk", req.Name, func(file string) types.BaseMethodFault {
		if m.lab.userOf(file) != "" {
			return &types.FileLocked{FileFault: types.FileFault{File: req.Name}}
		}
		return fileFault(req.Name, vmdk.Delete(file))
	})
	return &methods.DeleteVirtualDisk_TaskBody{Res: &types.DeleteVirtualDisk_TaskResponse{Returnval: t}}
}

// CopyVirtualDiskTask copies a disk with its chain into one base disk.
func (m *diskManager) CopyVirtualDiskTask(ctx *simulator.Context, req *types.CopyVirtualDisk_Task) soap.HasFault {
	t := m.task(ctx, "copyVirtualDisk", req.SourceName, func(file string) types.BaseMethodFault {
		dst := m.lab.path(req.DestName)
		if dst == "" {
			return &types.InvalidDatastorePath{DatastorePath: req.DestName}
		}
		if _, err := os.Stat(dst); err == nil && (req.Force == nil || !*req.Force) {
			return fileFault(req.DestName, os.ErrExist)
		}
		return fileFault(req.SourceName, vmdk.CopyFlat(context.WithoutCancel(ctx), file, dst))
	})
	return &methods.CopyVirtualDisk_TaskBody{Res: &types.CopyVirtualDisk_TaskResponse{Returnval: t}}
}

// MoveVirtualDiskTask renames a disk.
func (m *diskManager) MoveVirtualDiskTask(ctx *simulator.Context, req *types.MoveVirtualDisk_Task) soap.HasFault {
	t := m.task(ctx, "moveVirtualDisk", req.SourceName, func(file string) types.BaseMethodFault {
		dst := m.lab.path(req.DestName)
		if dst == "" {
			return &types.InvalidDatastorePath{DatastorePath: req.DestName}
		}
		if m.lab.userOf(file) != "" {
			return &types.FileLocked{FileFault: types.FileFault{File: req.SourceName}}
		}
		return fileFault(req.SourceName, vmdk.Move(file, dst))
	})
	return &methods.MoveVirtualDisk_TaskBody{Res: &types.MoveVirtualDisk_TaskResponse{Returnval: t}}
}

// ExtendVirtualDiskTask makes a base disk larger.
func (m *diskManager) ExtendVirtualDiskTask(ctx *simulator.Context, req *types.ExtendVirtualDisk_Task) soap.HasFault {
	t := m.task(ctx, "extendVirtualDisk", req.Name, func(file string) types.BaseMethodFault {
		if m.lab.userOf(file) != "" {
			return &types.FileLocked{FileFault: types.FileFault{File: req.Name}}
		}
		return fileFault(req.Name, vmdk.Extend(file, req.NewCapacityKb*1024))
	})
	return &methods.ExtendVirtualDisk_TaskBody{Res: &types.ExtendVirtualDisk_TaskResponse{Returnval: t}}
}

// QueryVirtualDiskUuid reads the disk's identity.
func (m *diskManager) QueryVirtualDiskUuid(_ *simulator.Context, req *types.QueryVirtualDiskUuid) soap.HasFault {
	b := &methods.QueryVirtualDiskUuidBody{}
	d, err := vmdk.Read(m.lab.path(req.Name))
	if err != nil {
		b.Fault_ = simulator.Fault("", fileFault(req.Name, err))
		return b
	}
	b.Res = &types.QueryVirtualDiskUuidResponse{Returnval: d.UUID}
	return b
}

// SetVirtualDiskUuid changes the disk's identity.
func (m *diskManager) SetVirtualDiskUuid(_ *simulator.Context, req *types.SetVirtualDiskUuid) soap.HasFault {
	b := &methods.SetVirtualDiskUuidBody{}
	if err := vmdk.SetUUID(m.lab.path(req.Name), req.Uuid); err != nil {
		b.Fault_ = simulator.Fault("", fileFault(req.Name, err))
		return b
	}
	b.Res = &types.SetVirtualDiskUuidResponse{}
	return b
}
