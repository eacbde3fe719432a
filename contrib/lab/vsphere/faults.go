package vsphere

import (
	"errors"
	"os"
	"syscall"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/contrib/lab/qemu"
)

// systemFault is vSphere's "something went wrong below", with the reason in it.
func systemFault(err error) types.BaseMethodFault {
	cause := &types.LocalizedMethodFault{Fault: &types.SystemErrorFault{Reason: err.Error()}, LocalizedMessage: err.Error()}
	f := &types.GenericVmConfigFault{Reason: err.Error()}
	f.FaultCause = cause
	f.FaultMessage = []types.LocalizableMessage{{Key: "lab", Message: err.Error()}}
	return f
}

// fileFault maps an error on a file to the fault that vSphere gives.
func fileFault(name string, err error) types.BaseMethodFault {
	ff := types.FileFault{File: name}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, qemu.ErrLocked):
		return &types.FileLocked{FileFault: ff}
	case errors.Is(err, os.ErrExist):
		return &types.FileAlreadyExists{FileFault: ff}
	case errors.Is(err, os.ErrNotExist):
		return &types.FileNotFound{FileFault: ff}
	case errors.Is(err, errNoSpace), errors.Is(err, syscall.ENOSPC):
		return &types.NoDiskSpace{FileFault: ff}
	}
	f := &types.CannotAccessFile{FileFault: ff}
	f.FaultMessage = []types.LocalizableMessage{{Key: "lab", Message: err.Error()}}
	return f
}

// startFault maps an error of starting a VM or of plugging a device.
func startFault(err error) types.BaseMethodFault {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return fileFault(pe.Path, err)
	}
	message := []types.LocalizableMessage{{Key: "lab", Message: err.Error()}}
	switch {
	case errors.Is(err, qemu.ErrLocked):
		f := &types.FileLocked{}
		f.FaultMessage = message
		return f
	case errors.Is(err, os.ErrNotExist):
		f := &types.FileNotFound{}
		f.FaultMessage = message
		return f
	}
	return systemFault(err)
}

func powerFault(want, is types.VirtualMachinePowerState) types.BaseMethodFault {
	return &types.InvalidPowerState{RequestedState: want, ExistingState: is}
}
